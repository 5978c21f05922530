"""The environment as people write it, made clean: quotes and spaces dropped, ``_FILE`` read, names checked."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.contract.errors import Problem
from app.settings.area import PREFIX
from app.settings.text import on_one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

FILE_SUFFIX = "_FILE"

#: What Kubernetes injects for a Service in the same namespace that is called ``ka`` or ``ka-something``
#: (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
_SERVICE_LINK = re.compile(
    r"KA_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)


@dataclass(frozen=True)
class Cleaned:
    """The known variables that are set, by name without ``_FILE``; what is wrong; what is only odd."""

    values: Mapping[str, str]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


def clean(environ: Mapping[str, str], known: Collection[str]) -> Cleaned:
    """Reads the ``KA_*`` part of ``environ``; an empty value counts as not set."""
    values: dict[str, str] = {}
    problems: list[Problem] = []
    links: list[str] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        text = unquoted(environ[name])
        base = name.removesuffix(FILE_SUFFIX)
        if name in known:
            if text:
                values[name] = text
        elif base in known and name.endswith(FILE_SUFFIX):
            if text and unquoted(environ.get(base, "")):
                problems.append(Problem(base, f"cannot be set together with {name}; leave one of them out"))
            elif text:
                _read_file(name, base, text, values, problems)
        elif _SERVICE_LINK.fullmatch(name):
            links.append(name)
        else:
            problems.append(Problem(on_one_line(name), _unknown(name, known)))
    return Cleaned(values, tuple(problems), _about_links(links))


def unquoted(text: str) -> str:
    """``text`` without white space around it and without one pair of quotes: docker run --env-file keeps those."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1].strip()
    return text


def _read_file(name: str, base: str, path: str, values: dict[str, str], problems: list[Problem]) -> None:
    where = on_one_line(path)
    try:
        # A secret's file ends with a newline more often than not, and nobody means it.
        text = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        problems.append(Problem(name, f"cannot read {where}: {error.strerror}; it must be a file that can be read"))
    except UnicodeDecodeError:
        problems.append(Problem(name, f"cannot read {where}: it is no text; it must be a text file"))
    else:
        if text:
            values[base] = text
        else:
            problems.append(Problem(name, f"cannot use {where}: it is empty; it must hold the value of {base}"))


def _unknown(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name.removesuffix(FILE_SUFFIX), known, n=1) or difflib.get_close_matches(
        name, known, n=1
    )
    if not near:
        return "is not a known variable; ka env lists them all"
    suffix = FILE_SUFFIX if name.endswith(FILE_SUFFIX) else ""
    return f"is not a known variable; did you mean {near[0]}{suffix}?"


def _about_links(links: list[str]) -> tuple[str, ...]:
    if not links:
        return ()
    others = f" and {len(links) - 1} more" if len(links) > 1 else ""
    sentence = "ignored, Kubernetes sets it for a Service of that name; enableServiceLinks: false keeps it away"
    return (f"{links[0]}{others}: {sentence}",)

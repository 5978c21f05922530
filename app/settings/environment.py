"""The environment as people write it, made clean: quotes and spaces dropped, ``_FILE`` read, names checked."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.contract.environ import FILE_SUFFIX, PREFIX, on_one_line, unquoted, value_in_file
from app.contract.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: What Kubernetes injects for a Service in the same namespace that is called ``ka`` or ``ka-something``
#: (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables). Known by name and value:
#: KA_CHECK_PORT=80 is somebody's slip, and a node that ignored it would run without its check.
_URL, _ADDRESS, _NUMBER = r"(?:tcp|udp|sctp)://[0-9a-fA-F.:\[\]]+:[0-9]+", r"[0-9a-fA-F.:]+", r"[0-9]+"
_PORT = r"PORT_[0-9]+_(?:TCP|UDP|SCTP)"
_SERVICE_LINK = re.compile(
    rf"KA_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST={_ADDRESS}|SERVICE_PORT(?:_[A-Z0-9_]+)?={_NUMBER}|PORT={_URL}|{_PORT}={_URL}|"
    rf"{_PORT}_PROTO=(?:tcp|udp|sctp)|{_PORT}_PORT={_NUMBER}|{_PORT}_ADDR={_ADDRESS})"
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
                try:
                    values[base] = value_in_file(name, text)
                except ConfigError as error:
                    problems += error.problems
        elif _SERVICE_LINK.fullmatch(f"{name}={text}"):
            links.append(name)
        else:
            problems.append(Problem(on_one_line(name), _unknown(name, known)))
    return Cleaned(values, tuple(problems), _about_links(links))


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

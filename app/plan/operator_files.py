"""Rules of the operator's own files: what keepalived and Jinja2 would skip, or refuse without naming the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, TemplateSyntaxError

from app.contract.errors import Problem
from app.host.files import NO_SUCH_FILE
from app.plan.keepalived_text import block_depths, blocks_of_others

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from app.host.files import Files
    from app.host.machine import Host
    from app.settings import Settings


def own_text_is_usable(settings: Settings, host: Host) -> Iterator[Problem]:
    """What lies in conf.d; keepalived itself tests the rest of it."""
    for path in (yield from _files(host.files, settings.places.data_dir / "conf.d", "*.conf")):
        text = yield from _read(host.files, path, "keepalived.conf text")
        if text is None:
            continue
        if host.files.is_executable(path):
            yield Problem(str(path), f"is executable, which makes keepalived skip it; chmod a-x {path}")
        for block in blocks_of_others(text):
            sentence = f"cannot have {block}, only VRRP runs here; it must be blocks of VRRP alone"
            yield Problem(str(path), sentence)
        depth = block_depths(text)[-1]
        if depth:
            wrong = "ends too early, a brace is never closed" if depth > 0 else "closes a brace that was never opened"
            yield Problem(str(path), f"{wrong}; each block must have both")


def own_templates_are_usable(settings: Settings, host: Host) -> Iterator[Problem]:
    """What lies in templates."""
    for path in (yield from _files(host.files, settings.places.data_dir / "templates", "**/*")):
        text = yield from _read(host.files, path, "a Jinja2 template")
        try:
            Environment(autoescape=False).parse(text or "")  # noqa: S701 - none of them is HTML
        except TemplateSyntaxError as error:
            said = (error.message or "it is no template").rstrip(".")
            yield Problem(str(path), f"cannot be used, line {error.lineno}: {said}; it must be a Jinja2 template")


def script_can_run(variable: str, data_dir: Path, name: str, host: Host) -> Iterator[Problem]:
    """The script of that name, which ``variable`` asks for."""
    script = data_dir / "scripts" / name
    why = host.files.unreadable(script)
    if why and why != NO_SUCH_FILE:
        yield Problem(variable, f"cannot be {name}: {why}; it must be a file in {script.parent} that can be run")
    elif why:
        there = [path.name for path in host.files.listed(script.parent, "*") if host.files.is_file(path)]
        holds = f"it holds {', '.join(there)}" if there else "it holds no files"
        yield Problem(variable, f"cannot be {name}; there is no such file in {script.parent}, {holds}")
    elif not host.files.can_run(script):
        yield Problem(variable, f"cannot be {name}, which is not executable; chmod +x {script}")


def _files(files: Files, directory: Path, pattern: str) -> Generator[Problem, None, list[Path]]:
    """Yields why the directory cannot be looked into, and returns what is in it."""
    try:
        files.look_into(directory)
        # A bind mount whose source is missing makes a directory of the file's name: reading it says so.
        return [path for path in files.listed(directory, pattern) if files.is_file(path) or path.suffix == ".conf"]
    except FileNotFoundError:
        return []
    except OSError as error:
        yield Problem(str(directory), f"cannot be read: {error.strerror}; it must be a directory that root can read")
    return []


def _read(files: Files, path: Path, accepts: str) -> Generator[Problem, None, str | None]:
    """Yields why the file cannot be read, and returns its text."""
    try:
        return files.text(path)
    except OSError as error:
        yield Problem(str(path), f"cannot be read: {error.strerror}; it must be a file that root can read")
    except UnicodeDecodeError:
        yield Problem(str(path), f"cannot be used, it is no text; it must be {accepts}")
    return None

"""How a ``KA_*`` variable is written: what is cut off around its value, and the value that lies in a file.

Commands that must be quick read ``KA_RUN_DIR`` by this and not by the settings: pydantic alone takes longer than
``ka health`` may.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from app.contract.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "KA_"
FILE_SUFFIX = "_FILE"

#: Bytes of a file that holds a value; a list of 255 instances' VIPs is shorter.
LARGEST_FILE = 64 * 1024

#: Seconds that reading one may take: a network file system that is away answers never.
READ_SECONDS = 0.8


def unquoted(text: str) -> str:
    """``text`` without white space around it and without one pair of quotes: docker run --env-file keeps those."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1].strip()
    return text


def on_one_line(found: str) -> str:
    """A text as it can be printed: control characters escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in found)


def value_in_file(variable: str, path: str) -> str:
    """The value in the file at ``path``, which ``variable`` (with its suffix) names. Raises ConfigError."""
    found: list[str | Problem] = []
    # A read that hangs cannot be called off: the thread is left behind, and ends with the process.
    thread = threading.Thread(target=lambda: found.append(_value_in_file(variable, path)), daemon=True)
    thread.start()
    thread.join(READ_SECONDS)
    if not found:
        sentence = f"cannot read {on_one_line(path)}: no answer within {READ_SECONDS:g} s; it must be a file at hand"
        raise ConfigError(Problem(variable, sentence))
    if isinstance(found[0], Problem):
        raise ConfigError(found[0])
    return found[0]


def _value_in_file(variable: str, path: str) -> str | Problem:
    where = on_one_line(path)
    try:
        # A FIFO would wait for its writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return Problem(variable, f"cannot read {where}: it is no regular file; it must be a text file")
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            sentence = f"cannot use {where}: it is larger than {LARGEST_FILE // 1024} KiB"
            return Problem(variable, f"{sentence}; it must hold the value of {variable.removesuffix(FILE_SUFFIX)}")
        # A secret's file ends with a newline more often than not, and nobody means it.
        text = content.decode().strip()
    except OSError as error:
        return Problem(variable, f"cannot read {where}: {error.strerror}; it must be a file that can be read")
    except ValueError:  # no UTF-8, or a path with a null byte in it
        return Problem(variable, f"cannot read {where}: it is no text; it must be a text file")
    if not text:
        sentence = f"cannot use {where}: it is empty; it must hold the value of {variable.removesuffix(FILE_SUFFIX)}"
        return Problem(variable, sentence)
    return text


def run_dir_of(environ: Mapping[str, str], default: Path) -> Path:
    """What ``KA_RUN_DIR`` or ``KA_RUN_DIR_FILE`` says, else ``default``. Raises ConfigError."""
    name = f"{PREFIX}RUN_DIR"
    if path := unquoted(environ.get(f"{name}{FILE_SUFFIX}", "")):
        return Path(value_in_file(f"{name}{FILE_SUFFIX}", path))
    return Path(unquoted(environ.get(name, "")) or default)

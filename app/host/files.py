"""The operator's files: the only place that looks at them for the plan.

What it gives and raises is what pathlib does, so that rules can say the kernel's words.
"""

from __future__ import annotations

import contextlib
import errno
import os
import ssl
import stat
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NO_SUCH_FILE = os.strerror(errno.ENOENT)

#: Seconds that all the operator's files together may take to be read: a network file system that is away answers never.
ANSWER_SECONDS = 2.0

#: Bytes of a file that show that its file system answers.
_ENOUGH = 1 << 16


def silent(paths: Iterable[Path]) -> list[Path]:
    """Those of the files and directories that cannot be read within ANSWER_SECONDS; raises nothing."""
    # A read that hangs cannot be called off: its thread is left behind, and ends with the process.
    threads = [(path, threading.Thread(target=_read, args=(path,), daemon=True)) for path in dict.fromkeys(paths)]
    for _, thread in threads:
        thread.start()
    until = time.monotonic() + ANSWER_SECONDS
    for _, thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return [path for path, thread in threads if thread.is_alive()]


def _read(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir():
            for inner in path.rglob("*"):
                _read(inner)
        elif path.is_file():
            with path.open("rb") as file:
                file.read(_ENOUGH)


@dataclass(frozen=True)
class Files:
    """The files of this machine. Each method raises OSError where it does not say otherwise."""

    def text(self, path: Path, encoding: str = "utf-8") -> str:
        """What is in a file. Raises UnicodeError too."""
        return path.read_text(encoding=encoding)

    def look_into(self, directory: Path) -> None:
        """Raises OSError when the directory cannot be listed; ``listed`` passes over that."""
        with os.scandir(directory):
            pass

    def listed(self, directory: Path, pattern: str) -> list[Path]:
        """What is in a directory, sorted. Raises nothing for one that is not there."""
        return sorted(directory.glob(pattern))

    def is_file(self, path: Path) -> bool:
        """Whether it is a regular file. Raises nothing for one that is not there."""
        return path.is_file()

    def is_directory(self, path: Path) -> bool:
        """Whether it is a directory. Raises nothing for one that is not there."""
        return path.is_dir()

    def is_executable(self, path: Path) -> bool:
        """Whether it has an execute bit."""
        # Not os.access: without DAC_OVERRIDE root may not run what only the script user may.
        return bool(path.stat().st_mode & 0o111)

    def can_run(self, path: Path) -> bool:
        """Whether it is executable, and its file system lets it be executed."""
        return self.is_executable(path) and not os.statvfs(path).f_flag & os.ST_NOEXEC

    def size(self, path: Path) -> int:
        """Bytes of the file system that ``path`` lies in, or would: it need not be there."""
        while not path.exists():
            path = path.parent
        found = os.statvfs(path)
        return found.f_blocks * found.f_frsize

    def unreadable(self, path: Path) -> str | None:
        """Why ``path`` is no file that can be looked at, in the kernel's words; None when it is one. Raises nothing."""
        try:
            return None if stat.S_ISREG(path.stat().st_mode) else "it is no regular file"
        except OSError as error:
            return error.strerror

    def use_certificates(self, ca: Path) -> None:
        """Has OpenSSL read certificates. Raises ssl.SSLError, and ValueError when it is empty or no text."""
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=self.text(ca, "ascii"))

    def use_bundle(self, ca: Path) -> None:
        """The same of a file that may have words of any kind between its certificates. Raises OSError."""
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=ca)

    def use_key(self, cert: Path, key: Path) -> None:
        """Has OpenSSL join a key and its certificate. Raises ssl.SSLError."""
        # A key that asks for its password would ask on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password=lambda: b"")

"""How a program in a node tells a test that it has come to a certain point."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Self

from lab import LIMIT_SECONDS

if TYPE_CHECKING:
    from pathlib import Path


class Fifo:
    """A FIFO that everybody may write to, for the time of a `with` block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = -1

    def __enter__(self) -> Self:
        os.mkfifo(self.path)
        self.path.chmod(0o666)
        # For writing too: it is open before anybody writes, and never at its end.
        self._handle = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def wait_for(self, text: str, timeout: float = LIMIT_SECONDS) -> None:
        """Wait until `text` has been written; AssertionError after `timeout` seconds, or when it was something else."""
        deadline = time.monotonic() + timeout
        written = ""
        while written != text:
            ready, _, _ = select.select([self._handle], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{written!r} and not {text!r} was written to {self.path.name} within {timeout:g} s"
            written += os.read(self._handle, 1).decode()
            assert text.startswith(written), f"{written!r} and not {text!r} was written to {self.path.name}"

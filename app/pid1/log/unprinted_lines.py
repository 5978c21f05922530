"""The lines that are left when the log forwarder has stopped."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Seconds that a standard output which takes nothing may hold up the end of a node.
PATIENCE_SECONDS = 0.2

#: A pipe that poll(2) calls writable takes this much at once (PIPE_BUF, pipe(7)).
_ATOMIC = 4096


def print_lines(stream: int, lines: Iterable[str]) -> None:
    """Writes ``lines`` to the descriptor ``stream``, unless nobody reads there."""
    ready = select.poll()
    ready.register(stream, select.POLLOUT)
    left = memoryview("".join(f"{line}\n" for line in lines).encode())
    try:
        while left:
            if not ready.poll(PATIENCE_SECONDS * 1000):
                return
            left = left[os.write(stream, left[:_ATOMIC]) :]
    except OSError:  # its reader is gone
        return

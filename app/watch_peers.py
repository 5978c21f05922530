"""The sibling that looks up ``dns:`` peers again and again, and asks PID 1 for a reload when they have changed.

Run with ``-I -S`` it takes 4 MiB. What it prints is logged by PID 1.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path

#: What the last look-up of a name gave.
Addresses = list[str]


def look_up(name: str) -> Addresses:
    """The addresses of ``name``, sorted; empty when it has none or nobody answers."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_RAW)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in found})


class Watch:
    """Compares what names stand for with what they stood for; gives a line only when there is something new to say."""

    def __init__(self) -> None:
        self._silent: set[str] = set()

    def judge(self, name: str, known: Addresses, found: Addresses) -> tuple[bool, str | None]:
        """Whether a reload is due, and what to log."""
        if not found:
            if name in self._silent:
                return False, None
            self._silent.add(name)
            return False, f"dns:{name} has no answer, keeping {', '.join(known)}"
        again = f"dns:{name} answers again" if name in self._silent else None
        self._silent.discard(name)
        if set(found) == set(known):
            return False, again
        return True, f"dns:{name} is {', '.join(found)}, was {', '.join(known)}"


def main(config: str, pid_1: str) -> None:
    """Until it is stopped. ``config`` is written anew by a reload, so it is read anew each time."""
    watch = Watch()
    while True:
        asked = json.loads(Path(config).read_text(encoding="utf-8"))
        is_due = False
        for name, known in asked["names"].items():
            has_changed, line = watch.judge(name, known, look_up(name))
            if line:
                print(line, flush=True)
            is_due |= has_changed
        if is_due:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as report:
                report.sendto(b"X_RELOAD=1\n", pid_1)
        time.sleep(asked["refresh"])


if __name__ == "__main__":
    main(*sys.argv[1:])

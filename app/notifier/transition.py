"""Transitions, and the lines that keepalived writes of them.

NamedTuples here, not dataclasses: those would make this process, which mostly waits, 1.3 MiB larger.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: The states that hooks hear of. keepalived writes no other word for a transition; what it may write besides (priority
#: changes, adverts of a lower priority) is none. An instance that a reload takes away goes to FAULT.
STATES = frozenset({"MASTER", "BACKUP", "FAULT", "STOP"})

# keepalived.conf(5), vrrp_notify_fifo. Seen with 2.2.7: `INSTANCE "main" MASTER 100`, and `GROUP "both" MASTER 0`.
_LINE = re.compile(rb'INSTANCE "(.*)" ([A-Z_]+) ([0-9]+)')


class ToldState(NamedTuple):
    """What one line says: an instance is in a state, with the priority that it has now."""

    instance: str
    state: str
    priority: int


class Transition(NamedTuple):
    """A change, when it was heard of, and what came before.

    `number` counts up; `time` is in seconds since the epoch, `clock` the same moment in CLOCK_MONOTONIC; `previous` is
    None where it is not known.
    """

    number: int
    time: float
    clock: float
    instance: str
    state: str
    previous: str | None
    priority: int

    def __str__(self) -> str:
        return f"{self.instance} {self.state} {self.priority}"


def parse(line: bytes) -> ToldState | None:
    """The change of an instance that `line` tells of, without its newline; None for any other line."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    state = found[2].decode()
    return ToldState(found[1].decode(errors="replace"), state, int(found[3])) if state in STATES else None


class Lines:
    """Makes lines of what is read from a pipe."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

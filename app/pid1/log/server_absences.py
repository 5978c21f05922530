"""Which servers are away, as far as the log forwarder says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Seconds without a complaint after which a server counts as there again: rsyslog tries every 10 at the least.
QUIET_SECONDS = 90.0

#: Seconds in which all that the forwarder has to say of a server that went away is shown; then it only repeats itself.
SHOWN_FOR_SECONDS = 1.0

#: Seconds between two lines that say how much waits for a server that is away.
REMIND_SECONDS = 600.0

_SUSPENDED = re.compile(r"^action '(?P<target>[^']+)' suspended")
_RESUMED = re.compile(r"^action '(?P<target>[^']+)' resumed")
_TROUBLE = re.compile(
    r"closed connection|TCPSendBuf error|session (?:broken|terminated)|cannot connect|error opening|could not connect|"
    r"connection refused|no working target servers",
    re.IGNORECASE,
)


@dataclass
class _Absence:
    since: float
    last: float
    reminded: float


@dataclass(frozen=True)
class Heard:
    """What a message of the forwarder's says: the server that has just gone away, if one has; and nothing new?"""

    gone: str | None = None
    is_old: bool = False


class ServerAbsences:
    """Follows the forwarder's messages. ``targets`` as rsyslog.conf names them."""

    def __init__(self, targets: Sequence[str]) -> None:
        self.targets = targets
        self._absences: dict[str, _Absence] = {}

    def hear(self, text: str, now: float) -> Heard:
        """Takes one message; ``now`` in seconds."""
        if resumed := _RESUMED.search(text):
            self._absences.pop(resumed["target"], None)
            return Heard()
        suspended = _SUSPENDED.search(text)
        if not suspended and not _TROUBLE.search(text):
            return Heard()
        target = suspended["target"] if suspended else self._named(text)
        if target is None:  # of one of them
            is_old = bool(self._absences) and all(now - a.since > SHOWN_FOR_SECONDS for a in self._absences.values())
            return Heard(is_old=is_old)
        known = self._absences.get(target)
        if known is None or now - known.last > QUIET_SECONDS:
            self._absences[target] = _Absence(now, now, now)
            return Heard(gone=target)
        known.last = now
        return Heard(is_old=now - known.since > SHOWN_FOR_SECONDS)

    def _named(self, text: str) -> str | None:
        return next((target for target in self.targets if target.partition("://")[2] in text), None)

    def reminder(self, target: str, now: float) -> float | None:
        """For how many seconds ``target`` has been away, when it is time to say so."""
        absence = self._absences.get(target)
        if absence is None or now - absence.reminded < REMIND_SECONDS:
            return None
        absence.reminded = now
        return now - absence.since

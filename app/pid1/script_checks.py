"""Script checks that are not run any more: where no process can be started keepalived keeps their last result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.contract.gates import OPEN, SHUT
from app.contract.verdict import write_in_place

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.paths import Layout


class ScriptWatch:
    """Shuts the gate of instances with a script check while one of the checks has not been run for too long."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._overdue: set[str] = set()
        #: When the result of each check changed last: the stamp, and the seconds since the boot at which it was seen.
        self._seen: dict[str, tuple[int | None, float]] = {}
        self._is_shut: bool | None = None

    def look(self, uptime: float) -> str | None:
        """Once a second, with the seconds since the boot; gives what there is to log. Raises OSError."""
        # Twice in a row: a machine that slept has had no time to run them yet.
        overdue, before = self._overdue_now(uptime), self._overdue
        self._overdue = overdue
        is_shut = bool(overdue & before)
        if is_shut == self._is_shut:
            return None
        write_in_place(self._layout.script_gate, SHUT if is_shut else OPEN)
        was_known, self._is_shut = self._is_shut is not None, is_shut
        if is_shut:
            names = ", ".join(sorted(overdue))
            why = "no process can be started (a limit of processes, or of memory)?"
            return f"{names}: not run for too long, which counts as failed; {why}"
        return "script checks are run again" if was_known else None

    def _overdue_now(self, uptime: float) -> set[str]:
        found = set()
        for line in self._layout.script_limits.read_text(encoding="ascii").splitlines():
            name, _, seconds = line.partition(" ")
            # Written at each run. Only the script user may read it, and the clock that stamps it may jump:
            # what counts is when it last changed, by the clock that does not.
            stamp = _stamp(self._layout.override_state(name) / "result")
            known, since = self._seen.get(name, (None, uptime))
            if stamp != known:
                self._seen[name] = stamp, uptime
            elif stamp is not None and uptime - since > float(seconds):
                found.add(name)
        return found


def _stamp(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None  # it has not been run yet, which keepalived itself waits for

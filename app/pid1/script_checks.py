"""Script checks that are not run any more: where no process can be started keepalived keeps their last result."""

from __future__ import annotations

import json
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
        for line in _text(self._layout.script_limits).splitlines():
            name, _, seconds = line.partition(" ")
            try:
                # Written in place by the wrapper, always as long: one object, or none before the first run.
                ended = float(json.loads(_text(self._layout.override_state(name) / "result"))["at"])
            except (ValueError, KeyError, TypeError):
                continue
            if uptime - ended > float(seconds):
                found.add(name)
        return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

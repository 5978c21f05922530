"""What the status process may know of the checks: every target's state, since when, and why it failed last."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from app.checks.verdict import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from app.checks.check import Check


class Report:
    """The report file; rewritten when something in it changed, and never before the verdict of that change.

    Times in it are seconds since boot (CLOCK_BOOTTIME), as in the heartbeat: they survive clock changes.
    """

    def __init__(self, path: Path, checks: Sequence[Check]) -> None:
        self._path = path
        self._checks = checks
        self._written: list[int] | None = None

    def write(self, now: float) -> None:
        """Writes when a check changed since the last time; `now`: the clock of the checks, seconds. Raises OSError."""
        versions = [check.version for check in self._checks]
        if versions == self._written:
            return
        shift = time.clock_gettime(time.CLOCK_BOOTTIME) - now
        content = {"checks": [_check(check, shift) for check in self._checks]}
        write_atomically(self._path, json.dumps(content) + "\n")
        self._written = versions


def _check(check: Check, shift: float) -> dict[str, Any]:
    return {
        "name": check.settings.name,
        "up": check.is_up,
        "maintenance": None if check.maintenance is None else str(check.maintenance),
        "targets": [
            {
                "target": target.label,
                "state": target.machine.state.value,
                "since": round(target.machine.since + shift, 2),
                "reason": target.reason,
                "details": target.details,
            }
            for target in check.targets
        ],
    }

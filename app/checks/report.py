"""The report file: every target's state, since when, and why it failed last."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

from app.contract.checks_report import CheckReport, ChecksReport, TargetReport
from app.contract.json_file import to_json
from app.contract.verdict import write_atomically

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence
    from pathlib import Path

    from app.checks.check import RunningCheck

DELAY_SECONDS = 0.05
"""Seconds from a change to the report of it: many targets often change together."""


class ReportFile:
    """Writes the file soon after something in it has changed, and never before the verdict of that change."""

    def __init__(self, path: Path, checks: Sequence[RunningCheck], log: logging.Logger) -> None:
        self._path = path
        self._checks = checks
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._is_due = False

    def watch(self) -> None:
        """Writes the first report, and one after every change from now on."""
        for check in self._checks:
            check.changed.append(self._note)
        self._note()

    def _note(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_later(DELAY_SECONDS, self._write)

    def _write(self) -> None:
        self._is_due = False
        # In this order: when this process is put off between the two, changes look older, and never yet to come.
        shift = time.clock_gettime(time.CLOCK_BOOTTIME) - self._loop.time()
        report = ChecksReport(tuple(_check(check, shift) for check in self._checks))
        try:
            write_atomically(self._path, to_json(report))
        except OSError as error:
            # The verdicts are what counts; they say it themselves when they cannot be written.
            self._log.warning("%s: cannot be written: %s", self._path, error.strerror)


def _check(check: RunningCheck, shift: float) -> CheckReport:
    targets = (
        TargetReport(
            target=target.label,
            state=target.machine.state.value,
            since=_not_later(target.machine.since + shift),
            reason=target.reason,
            details=target.details,
        )
        for target in check.targets
    )
    return CheckReport(check.settings.name, check.is_up, tuple(targets))


def _not_later(seconds: float) -> float:
    """Hundredths, rounded down: a reader that looks at once must not find a change that is still to come."""
    return math.floor(seconds * 100) / 100

"""What may be known of the checks: the http-checker's report of every target. Nothing in the image reads it yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TargetReport:
    """One target. ``since`` in seconds since the boot (CLOCK_BOOTTIME), which survive a change of the clock."""

    target: str
    state: str
    since: float
    reason: str
    details: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """One check, and what its verdict says."""

    name: str
    up: bool
    targets: tuple[TargetReport, ...]


@dataclass(frozen=True, slots=True)
class ChecksReport:
    """The file report.json."""

    checks: tuple[CheckReport, ...]

"""How many probes the hints of one target may cause: some at once, then a few a second."""

from __future__ import annotations

AT_ONCE = 3
"""Hints that may each cause a probe at once: a death often has several (two families, a connection)."""

PACE_SECONDS = 0.3
"""Seconds for each hint after those."""


class HintBudget:
    """When the probe of a hint may start; a hint is put off, never lost. It reads no clock."""

    __slots__ = ("_spent_until",)

    def __init__(self) -> None:
        self._spent_until = 0.0

    def take(self, now: float) -> float:
        """The time, `now` or later, at which the probe of a hint that comes `now` may start."""
        self._spent_until = max(self._spent_until, now) + PACE_SECONDS
        return max(now, self._spent_until - AT_ONCE * PACE_SECONDS)

"""One check: the states of its targets, the verdict they make together, and the words when something changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.checks.state import RiseAndFall, TargetState

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from app.checks.state import StateChange
    from app.contract.checker_config import CheckerCheck as Settings
    from app.contract.verdict import Verdict

REASON_PAUSE_SECONDS = 30.0
"""Seconds between two lines that only say that a target which is down fails for another reason now."""


class RunningCheck:
    """Up when every target is up; publishes that before it says anything.

    It starts where the last process left off: an up verdict means every target was up, so a restart needs `fall`
    failures like any other moment. Anything else means INIT: `rise` successes, and the first failure is said.
    """

    def __init__(self, settings: Settings, verdict: Verdict, log: logging.Logger, at: float) -> None:
        self.settings = settings
        self._verdict = verdict
        self._log = log
        self._published = verdict.was_up()
        if not self._published:
            verdict.write(up=False)
        self.resumed_up = self._published
        self.changed: list[Callable[[], None]] = []
        """Called after every change that a reader of the states may want to know of."""
        start = TargetState.UP if self._published else TargetState.INIT
        self.targets = [
            WatchedTarget(target.address.label, RiseAndFall(settings.rise, settings.fall, state=start, at=at))
            for target in settings.targets
        ]
        self._not_up = 0 if self._published else len(self.targets)

    @property
    def is_up(self) -> bool:
        """What the verdict file says."""
        return self._published

    def record(self, index: int, at: float, *, ok: bool) -> StateChange | None:
        """Takes in one result of a target; a changed verdict is in its file when this returns. Raises OSError."""
        machine = self.targets[index].machine
        before = machine.state
        change = machine.feed(at, ok=ok)
        if change is not None:
            self._not_up = sum(not target.machine.state.is_up for target in self.targets)
            self._publish()
        if machine.state is not before:
            self._tell()
        return change

    def explain(self, index: int, at: float, change: StateChange | None, reason: str, details: str) -> None:
        """Says what `record` gave, when there is something new to say; `reason` is empty for a success."""
        target = self.targets[index]
        if change is not None:
            self._say_change(target, change, reason, details)
        elif reason and target.machine.state is TargetState.DOWN:
            if reason == target.reason or at < target.said_at + REASON_PAUSE_SECONDS:
                return
            self._log.info("%s: still DOWN: %s", target.label, _joined(reason, details))
        else:
            if reason:
                self._log.debug("%s: one failure: %s", target.label, _joined(reason, details))
            return
        target.reason, target.details, target.said_at = reason, details, at
        self._tell()

    def _tell(self) -> None:
        for told in self.changed:
            told()

    def _publish(self) -> None:
        up = self._not_up == 0
        if up != self._published:
            self._verdict.write(up=up)
            self._published = up

    def _say_change(self, target: WatchedTarget, change: StateChange, reason: str, details: str) -> None:
        if change.state is TargetState.UP:
            self._log.info("%s: UP after %s", target.label, _counted(change.count, "success", "successes"))
        else:
            failures = _counted(change.count, "failure", "failures")
            self._log.warning("%s: DOWN after %s: %s", target.label, failures, _joined(reason, details))
        if len(self.targets) > 1:
            self._log.info("%s: %d of %d targets are up", self.settings.name, self._up_count(), len(self.targets))

    def _up_count(self) -> int:
        return len(self.targets) - self._not_up


class WatchedTarget:
    """One target as its check sees it, with the reason that was said last and when (seconds)."""

    __slots__ = ("details", "label", "machine", "reason", "said_at")

    def __init__(self, label: str, machine: RiseAndFall) -> None:
        self.label = label
        self.machine = machine
        self.reason = ""
        self.details = ""
        self.said_at = float("-inf")


def _joined(reason: str, details: str) -> str:
    return f"{reason} ({details})" if details else reason


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"

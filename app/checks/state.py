"""Rise and fall: turns single probe results into a steady verdict on one target."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class TargetState(enum.Enum):
    """Where a target is on the way between up and down; INIT, and RISING after it: nothing is known yet."""

    INIT = "init"
    RISING = "rising"
    UP = "up"
    FALLING = "falling"
    DOWN = "down"

    @property
    def is_up(self) -> bool:
        """A falling target still counts as up, a rising one not yet."""
        return self in (TargetState.UP, TargetState.FALLING)

    @property
    def is_pending(self) -> bool:
        """The next results decide: this is when probing faster pays."""
        return self in (TargetState.INIT, TargetState.RISING, TargetState.FALLING)


@dataclass(frozen=True, slots=True)
class StateChange:
    """A target became UP or DOWN at `at` (seconds of the caller's clock) after `count` equal results in a row."""

    state: TargetState
    at: float
    count: int


class RiseAndFall:
    """The state of one target, fed with (time, result) events; it reads no clock and knows no network.

    `rise` successes in a row make a target UP, `fall` failures in a row make it DOWN. Before the first
    of either, one failure is enough: nothing is published as up yet, so there is nothing to protect from flapping.
    """

    __slots__ = ("_count", "_fall", "_known", "_rise", "since", "state")

    def __init__(self, rise: int, fall: int, *, state: TargetState = TargetState.INIT, at: float = 0.0) -> None:
        self._rise = rise
        self._fall = fall
        self._count = 0
        self._known = state is not TargetState.INIT
        self.state = state
        self.since = at

    def feed(self, at: float, *, ok: bool) -> StateChange | None:
        """Takes one result in; gives the change when the target became UP or DOWN by it."""
        if ok:
            return self._step(at, self.state.is_up, self._rise, TargetState.RISING, TargetState.UP)
        stays = self._known and not self.state.is_up
        return self._step(at, stays, self._fall if self._known else 1, TargetState.FALLING, TargetState.DOWN)

    def _step(self, at: float, stays: bool, need: int, way: TargetState, goal: TargetState) -> StateChange | None:
        """One step towards `goal`; `stays`: the target counts as that already, and the result confirms it."""
        if stays:
            self._count = 0
            self._enter(goal, at)
            return None
        if self.state is not way:
            self._count = 0
        self._count += 1
        if self._count < need:
            self._enter(way, at)
            return None
        change = StateChange(goal, at, self._count)
        self._count = 0
        self._known = True
        self._enter(goal, at)
        return change

    def _enter(self, state: TargetState, at: float) -> None:
        if state is not self.state:
            self.state = state
            self.since = at

"""When each target is probed: at a fixed rate that does not drift, spread over the interval, never twice at once."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from app.checks.instant.budget import HintBudget
from app.checks.state import TargetState

if TYPE_CHECKING:
    from app.checks.check import RunningCheck
    from app.checks.probe import Prober, ProbeResult

STALL_SECONDS = 0.25
"""Seconds that a time-out may fire late before it says more about this process than about the target."""

BUNDLE_SECONDS = 0.04
"""Seconds between the starts of two probes, or they start together: one wake-up for many halves what each costs."""

CONFIRM_SECONDS = 0.01
"""Seconds from a bad answer that a hint led to until the next probe: enough for a listener to be handed over."""

_TINY = 1e-6


def spread(place: int, places: int, interval: float) -> float:
    """Seconds into the interval at which target number `place` of `places` has its slots."""
    return math.floor(interval * place / places / BUNDLE_SECONDS + _TINY) * BUNDLE_SECONDS


def next_slot(phase: float, slot: float, period: float, now: float) -> float:
    """The time of the next probe after the one of `slot`; all in seconds of one clock.

    Slots are `phase + n × period`. When one or more passed while the last probe ran, the latest of them is due at
    once and the others are dropped, so that a slow target neither shifts the schedule nor queues probes up.
    """
    following = phase + (math.floor((slot - phase) / period + _TINY) + 1) * period
    if following > now:
        return following
    return phase + math.floor((now - phase) / period + _TINY) * period


class ProbeLoop:
    """Probes one target for ever and tells its check; sets `answered` with every result."""

    def __init__(self, check: RunningCheck, index: int, prober: Prober, answered: asyncio.Event, phase: float) -> None:
        self._check = check
        self._index = index
        self._prober = prober
        self._answered = answered
        self._phase = phase
        self._machine = check.targets[index].machine
        self._hung = False
        self._excused = False
        self._budget = HintBudget()
        self._hint_at = math.inf
        self._may_be_dead = False
        self._is_urgent = False
        self._waiter: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self.due = math.inf
        """When the probe that is running has to be over; infinite while none is."""

    @property
    def label(self) -> str:
        """The target as people may see it."""
        return self._check.targets[self._index].label

    @property
    def counts_as_up(self) -> bool:
        """Whether the target is up, as far as its last results say."""
        return self._machine.state.is_up

    def hint(self) -> None:
        """Something happened to the target: it is asked at once, as far as HintBudget lets it.

        If the answer is bad, `fall` of them in quick succession are enough; one good answer, and all is as it was.
        """
        if self._is_urgent and self._machine.state is TargetState.FALLING:
            return  # it is being confirmed
        self._may_be_dead = True
        self.ask_now()

    def ask_now(self) -> None:
        """The target is asked at once, as far as HintBudget lets it; what a bad answer is worth stays the same."""
        if self._hint_at < math.inf:
            return
        loop = asyncio.get_running_loop()
        self._hint_at = self._budget.take(loop.time())
        if self._waiter is not None and self._alarm is not None and self._hint_at < self._alarm.when():
            self._alarm.cancel()
            self._alarm = loop.call_at(self._hint_at, _wake, self._waiter)

    async def run(self) -> None:
        """Does not return. Raises what nobody foresaw, and OSError when the verdict cannot be written."""
        loop = asyncio.get_running_loop()
        slot = self._phase
        while True:
            await self._sleep_until(slot)
            started = loop.time()
            slot = min(slot, started)  # a hint does not use up the slot that it was before
            self._take_hint()
            limit = self._limit()
            self.due = started + limit
            answer = await self._prober.probe(limit)
            ended = loop.time()
            self.due = math.inf
            if self._is_excused(answer, late=ended - started - limit):
                slot = ended
                continue
            await self._tell(answer, ended)
            self._answered.set()
            if self._must_confirm():
                slot = ended + CONFIRM_SECONDS
            else:
                slot = next_slot(self._phase, slot, self._period(), loop.time())

    async def _sleep_until(self, slot: float) -> None:
        """Until `slot`, or until an earlier hint."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        self._alarm = loop.call_at(min(slot, self._hint_at), _wake, self._waiter)
        try:
            await self._waiter
        finally:
            self._alarm.cancel()
            self._waiter = self._alarm = None

    def _must_confirm(self) -> bool:
        """Whether the bad answer just now is to be confirmed at once: a hint led to it, or came while it was due."""
        if self._machine.state is not TargetState.FALLING:
            self._is_urgent = False
        else:
            self._take_hint()
        return self._is_urgent

    def _take_hint(self) -> None:
        """What is asked now, or very soon, is the answer to the hints so far."""
        self._hint_at = math.inf
        self._is_urgent = self._is_urgent or self._may_be_dead
        self._may_be_dead = False

    async def _tell(self, answer: ProbeResult, at: float) -> None:
        change = self._check.record(self._index, at, ok=answer.ok)
        self._hung = self._machine.state is TargetState.FALLING and (self._hung or answer.timed_out)
        details = await answer.finish()
        self._check.explain(self._index, at, change, answer.reason, details)

    def _period(self) -> float:
        settings = self._check.settings
        if self._machine.state.is_pending:
            return settings.fast_interval
        return settings.interval if self._machine.state is TargetState.UP else settings.slow_interval

    def _limit(self) -> float:
        """The time-out; one hang of a pending fall may take all of it, those after it only the fast interval.

        Else `fall` hangs would cost `fall` time-outs, however short the fast interval.
        """
        settings = self._check.settings
        if self._hung and settings.fast_interval < settings.interval:
            return min(settings.timeout, settings.fast_interval)
        return settings.timeout

    def _is_excused(self, answer: ProbeResult, late: float) -> bool:
        """Whether a time-out is to be asked again because this process itself stood still; never twice in a row."""
        self._excused = answer.timed_out and late > STALL_SECONDS and not self._excused
        return self._excused


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)

"""When probes happen: fixed slots, no drift, no overlap, and what a standstill of the checker is worth."""

from __future__ import annotations

import asyncio
import logging
import math
import selectors
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.checks.check import RunningCheck
from app.checks.instant.budget import AT_ONCE, PACE_SECONDS
from app.checks.probe import ProbeResult
from app.checks.schedule import BUNDLE_SECONDS, CONFIRM_SECONDS, STALL_SECONDS, ProbeLoop, next_slot, spread
from app.contract.verdict import Verdict
from tests.unit.checks.described import checker_check

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine
    from pathlib import Path

PERIODS = st.sampled_from([0.01, 0.1, 0.3, 0.5, 1.0, 2.0, 7.0])


@given(st.floats(0, 1e6), PERIODS, st.integers(0, 10**6), st.floats(0, 0.99))
def test_on_time_each_slot_follows_the_last_without_drift(
    phase: float, period: float, number: int, late: float
) -> None:
    slot = phase + number * period
    assert next_slot(phase, slot, period, slot + late * period) == pytest.approx(phase + (number + 1) * period)


@given(st.floats(0, 1e5), PERIODS, st.integers(0, 10**5), st.floats(1.01, 50))
def test_after_an_overrun_the_last_missed_slot_is_due_at_once(
    phase: float, period: float, number: int, late: float
) -> None:
    slot = phase + number * period
    now = slot + late * period
    chosen = next_slot(phase, slot, period, now)
    assert now - period - 1e-3 <= chosen <= now + 1e-3
    steps = (chosen - phase) / period
    assert math.isclose(steps, round(steps), abs_tol=1e-3)


def test_a_faster_period_keeps_the_phase() -> None:
    assert next_slot(0.3, 10.3, 0.5, 10.31) == pytest.approx(10.8)
    assert next_slot(0.3, 10.8, 2.0, 10.81) == pytest.approx(12.3)


@given(st.integers(1, 700), PERIODS)
def test_targets_are_spread_evenly_in_bundles(places: int, interval: float) -> None:
    phases = [spread(place, places, interval) for place in range(places)]
    for place, phase in enumerate(phases):
        assert -1e-6 < interval * place / places - phase < BUNDLE_SECONDS + 1e-6
    assert phases[0] == 0
    assert max(map(phases.count, phases)) <= math.ceil(places * BUNDLE_SECONDS / interval) + 1


class Script:
    """A prober that does what the test says, and notes when it was asked and how long it might take."""

    def __init__(
        self, answer: Callable[[int], ProbeResult], takes: Callable[[int, float], float] = lambda *_: 0.0
    ) -> None:
        self._answer = answer
        self._takes = takes
        self.started: list[float] = []
        self.limits: list[float] = []
        self.running = 0

    async def probe(self, limit: float) -> ProbeResult:
        assert self.running == 0
        self.running += 1
        self.started.append(asyncio.get_running_loop().time())
        self.limits.append(limit)
        number = len(self.started)
        await asyncio.sleep(self._takes(number, limit))
        self.running -= 1
        return self._answer(number)


def watched(directory: Path, script: Script, *, was: str = "1", **settings: float) -> tuple[RunningCheck, ProbeLoop]:
    """A check of one target and the watch that asks `script`."""
    (directory / "http").write_text(was)
    verdict = Verdict(directory / "http", 0, 1)
    check = RunningCheck(checker_check("http://192.0.2.1/", **settings), verdict, logging.getLogger("test"), 0.0)
    return check, ProbeLoop(check, 0, script, asyncio.Event(), asyncio.get_running_loop().time())


async def until(watch: ProbeLoop, done: Callable[[], bool]) -> None:
    """Runs the watch until `done`, at most 30 seconds."""
    task = asyncio.ensure_future(watch.run())
    try:
        async with asyncio.timeout(30):
            while not done():
                assert not task.done(), task.exception()
                await asyncio.sleep(0.002)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


GOOD = ProbeResult(ok=True)
BAD = ProbeResult(ok=False, reason="answered 500 Internal Server Error, not 200")
HUNG = ProbeResult(ok=False, reason="no answer within 0.1 s", timed_out=True)


SLOW = {"interval": 6, "rise": 2, "fall": 3}


class Jump(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to what is due next, instead of waiting for it."""

    def __init__(self) -> None:
        self._time = 1000.0
        selector = selectors.DefaultSelector()
        select = selector.select

        def jump(timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            self._time += timeout or 0.0
            return select(0)

        selector.select = jump  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        return self._time


def starts(directory: Path, script: Script, count: int, **settings: float) -> list[float]:
    """When so many probes were started, in seconds after the first."""

    async def run() -> None:
        _check, watch = watched(directory, script, was="1", **settings)
        await until(watch, lambda: len(script.started) >= count)

    jump(run())
    return [at - script.started[0] for at in script.started[:count]]


def jump(work: Coroutine[None, None, None]) -> None:
    """Runs it by a clock that jumps."""
    with asyncio.Runner(loop_factory=Jump) as runner:
        runner.run(work)


def after_hints(
    directory: Path,
    bad: Collection[int],
    hints: Collection[int],
    count: int,
    *,
    ask: Callable[[ProbeLoop], None] = ProbeLoop.hint,
) -> tuple[list[float], bool]:
    """When the first `count` probes started, and whether the check was up then.

    The probes of the numbers `bad` fail; 0.1 s after each of the numbers `hints` comes a hint.
    """
    verdicts = []

    async def run() -> None:
        loop = asyncio.get_running_loop()

        def answer(number: int) -> ProbeResult:
            if number in hints:
                loop.call_later(0.1, ask, watch)
            return BAD if number in bad else GOOD

        script = Script(answer)
        check, watch = watched(directory, script, was="0", **SLOW)

        def done() -> bool:
            if len(script.started) < count:
                return False
            verdicts.append(check.is_up)
            return True

        await until(watch, done)
        times.extend(at - script.started[0] for at in script.started[:count])

    times: list[float] = []
    jump(run())
    return times, verdicts[0]


def test_probes_keep_to_their_slots(tmp_path: Path) -> None:
    script = Script(lambda _number: GOOD, takes=lambda _number, _limit: 0.03)
    assert starts(tmp_path, script, 12, interval=0.1, rise=1, fall=1) == pytest.approx([0.1 * n for n in range(12)])


async def test_a_hanging_target_is_never_probed_twice_at_once(tmp_path: Path) -> None:
    script = Script(lambda _number: HUNG, takes=lambda _number, limit: limit)
    _check, watch = watched(tmp_path, script, interval=0.03, timeout=0.1, rise=1, fall=1)
    await until(watch, lambda: len(script.started) >= 6)


async def test_a_pending_change_is_decided_fast(tmp_path: Path) -> None:
    script = Script(lambda _number: BAD)
    check, watch = watched(tmp_path, script, was="0", interval=60, fast_interval=0.05, rise=2, fall=3)
    assert check.is_up
    await until(watch, lambda: not check.is_up)
    assert len(script.started) == 3
    assert (tmp_path / "http").read_text() == "1\n"


def test_a_target_that_is_down_is_probed_slowly(tmp_path: Path) -> None:
    script = Script(lambda _number: BAD)
    *_, second, third = starts(tmp_path, script, 4, interval=0.02, slow_interval=0.3, rise=2, fall=1)
    assert third - second == pytest.approx(0.3)


async def test_only_the_first_hang_of_a_fall_takes_the_whole_timeout(tmp_path: Path) -> None:
    script = Script(lambda _number: HUNG)
    check, watch = watched(tmp_path, script, was="0", interval=1, fast_interval=0.05, timeout=0.5, rise=1, fall=3)
    await until(watch, lambda: not check.is_up)
    assert script.limits[:3] == [0.5, 0.05, 0.05]


async def test_without_a_fast_interval_the_timeout_is_the_timeout(tmp_path: Path) -> None:
    script = Script(lambda _number: HUNG)
    check, watch = watched(tmp_path, script, was="0", interval=0.05, timeout=0.5, rise=1, fall=3)
    await until(watch, lambda: not check.is_up)
    assert set(script.limits) == {0.5}


async def test_a_timeout_that_fires_late_because_the_checker_stood_still_is_asked_again(tmp_path: Path) -> None:
    def stand_still(number: int, limit: float) -> float:
        if number == 1:
            time.sleep(limit + STALL_SECONDS + 0.1)
        return 0.0

    script = Script(lambda number: HUNG if number == 1 else GOOD, takes=stand_still)
    check, watch = watched(tmp_path, script, was="0", interval=0.1, timeout=0.1, rise=1, fall=1)
    await until(watch, lambda: len(script.started) >= 3)
    assert check.is_up


async def test_a_second_standstill_in_a_row_counts(tmp_path: Path) -> None:
    def stand_still(_number: int, limit: float) -> float:
        time.sleep(limit + STALL_SECONDS + 0.05)
        return 0.0

    verdicts = []

    def hang(_number: int) -> ProbeResult:
        verdicts.append(check.is_up)
        return HUNG

    check, watch = watched(tmp_path, Script(hang, takes=stand_still), was="0", interval=0.1, rise=1, fall=1)
    await until(watch, lambda: len(verdicts) >= 3)
    assert verdicts[:3] == [True, True, False]


async def test_an_unforeseen_error_ends_the_watch(tmp_path: Path) -> None:
    def fail(_number: int) -> ProbeResult:
        raise ZeroDivisionError

    _check, watch = watched(tmp_path, Script(fail), interval=0.1, rise=1, fall=1)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(watch.run(), 30)


def test_a_hint_is_answered_at_once_and_a_failure_confirmed_at_once(tmp_path: Path) -> None:
    times, is_up = after_hints(tmp_path, range(2, 99), {1}, 4)
    assert times == pytest.approx([0, 0.1, 0.1 + CONFIRM_SECONDS, 0.1 + 2 * CONFIRM_SECONDS], abs=0.02)
    assert not is_up


def test_a_hint_alone_changes_nothing(tmp_path: Path) -> None:
    times, is_up = after_hints(tmp_path, (), {1}, 4)
    assert times == pytest.approx([0, 0.1, 6, 12], abs=0.02)
    assert is_up


def test_one_good_answer_ends_the_haste(tmp_path: Path) -> None:
    times, is_up = after_hints(tmp_path, {2, 3, 5}, {1}, 6)
    assert times[3:] == pytest.approx([0.1 + 2 * CONFIRM_SECONDS, 6, 12], abs=0.02)
    assert is_up


def test_a_hint_while_a_fall_is_pending_confirms_it(tmp_path: Path) -> None:
    times, is_up = after_hints(tmp_path, range(2, 99), {2}, 4)
    assert times == pytest.approx([0, 6, 6.1, 6.1 + CONFIRM_SECONDS], abs=0.02)
    assert not is_up


def test_a_request_for_a_probe_makes_no_haste(tmp_path: Path) -> None:
    times, is_up = after_hints(tmp_path, range(2, 99), {1}, 4, ask=ProbeLoop.ask_now)
    assert times == pytest.approx([0, 0.1, 6, 12], abs=0.02)
    assert not is_up


def test_hints_without_end_cause_a_few_probes_a_second(tmp_path: Path) -> None:
    times, is_up = after_hints(tmp_path, (), range(1, 99), 40)
    assert is_up
    assert all(sum(start <= other < start + 1 for other in times) <= AT_ONCE + 1 / PACE_SECONDS + 1 for start in times)
    assert times[-1] < 20  # and none of them is lost


def test_a_hint_while_down_is_one_probe_and_rise_counts(tmp_path: Path) -> None:
    times, is_up = after_hints(tmp_path, {1, 2, 3}, {3}, 6)
    assert times == pytest.approx([0, 6, 12, 12.1, 18, 24], abs=0.02)
    assert is_up


def test_a_hint_during_a_probe_is_not_lost(tmp_path: Path) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()

        def takes(number: int, _limit: float) -> float:
            if number == 1:
                loop.call_later(0.1, watch.hint)
            return 0.2

        script = Script(lambda number: GOOD if number == 1 else BAD, takes=takes)
        check, watch = watched(tmp_path, script, was="0", **SLOW)
        await until(watch, lambda: not check.is_up)
        assert script.started[-1] - script.started[0] < 5

    jump(run())

"""Hints of one target: some at once, then a few a second, none lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.checks.instant.budget import AT_ONCE, PACE_SECONDS, HintBudget

GAPS = st.lists(st.floats(0, 2), max_size=200)


def test_the_first_ones_are_at_once_and_the_next_is_put_off() -> None:
    budget = HintBudget()
    times = [budget.take(10.0) for _ in range(AT_ONCE + 1)]
    assert times[:AT_ONCE] == pytest.approx([10.0] * AT_ONCE)
    assert 10.0 < times[AT_ONCE] <= 10.0 + PACE_SECONDS + 1e-6


@given(GAPS)
def test_no_second_has_more_than_a_few(gaps: list[float]) -> None:
    budget, now, starts = HintBudget(), 0.0, []
    for gap in gaps:
        now += gap
        starts.append(budget.take(now))
        now = max(now, starts[-1])  # a hint that is put off takes those after it in
    most = AT_ONCE + 1 / PACE_SECONDS + 1
    assert all(sum(start <= other < start + 1 for other in starts) <= most for start in starts)


@given(GAPS)
def test_none_is_put_off_for_longer_than_its_pace(gaps: list[float]) -> None:
    budget, now = HintBudget(), 0.0
    for gap in gaps:
        now += gap
        start = budget.take(now)
        assert now <= start <= now + PACE_SECONDS + 1e-6
        now = start

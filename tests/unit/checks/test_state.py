"""The state machine against a plain model, and its named ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.checks.state import RiseAndFall, StateChange, TargetState


def verdicts(results: list[bool], rise: int, fall: int, start: bool | None) -> list[bool | None]:
    """The plain model: after each result, look at the run of equal results that ends with it."""
    given_out: list[bool | None] = []
    verdict = start
    for end, result in enumerate(results, 1):
        run = 0
        while run < end and results[end - 1 - run] == result:
            run += 1
        need = rise if result else (1 if verdict is None else fall)
        if run >= need:
            verdict = result
        given_out.append(verdict)
    return given_out


@given(
    st.lists(st.booleans(), max_size=60),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from([(None, TargetState.INIT), (True, TargetState.UP), (False, TargetState.DOWN)]),
)
def test_agrees_with_the_plain_model(
    results: list[bool], rise: int, fall: int, start: tuple[bool | None, TargetState]
) -> None:
    machine = RiseAndFall(rise, fall, state=start[1])
    before = start[0]
    for at, (result, expected) in enumerate(zip(results, verdicts(results, rise, fall, start[0]), strict=True), 1):
        change = machine.feed(at, ok=result)
        assert machine.state.is_up == (expected is True)
        if expected == before:
            assert change is None
        else:
            assert change is not None
            assert (change.state, change.at) == (TargetState.UP if expected else TargetState.DOWN, at)
            assert machine.state is change.state
            assert machine.since == at
        before = expected


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 4), st.integers(1, 4))
def test_pending_is_exactly_when_the_next_results_may_change_the_verdict(
    results: list[bool], rise: int, fall: int
) -> None:
    machine = RiseAndFall(rise, fall)
    assert machine.state.is_pending
    for at, result in enumerate(results):
        machine.feed(at, ok=result)
        settled = machine.state in (TargetState.UP, TargetState.DOWN)
        assert machine.state.is_pending != settled
        assert settled == (machine.state.is_up == result or machine.state is TargetState.DOWN)


@pytest.mark.parametrize(
    ("rise", "fall", "results", "states"),
    [
        pytest.param(2, 2, "++", "rising up", id="two successes make it up"),
        pytest.param(2, 2, "-", "down", id="before anything is known one failure is enough"),
        pytest.param(3, 2, "+-", "rising down", id="also when it had begun to rise"),
        pytest.param(2, 2, "++-+-+", "rising up falling up falling up", id="a success wipes failures out"),
        pytest.param(2, 2, "++--", "rising up falling down", id="two failures in a row make it down"),
        pytest.param(2, 3, "-+-++", "down rising down rising up", id="a failure wipes successes out"),
        pytest.param(1, 1, "+-+", "up down up", id="one and one: every result counts"),
    ],
)
def test_ways(rise: int, fall: int, results: str, states: str) -> None:
    machine = RiseAndFall(rise, fall)
    seen = []
    for at, result in enumerate(results):
        machine.feed(at, ok=result == "+")
        seen.append(machine.state.value)
    assert " ".join(seen) == states


def test_a_change_says_when_and_after_how_many() -> None:
    machine = RiseAndFall(2, 3, state=TargetState.UP)
    assert machine.feed(1.0, ok=False) is None
    assert machine.feed(2.0, ok=False) is None
    assert machine.feed(2.5, ok=False) == StateChange(TargetState.DOWN, 2.5, 3)
    assert machine.feed(3.0, ok=False) is None
    assert machine.since == 2.5

"""The judge of random faults (lab/judge.py): each rule, with a history that keeps it and one that breaks it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lab.judge import judge, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Line = dict[str, Any]

START = 1_790_000_000.0
BEGIN = {"time": START, "what": "begin", "interval": 0.25}


def held(node: str, start: float, end: float | None = None) -> list[Line]:
    """The node has the VIP from then on."""
    lines = [{"time": START + start, "what": "address", "node": node, "added": True}]
    if end is not None:
        lines.append({"time": START + end, "what": "address", "node": node, "added": False})
    return lines


def fault(node: str, what: str, start: float, end: float | None = None) -> list[Line]:
    """Something is wrong with the node for that time."""
    lines = [{"time": START + start, "what": "fault", "node": node, "fault": what}]
    if end is not None:
        lines.append({"time": START + end, "what": "healed", "node": node, "fault": what})
    return lines


def said(what: str, at: float, **more: object) -> list[Line]:
    """Any other line."""
    return [{"time": START + at, "what": what, **more}]


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., list[str]]:
    """What is found in a history of 100 seconds, without the time of day."""

    def judge_it(*parts: list[Line], begin: Line = BEGIN) -> list[str]:
        lines = [begin, *(line for part in parts for line in part), *said("settled", 100)]
        path = tmp_path / "history.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return [sentence.split(" ", 1)[1] for sentence in judge(read(path))]

    return judge_it


# As long as this one master is there all the time.
ALWAYS = held("n1", 1)


@pytest.mark.parametrize("end", [2.9, 3.2])
def test_two_hold_it(judged: Callable[..., list[str]], end: float) -> None:
    found = judged(ALWAYS, fault("n1", "node killed", 1.5), held("n2", 2, end))
    assert found == ["n1 (node killed) and n2 (sound) held it for 1.20 s"] * (end > 3)


def test_the_longer_adverts_the_sooner_two_are_too_many(judged: Callable[..., list[str]]) -> None:
    begin = BEGIN | {"interval": 1.0}
    assert judged(ALWAYS, held("n2", 2, 2.3), begin=begin) == []
    assert judged(ALWAYS, held("n2", 2, 2.5), begin=begin) == ["n1 (sound) and n2 (sound) held it for 0.50 s"]


def test_a_better_node_comes_while_the_master_dies(judged: Callable[..., list[str]]) -> None:
    begin = BEGIN | {"interval": 1.0}
    dies = fault("n1", "node killed", 10)
    assert judged(held("n1", 1, 12.3), dies, held("n2", 10.1), begin=begin) == []
    found = judged(held("n1", 1, 13), dies, held("n2", 10.1), begin=begin)
    assert found == ["n1 (node killed) and n2 (sound) held it for 0.60 s"]
    # By silence it comes no sooner than two adverts after that.
    assert len(judged(held("n1", 1, 13), dies, held("n2", 12.2), begin=begin)) == 1


@pytest.mark.parametrize("what", ["link cut", "packets lost"])
def test_two_networks_may_have_a_master_each(judged: Callable[..., list[str]], what: str) -> None:
    assert judged(ALWAYS, fault("n1", what, 10, 20), held("n2", 11, 20.5)) == []
    found = judged(ALWAYS, fault("n1", what, 10, 20), held("n2", 11, 22))
    assert found == [f"n1 ({what}) and n2 (sound) held it for 1.75 s"]


def test_what_happens_while_the_machine_stalls_is_not_judged(judged: Callable[..., list[str]]) -> None:
    stall = said("stall", 5, seconds=3.0)
    assert judged(ALWAYS, held("n2", 2, 5), stall) == []
    assert judged(held("n1", 1, 2.2), held("n1", 4.9), stall) == []


def test_nobody_holds_it_though_a_node_is_sound(judged: Callable[..., list[str]]) -> None:
    lines = [held("n1", 1, 20), held("n2", 2, 2.01), fault("n1", "service refuses", 19.9)]
    assert judged(*lines, held("n2", 23.9)) == []
    assert judged(*lines, held("n2", 25)) == ["nobody held it for 5.00 s, though n2 was sound for 5.00"]


def test_nobody_holds_it_while_all_are_at_fault_or_just_healed(judged: Callable[..., list[str]]) -> None:
    lines = [held("n1", 1, 20), held("n2", 2, 2.01), fault("n1", "service refuses", 19.9)]
    assert judged(*lines, fault("n2", "link cut", 18, 50), held("n2", 61.9)) == []
    assert len(judged(*lines, fault("n2", "link cut", 18, 50), held("n2", 63))) == 1


def test_nobody_ever_holds_it(judged: Callable[..., list[str]]) -> None:
    assert judged() == ["ever held it"]  # "nobody", for lack of a time


def test_a_master_that_has_no_reason_to_leave_may_only_blink(judged: Callable[..., list[str]]) -> None:
    harmless = fault("n1", "VIP deleted", 20, 20.001)
    assert judged(held("n1", 1, 20), held("n1", 20.2), harmless) == []
    blink = ["nobody held it for 0.50 s, though no master had to leave"]
    assert judged(held("n1", 1, 20), held("n1", 20.5), harmless) == blink
    assert judged(held("n1", 1, 20), held("n1", 20.5), harmless, fault("n2", "node killed", 10, 15)) == []


def test_exit_statuses(judged: Callable[..., list[str]]) -> None:
    assert judged(ALWAYS, said("exit", 99, node="n1", status=0), said("ended", 50, node="n2", status=70)) == []
    assert judged(ALWAYS, said("exit", 99, node="n1", status=1), said("ended", 50, node="n2", status=0)) == [
        "n2 ended by itself with 0",
        "n1 ended with 1 when it was told to stop",
    ]


def test_a_node_that_ended_for_good_is_not_sound_until_it_runs_again(judged: Callable[..., list[str]]) -> None:
    lines = [held("n1", 1, 20), held("n1", 29), said("ended", 21, node="n1", status=70)]
    assert judged(*lines) == []


def test_what_is_wrong_by_itself(judged: Callable[..., list[str]]) -> None:
    assert judged(
        ALWAYS,
        said("foreign address gone", 30, node="n1", text="192.0.2.1"),
        said("defect", 40, node="n2", text="Traceback (most recent call last):"),
        said("broken off", 50, text="one holder"),
    ) == [
        "n1 foreign address gone: 192.0.2.1",
        "n2 defect: Traceback (most recent call last):",
        "broken off: one holder",
    ]

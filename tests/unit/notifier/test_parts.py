"""Lines, lanes, the journal and what is posted: without a process."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest

from app.contract.notifier_config import NotifierConfig, NotifierLimits
from app.notifier.journal import Journal, Picture, RunningScript
from app.notifier.lanes import Lanes
from app.notifier.post import body
from app.notifier.transition import Lines, ToldState, Transition, parse

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger("test")


def transition(
    number: int, instance: str = "main", state: str = "MASTER", previous: str | None = "BACKUP"
) -> Transition:
    return Transition(number, 1_700_000_000.25, 10.0, instance, state, previous, 100)


# --- Lines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (b'INSTANCE "main" MASTER 100', ToldState("main", "MASTER", 100)),
        (b'INSTANCE "main-ipv6" BACKUP 90', ToldState("main-ipv6", "BACKUP", 90)),
        (b'INSTANCE "main" FAULT 100', ToldState("main", "FAULT", 100)),
        (b'INSTANCE "main" STOP 255', ToldState("main", "STOP", 255)),
        (b'INSTANCE "an "odd" name" STOP 1', ToldState('an "odd" name', "STOP", 1)),
        (b'INSTANCE "main" MASTER_PRIORITY 100', None),
        (b'INSTANCE "main" MASTER_RX_LOWER_PRI 100', None),
        (b'GROUP "both" MASTER 0', None),
        (b'INSTANCE "main" MASTER', None),
        (b"", None),
        (b"\xff\xfe", None),
    ],
)
def test_a_line_is_a_change_of_an_instance_or_nothing(line: bytes, change: ToldState | None) -> None:
    assert parse(line) == change


def test_lines_come_out_whole_however_they_come_in() -> None:
    text = b"one\ntwo\n\nthree\n"
    for size in range(1, len(text) + 1):
        lines = Lines()
        found = [line for start in range(0, len(text), size) for line in lines.feed(text[start : start + size])]
        assert found == [b"one", b"two", b"", b"three"]


# --- Lanes -----------------------------------------------------------------------------------------------------------


def test_each_lane_keeps_its_order_and_the_longest_wait_comes_first() -> None:
    lanes = Lanes(10, lambda waiting: waiting.instance)
    for number, instance in enumerate(("a", "b", "a", "c"), start=1):
        assert lanes.put(transition(number, instance)) is None
    assert lanes.lanes() == ["a", "b", "c"]
    assert lanes.take("a").number == 1
    assert lanes.lanes() == ["b", "a", "c"]
    assert [lanes.take("a").number, lanes.take("c").number, lanes.take("b").number] == [3, 4, 2]
    assert len(lanes) == 0
    assert lanes.lanes() == []


def test_at_the_bound_the_oldest_of_the_longest_lane_goes() -> None:
    lanes = Lanes(4, lambda waiting: waiting.instance)
    for number, instance in enumerate(("quiet", "flaps", "flaps", "flaps"), start=1):
        lanes.put(transition(number, instance))
    assert [dropped and dropped.number for dropped in (lanes.put(transition(5, "flaps")),)] == [2]
    assert [dropped and dropped.number for dropped in (lanes.put(transition(6, "other")),)] == [3]
    assert sorted(waiting.number for waiting in lanes) == [1, 4, 5, 6]
    assert len(lanes) == 4


# --- The journal -----------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal"
    path.touch()
    return path


def test_an_empty_journal_knows_nothing(path: Path) -> None:
    assert Journal(str(path), LOG).read() == Picture(1, {}, {}, [])


def test_the_next_notifier_reads_what_the_last_one_wrote(path: Path) -> None:
    journal = Journal(str(path), LOG)
    for number in (1, 2, 3):
        journal.add([transition(number)], ["script", "url"])
    journal.add([transition(4, "other", "FAULT")], ["url"])
    journal.drop("script", transition(1))
    journal.runs(RunningScript("main", 123, 4567, 40.0))
    journal.drop("url", transition(1))
    journal.runs(RunningScript("other", 124, 4568, 41.0))
    journal.ended(124)
    expected = Picture(
        5,
        {"main": "MASTER", "other": "FAULT"},
        {
            "script": [transition(2), transition(3)],
            "url": [transition(2), transition(3), transition(4, "other", "FAULT")],
        },
        [RunningScript("main", 123, 4567, 40.0)],
    )
    again = Journal(str(path), LOG)
    assert again.read() == expected
    again.rewrite(expected)
    assert Journal(str(path), LOG).read() == expected


@pytest.mark.parametrize(
    "torn", [b'["waits",[3,1.0', b'["waits",[3]]\n', b"[]\n", b"7\n", b'["gone","script"]\n', b"\0\xff\n"]
)
def test_a_line_that_was_cut_short_costs_only_itself(path: Path, torn: bytes) -> None:
    journal = Journal(str(path), LOG)
    journal.add([transition(1)], ["script"])
    with path.open("ab") as stream:
        stream.write(torn)
    assert Journal(str(path), LOG).read().waiting == {"script": [transition(1)]}


def test_what_comes_through_the_pipe_is_kept_until_something_is_made_of_it(path: Path) -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    try:
        journal = Journal(str(path), LOG)
        with pytest.raises(BlockingIOError):
            journal.receive(reading)
        os.write(writing, b'INSTANCE "main" BACKUP 100\n')
        os.write(writing, b'INSTANCE "main" MASTER 100\n')
        data = journal.receive(reading)
        assert data == b'INSTANCE "main" BACKUP 100\nINSTANCE "main" MASTER 100\n'
        assert Journal(str(path), LOG).read() == Picture(1, {}, {}, [], unheard=data)
        journal.add([transition(1)], ["script"])
        assert Journal(str(path), LOG).read() == Picture(2, {"main": "MASTER"}, {"script": [transition(1)]}, [])
    finally:
        os.close(reading)
        os.close(writing)


def test_a_journal_without_room_is_no_error(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal("/dev/full", LOG)
    journal.add([transition(1)], ["script"])
    reading, writing = os.pipe2(os.O_NONBLOCK)
    try:
        os.write(writing, b"line\n")
        assert journal.receive(reading) == b"line\n"
    finally:
        os.close(reading)
        os.close(writing)
    assert [record.message for record in caplog.records] == ["/dev/full: cannot be written: No space left on device"]


# --- What is posted --------------------------------------------------------------------------------------------------

CONFIG = NotifierConfig("n1", "info", "", "", None, None, {"main": ("203.0.113.10",)}, NotifierLimits())


def test_the_body() -> None:
    assert body(transition(1), CONFIG) == (
        b'{"time": "2023-11-14T22:13:20.250Z", "node": "n1", "instance": "main", "state": "MASTER", '
        b'"previous": "BACKUP", "priority": 100, "vips": ["203.0.113.10"]}'
    )


def test_what_is_not_known_is_null_and_an_instance_of_conf_d_has_no_vips() -> None:
    text = body(transition(1, "foreign", previous=None), CONFIG).decode()
    assert '"previous": null' in text
    assert '"vips": []' in text

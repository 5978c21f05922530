"""PID 1's end of the log, on real sockets: nothing waits, and nothing is lost that need not be."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.contract.json_file import to_json
from app.contract.paths import Layout
from app.pid1.log import intake as module
from app.pid1.log.intake import KEPT, LISTEN_FD, ON_THE_WIRE, Intake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.contract.log_config import LogConfig

TCP = "tcp://192.0.2.1:514"


class Node:
    """An intake, a program that logs, and what stands in for the forwarder's hands."""

    def __init__(self, run_dir: Path, config: LogConfig) -> None:
        self.layout = Layout(run_dir)
        self.write(config)
        self.intake = Intake(self.layout)
        self.program = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.program.connect(str(self.layout.log_socket))
        # What the forwarder inherits.
        self.forwarder = socket.socket(fileno=os.dup(self.intake._inherited))
        self.forwarder.setblocking(False)

    def write(self, config: LogConfig) -> None:
        self.layout.log_config.write_text(to_json(config))

    def log(self, *texts: str, program: str = "x") -> None:
        for text in texts:
            self.program.send(f"<30>{program}[1]: {text}".encode())
            self.intake.read()

    def takes(self, count: int | None = None) -> list[str]:
        """What the forwarder reads, up to a count: where it goes, and the numbers in it."""
        found: list[str] = []
        while count is None or len(found) < count:
            try:
                sent = self.forwarder.recv(1 << 18).decode()
            except BlockingIOError:
                if count is not None or not self.intake.waits:
                    return found
                self.intake.hand_on()
                continue
            to, _, line = sent.removeprefix("<30>").partition(": ")
            number = re.search(r"number (\d+)", line)
            found.append(f"{to} {number[1] if number else line}")
        return found

    def close(self) -> None:
        for one in (self.program, self.forwarder, self.intake.listener, self.intake.output, self.intake._input):
            one.close()
        os.close(self.intake._inherited)


@pytest.fixture
def node(tmp_path: Path, config: LogConfig) -> Iterator[Node]:
    node = Node(tmp_path, config)
    yield node
    node.close()


def test_every_message_goes_on_at_once(node: Node) -> None:
    node.log("number 1", "number 2")
    assert node.takes() == ["all 1", "out 1", "all 2", "out 2"]


def test_who_may_do_what(node: Node) -> None:
    assert node.layout.log_socket.stat().st_mode & 0o777 == 0o666
    assert node.layout.log_input.stat().st_mode & 0o777 == 0o600


def test_the_kernel_says_who_it_was(node: Node) -> None:
    node.log("hello")
    assert f'"pid": {os.getpid()}' in node.takes()[1]


def test_a_forwarder_that_reads_nothing_holds_nobody_up(node: Node) -> None:
    for number in range(1000):
        node.log(f"number {number}")
    assert node.takes() == [f"{to} {number}" for number in range(1000) for to in ("all", "out")]
    assert not node.intake.waits


def test_what_is_too_much_is_dropped_and_counted(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 20)
    node.log(*(f"number {number}" for number in range(30)))
    node.intake.tick()
    held = node.takes()
    assert held[:4] == ["all 0", "out 0", "all 1", "out 1"]
    assert 20 < len(held) < 40
    node.intake._ticked = 0
    node.intake.tick()
    _, said = node.takes()
    assert f'"{60 - len(held)} messages were dropped while the log forwarder did not take them"' in said


def test_the_bound_is_in_bytes_too(node: Node) -> None:
    node.log(*(f"number {number} {'x' * 4000}" for number in range(1500)))
    held = node.takes()
    assert 1000 < len(held) < 2500 < KEPT


class TestForwarderDies:
    def test_what_it_has_not_read_is_there_for_its_successor(self, node: Node) -> None:
        node.log("number 1", "number 2", "number 3")
        assert node.takes(2) == ["all 1", "out 1"]
        node.intake.forwarder_ended(was_killed=False)
        node.intake.hand_on()
        assert node.takes() == ["all 2", "out 2", "all 3", "out 3"]

    def test_what_it_may_have_had_in_hand_comes_again(self, node: Node) -> None:
        node.log("number 1", "number 2")
        assert node.takes(3) == ["all 1", "out 1", "all 2"]
        node.intake.forwarder_ended(was_killed=True)
        node.intake.hand_on()
        assert node.takes() == ["out 1", "all 2", "out 2"]

    def test_the_last_one_too(self, node: Node) -> None:
        node.log("number 1")
        node.takes()
        node.intake.forwarder_ended(was_killed=True)
        node.intake.hand_on()
        assert node.takes() == ["all 1", "out 1"]

    def test_more_of_what_waits_for_the_standard_output_in_its_memory(self, node: Node) -> None:
        node.log(*(f"number {number}" for number in range(10)))
        node.takes()
        node.intake.forwarder_ended(was_killed=True)
        node.intake.hand_on()
        assert node.takes() == ["out 6", "out 7", "out 8", "all 9", "out 9"]

    def test_all_that_a_young_one_was_handed(self, node: Node) -> None:
        """A burst: what had waited for it. It read all of it, was killed, and six lines were never printed."""
        node.log("number 0")
        node.takes()
        node.intake.forwarder_ended(was_killed=False)
        node.log(*(f"number {number}" for number in range(1, 20)))
        node.takes()
        node.intake.forwarder_ended(was_killed=True, is_young=True)
        node.intake.hand_on()
        assert node.takes() == [*(f"out {number}" for number in range(1, 19)), "all 19", "out 19"]

    def test_but_not_one_from_long_ago(self, node: Node) -> None:
        node.log("number 1")
        node.takes()
        node.intake._sent_at -= 2
        node.intake.forwarder_ended(was_killed=True)
        assert not node.intake.waits

    def test_order_is_kept_when_much_waits(self, node: Node) -> None:
        node.log(*(f"number {number}" for number in range(50)))
        node.takes(5)
        node.intake.forwarder_ended(was_killed=True)
        node.log("number 50")
        rest = [f"{to} {number}" for number in range(3, 51) for to in ("all", "out")]
        assert node.takes() == ["out 0", "out 1", "all 2", "out 2", *rest]

    def test_before_it_has_got_anything(self, node: Node) -> None:
        node.intake.forwarder_ended(was_killed=True)
        assert not node.intake.waits


class TestServerGoesAway:
    def test_what_was_on_the_wire_is_sent_to_it_again(self, node: Node) -> None:
        # At this severity the forwarder's message itself is not shown.
        node.log(*(f"number {number}" for number in range(40)))
        node.takes()
        node.intake.forwarder_pid = os.getpid
        node.log(f"action '{TCP}' suspended (module 'builtin:omfwd')", program="rsyslogd")
        node.intake.forwarder_pid = int
        assert node.takes() == [f"to1 {number}" for number in range(40 - ON_THE_WIRE, 40)]

    def test_but_not_what_was_said_long_ago(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        node.log("number 1")
        node.takes()
        monkeypatch.setattr(module, "ON_THE_WIRE_FOR", -1.0)
        node.intake.forwarder_pid = os.getpid
        node.log(f"action '{TCP}' suspended (module 'builtin:omfwd')", program="rsyslogd")
        assert [taken for taken in node.takes() if taken.startswith("to")] == []


def test_a_reload_is_noticed(node: Node, config: LogConfig) -> None:
    node.write(replace(config, secrets=("n3w-s3cret",)))
    os.utime(node.layout.log_config, ns=(1, 1))
    node.intake.tick()
    node.log("n3w-s3cret s3cret-1")
    assert "******** ********" in node.takes()[-1]


def test_a_broken_file_changes_nothing(node: Node) -> None:
    node.layout.log_config.write_text("{")
    node.intake._ticked = 0
    node.intake.tick()
    node.log("number 1")
    assert node.takes() == ["all 1", "out 1"]


def test_what_is_left_at_the_end(node: Node) -> None:
    node.log("number 1", "number 2")
    assert node.takes(2) == ["all 1", "out 1"]
    node.program.send(b"<30>x: number 3")
    assert [re.sub(r".*number (\d+).*", r"\1", line) for line in node.intake.rest()] == ["2", "3"]


def test_the_forwarder_inherits_its_socket(node: Node) -> None:
    """In a process of its own, as supervisord forks it: sd_listen_fds(3)."""
    node.log("number 1")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.closerange(3, LISTEN_FD + 1)
            node.intake.prepare_child()
            said = socket.socket(fileno=LISTEN_FD).recv(9)
            is_mine = os.environ["LISTEN_PID"] == str(os.getpid()) and os.environ["LISTEN_FDS"] == "1"
            os.write(writing, said if is_mine else b"no")
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as said_by_child:  # noqa: PTH123 - a descriptor, not a path
        assert said_by_child.read() == b"<30>all: "
    os.waitpid(child, 0)

"""Logging to a real datagram socket: what arrives, and that nothing ever waits."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

import pytest

from app.contract.syslog import KEPT, MESSAGE_LIMIT, SyslogHandler, flush, open_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Forwarder:
    """What listens on /dev/log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(30)

    def read(self) -> str:
        return self._socket.recv(65536).decode()

    def read_all(self) -> list[str]:
        self._socket.setblocking(False)
        found = []
        while True:
            try:
                found.append(self.read())
            except BlockingIOError:
                return found

    def stop(self) -> None:
        self._socket.close()
        self.path.unlink()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(path: Path) -> Iterator[logging.Logger]:
    logger = open_log("test-program", "info", path=str(path))
    yield logger
    for handler in logger.handlers:
        handler.close()


@pytest.fixture
def forwarder(path: Path) -> Iterator[Forwarder]:
    made = Forwarder(path)
    yield made
    made.stop()


@pytest.mark.parametrize(("level", "priority"), [("info", 30), ("warning", 28), ("error", 27), ("critical", 26)])
def test_a_record_is_one_datagram(forwarder: Forwarder, log: logging.Logger, level: str, priority: int) -> None:
    getattr(log, level)("%s is %d", "it", 3)
    assert forwarder.read() == f"<{priority}>test-program[{os.getpid()}]: it is 3"


def test_the_level_holds(forwarder: Forwarder, path: Path) -> None:
    log = open_log("test-program", "warning", path=str(path))
    log.info("no")
    log.warning("yes")
    assert forwarder.read().endswith(": yes")


def test_nothing_can_forge_a_line(forwarder: Forwarder, log: logging.Logger) -> None:
    log.info("a\nb\r\x1b[31mc\x00\x85\u2028d\té\u202e")
    assert forwarder.read().partition(": ")[2] == "a\\nb\\r\\x1b[31mc\\x00\\x85\\u2028d é\\u202e"


def test_surrogates_and_wrong_formats_are_logged_all_the_same(forwarder: Forwarder, path: Path) -> None:
    handler = SyslogHandler("test-program", str(path))
    handler.emit(logging.makeLogRecord({"levelno": logging.INFO, "msg": "a\udcffb"}))
    assert forwarder.read().endswith(": a\\udcffb")
    handler.emit(logging.makeLogRecord({"levelno": logging.INFO, "msg": "%d", "args": ("text",)}))
    handler.close()
    assert forwarder.read().endswith(": %d")


def test_long_messages_are_cut_between_characters(forwarder: Forwarder, log: logging.Logger) -> None:
    log.info("é" * 5000)
    message = forwarder.read().partition(": ")[2]
    assert message.endswith("é...")
    assert len(message.encode()) <= MESSAGE_LIMIT


def test_a_traceback_stays_one_datagram(forwarder: Forwarder, log: logging.Logger) -> None:
    try:
        int("why")
    except ValueError:
        log.exception("what")
    message = forwarder.read()
    assert ": what\\nTraceback" in message
    assert message.endswith("invalid literal for int() with base 10: 'why'")


def test_without_a_forwarder_messages_wait_in_their_order(path: Path, log: logging.Logger) -> None:
    for number in range(3):
        log.info("early %d", number)
    forwarder = Forwarder(path)
    try:
        log.info("back")
        said = [line.partition(": ")[2] for line in forwarder.read_all()]
        assert said == ["early 0", "early 1", "early 2", "back"]
    finally:
        forwarder.stop()


def test_what_waits_is_sent_without_a_new_message(path: Path, log: logging.Logger) -> None:
    log.info("early")
    forwarder = Forwarder(path)
    try:
        flush()
        assert forwarder.read().endswith(": early")
    finally:
        forwarder.stop()


def test_beyond_the_bound_messages_are_counted_and_said_after_those_that_waited(
    path: Path, log: logging.Logger
) -> None:
    for number in range(KEPT + 3):
        log.info("%d", number)
    forwarder = Forwarder(path)
    try:
        said: list[str] = []
        while len(said) <= KEPT:  # the socket holds fewer than wait
            flush()
            said += [line.partition(": ")[2] for line in forwarder.read_all()]
        assert said == [*map(str, range(KEPT)), f"3 messages were lost while {path} could not be written"]
    finally:
        forwarder.stop()


def test_a_restarted_forwarder_is_found_again(path: Path, log: logging.Logger) -> None:
    first = Forwarder(path)
    log.info("one")
    assert first.read().endswith(": one")
    first.stop()
    second = Forwarder(path)
    try:
        log.info("two")
        assert second.read().endswith(": two")
    finally:
        second.stop()


def test_a_forwarder_that_reads_nothing_holds_nobody_up(forwarder: Forwarder, log: logging.Logger) -> None:
    sent = 5000
    for number in range(sent):
        log.info("%d", number)
    arrived = []
    while new := forwarder.read_all():
        arrived += [line.partition(": ")[2] for line in new]
        flush()
    *arrived, notice = arrived
    assert KEPT < len(arrived) < sent
    assert arrived == [*map(str, range(len(arrived)))]
    assert notice.startswith(f"{sent - len(arrived)} messages were lost")


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        open_log("test-program", "loud")

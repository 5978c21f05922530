"""A node without its programs: what a policy decides is carried out on real files and sockets."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

import pytest
from supervisor.medusa import asyncore_25

from app.contract import syslog
from app.contract.gates import GONE_FILE, JOINED, KNOWN, LISTED
from app.contract.json_file import to_json
from app.contract.paths import Layout
from app.pid1.events import Printed
from app.pid1.node import Node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.contract.log_config import LogConfig


@pytest.fixture
def node(tmp_path: Path, config: LogConfig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    for name, value in (("RUN_DIR", str(tmp_path)), ("SIBLINGS", "nobody"), ("SCRIPT_USER", "nobody")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHON", "python")
    monkeypatch.setenv("LOG_LEVEL", "info")
    monkeypatch.setattr(asyncore_25, "socket_map", {})
    layout = Layout(tmp_path)
    layout.log_config.write_text(to_json(config))
    node = Node(layout)
    yield node
    its = node.intake
    for one in (node._reports, its.listener, its.output, its._input, node._programs._wake_up, node._programs._woken):
        one.close()
    os.close(its._inherited)
    for program in node._logs:
        for handler in logging.getLogger(f"ka.{program}").handlers:
            handler.close()


def test_what_a_program_prints_waits_while_the_log_is_not_read(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dev-log"
    monkeypatch.setattr(syslog, "SOCKET", str(path))
    lines = [f"line {number}" for number in range(80)]
    found: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        log.setblocking(False)
        for burst in (lines[:40], lines[40:]):
            for line in burst:
                node.tell(Printed("notifier", line, line))
        while True:
            try:
                found.append(log.recv(4096).decode().partition("]: ")[2])
            except BlockingIOError:
                if len(found) >= len(lines) or not any(handler._waiting for handler in syslog._handlers):
                    break
                syslog.flush()
    assert found == lines


def test_gates(node: Node, tmp_path: Path) -> None:
    def said() -> list[str]:
        return [(tmp_path / name).read_text() for name in (LISTED, JOINED, KNOWN)]

    assert said() == ["1\n"] * 3
    node._open_gates((JOINED, KNOWN))
    assert said() == ["1\n", "0\n", "0\n"]
    assert not (tmp_path / GONE_FILE).exists()

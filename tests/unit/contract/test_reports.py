"""Reports to PID 1: what is written is what is read, and what the log forwarder says by itself is understood."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from app.contract import reports
from app.pid1.sockets import bound, receive

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (reports.FAILED, "keepalived could not be started"),
        (reports.OPENED, "joined known"),
        (reports.OPENED, ""),
        (reports.RELOAD, "203.0.113.11 2001:db8::11"),
        (reports.RELOAD, ""),
        (reports.CHANGED, "http-checker notifier"),
    ],
)
def test_what_is_sent_is_received(kind: str, text: str, tmp_path: Path) -> None:
    with bound(tmp_path / "notify", mode=0o600) as pid_1:
        pid_1.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        reports.send(kind, text, str(tmp_path / "notify"))
        report = reports.parse(*receive(pid_1))
    assert report is not None
    assert (report.kind, report.text, report.pid, report.uid) == (kind, text, os.getpid(), os.getuid())


def test_the_forwarder_is_ready() -> None:
    report = reports.parse(b"READY=1\nSTATUS=x\n", 7, 990)
    assert report is not None
    assert (report.kind, report.text, report.pid, report.uid) == (reports.READY, "", 7, 990)


@pytest.mark.parametrize("datagram", [b"", b"STOPPING=1", b"READY=0", b"WATCHDOG=1", b"\xff\n=\nX_RESTART"])
def test_what_says_nothing_of_interest(datagram: bytes) -> None:
    assert reports.parse(datagram, 1, 0) is None

"""When a program has failed for good, and how PID 1 gets to know."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from app import guard
from app.guard import DEATHS, WITHIN, Guard, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

EXITED, FATAL = "PROCESS_STATE_EXITED", "PROCESS_STATE_FATAL"


class TestJudge:
    def test_what_cannot_be_started(self) -> None:
        assert Guard().judge(FATAL, "keepalived", 0) == "keepalived could not be started"

    def test_deaths_now_and_then_are_nothing(self) -> None:
        judge = Guard().judge
        assert [judge(EXITED, "keepalived", n * WITHIN) for n in range(20)] == [None] * 20

    def test_too_many_at_once(self) -> None:
        judge = Guard().judge
        assert [judge(EXITED, "keepalived", 100 + n) for n in range(DEATHS)] == [None] * (DEATHS - 1) + [
            "keepalived ended 5 times within 4 s"
        ]

    def test_the_last_one_in_time_counts(self) -> None:
        judge = Guard().judge
        for n in range(DEATHS - 1):
            assert judge(EXITED, "keepalived", n) is None
        assert judge(EXITED, "keepalived", WITHIN) == "keepalived ended 5 times within 60 s"

    def test_the_last_one_too_late_does_not(self) -> None:
        judge = Guard().judge
        for n in range(DEATHS - 1):
            assert judge(EXITED, "keepalived", n) is None
        assert judge(EXITED, "keepalived", WITHIN + 0.1) is None

    def test_old_deaths_are_forgotten(self) -> None:
        judge = Guard().judge
        assert judge(EXITED, "keepalived", 0) is None
        assert [judge(EXITED, "keepalived", 1000 + n) for n in range(DEATHS - 1)] == [None] * (DEATHS - 1)
        assert judge(EXITED, "keepalived", 1010) == "keepalived ended 5 times within 10 s"

    def test_each_program_counts_for_itself(self) -> None:
        judge = Guard().judge
        for n in range(DEATHS - 1):
            assert judge(EXITED, "keepalived", n) is None
            assert judge(EXITED, "http-checker", n) is None
        assert judge(EXITED, "http-checker", 5) == "http-checker ended 5 times within 5 s"


def test_pairs() -> None:
    assert pairs("ver:3.0 eventname:X len:84\n") == {"ver": "3.0", "eventname": "X", "len": "84"}
    assert pairs("processname:a:b expected") == {"processname": "a:b"}
    assert pairs("") == {}


class Listener:
    """The real process, spoken to as supervisord does (http://supervisord.org/events.html)."""

    def __init__(self, directory: Path) -> None:
        self.pid_1 = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.pid_1.bind(str(directory / "notify"))
        self.pid_1.settimeout(30)
        # As in supervisord.conf: without the site's packages, which it must not need.
        command = [sys.executable, "-P", "-s", "-S", "-m", "app.guard", str(directory / "notify")]
        environ = {"PYTHONPATH": str(Path(guard.__file__).parents[1])}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
        self._serial = 0

    def _pipe(self, end: IO[bytes] | None) -> IO[bytes]:
        assert end is not None
        return end

    def hears(self, answer: bytes) -> None:
        """Waits for exactly this from the process."""
        assert self._pipe(self.process.stdout).read(len(answer)) == answer

    def send(self, event: str, program: str) -> None:
        """One event, and its acknowledgement."""
        self.hears(b"READY\n")
        payload = f"processname:{program} groupname:{program} from_state:RUNNING expected:0 pid:2766"
        header = f"ver:3.0 server:supervisor serial:{self._serial} pool:guard poolserial:{self._serial}"
        self._serial += 1
        pipe = self._pipe(self.process.stdin)
        pipe.write(f"{header} eventname:{event} len:{len(payload)}\n{payload}".encode())
        pipe.flush()
        self.hears(b"RESULT 2\nOK")

    def report(self) -> bytes:
        """What PID 1 was told."""
        return self.pid_1.recv(4096)

    def close(self) -> None:
        """Ends the process."""
        with self.pid_1, self.process:
            self.process.kill()


class TestProcess:
    @pytest.fixture
    def listener(self, tmp_path: Path) -> Iterator[Listener]:
        listener = Listener(tmp_path)
        yield listener
        listener.close()

    def test_reports_what_cannot_be_started(self, listener: Listener) -> None:
        listener.send(FATAL, "http-checker")
        assert listener.report() == b"STOPPING=1\nSTATUS=http-checker could not be started\n"

    def test_reports_the_fifth_death(self, listener: Listener) -> None:
        for _ in range(DEATHS):
            listener.send(EXITED, "keepalived")
        assert listener.report() == b"STOPPING=1\nSTATUS=keepalived ended 5 times within 0 s\n"
        listener.pid_1.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.report()

    def test_goes_on_after_a_report(self, listener: Listener) -> None:
        listener.send(FATAL, "http-checker")
        listener.send(FATAL, "log-forwarder")
        assert b"http-checker" in listener.report()
        assert b"log-forwarder" in listener.report()

    def test_ends_with_the_pipe(self, listener: Listener) -> None:
        listener.hears(b"READY\n")
        assert listener.process.stdin is not None
        listener.process.stdin.close()
        assert listener.process.wait(10) == 0

    def test_ends_when_told_to(self, listener: Listener) -> None:
        listener.hears(b"READY\n")
        listener.process.terminate()
        assert listener.process.wait(10) == 0

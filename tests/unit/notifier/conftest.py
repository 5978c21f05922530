"""The notifier as supervisord starts it, with a real FIFO, real scripts and a real web server."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 30.0
"""Seconds that any event may take on a busy machine."""

# What `python -m app.notifier` does, with the test's own log socket.
START = (
    "import runpy, sys, app.contract.syslog; app.contract.syslog.SOCKET = sys.argv.pop(1);"
    "runpy.run_module('app.notifier', run_name='__main__', alter_sys=True)"
)


class Stage:
    """A run directory in which notifiers are started; the FIFO is held open, as keepalived does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lines: list[str] = []
        self.processes: list[subprocess.Popen[str]] = []
        self.config: dict[str, Any] = {}
        self._log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._log.bind(str(directory / "log"))
        self._log.settimeout(LIMIT)
        os.mkfifo(directory / "transitions")
        self._fifo = os.open(directory / "transitions", os.O_RDWR | os.O_NONBLOCK)
        os.mkfifo(directory / "gate")
        self._gate = os.open(directory / "gate", os.O_RDWR)
        (directory / "journal").touch()

    def script(self, text: str) -> None:
        """What the hook does; `$here` is the run directory, and `wait_for_gate` blocks until `open_gate`."""
        path = self.directory / "hook"
        path.write_text(f"#!/bin/sh\nhere={self.directory}\nwait_for_gate() {{ read _ <$here/gate; }}\n{text}\n")
        path.chmod(0o755)

    def start(
        self, *, url: str | None = None, script: bool = True, environ: dict[str, str] | None = None, **limits: float
    ) -> subprocess.Popen[str]:
        """Starts a notifier; it runs at the latest when it logs something."""
        self.config = {
            "node": "n1",
            "log_level": "debug",
            "transitions": str(self.directory / "transitions"),
            "journal": str(self.directory / "journal"),
            "script": str(self.directory / "hook") if script else None,
            "url": url,
            "instances": {"main": ["203.0.113.10", "2001:db8::10"]},
            "limits": limits,
        }
        (self.directory / "config.json").write_text(json.dumps(self.config))
        command = [sys.executable, "-P", "-c", START, str(self.directory / "log"), str(self.directory / "config.json")]
        process = subprocess.Popen(
            command, env=os.environ | (environ or {}), stderr=subprocess.PIPE, text=True, pass_fds=(self._gate,)
        )
        self.processes.append(process)
        return process

    def tell(self, *lines: str) -> None:
        """Writes as keepalived does: `main MASTER 100` for an instance, anything with a quote as it is."""
        for line in lines:
            name, _, rest = line.partition(" ")
            os.write(self._fifo, (line if '"' in line else f'INSTANCE "{name}" {rest}').encode() + b"\n")

    def open_gate(self, times: int = 1) -> None:
        """Lets that many scripts go on."""
        os.write(self._gate, b"\n" * times)

    def wait_log(self, pattern: str, count: int = 1) -> list[str]:
        """The first `count` log lines in which `pattern` is found, waiting for them."""
        deadline = time.monotonic() + LIMIT
        while len(found := [line for line in self.lines if re.search(pattern, line)]) < count:
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.lines}"
            try:
                self.lines.append(self._log.recv(4096).decode().partition(": ")[2])
            except TimeoutError:
                pytest.fail(f"no {pattern!r} in {self.lines}")
        return found[:count]

    def wait_file(self, name: str, content: str) -> None:
        """Until a script has written `content` to the file."""
        deadline = time.monotonic() + LIMIT
        while (found := self.read(name)) != content:
            assert time.monotonic() < deadline, f"{name} is {found!r}"
            time.sleep(0.005)

    def read(self, name: str) -> str:
        """What scripts wrote to the file, nothing if there is none."""
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / name).read_text()
        return ""

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends the last notifier; gives its exit status."""
        self.processes[-1].send_signal(number)
        return self.processes[-1].wait(LIMIT)

    def close(self) -> None:
        """Ends everything."""
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stderr is not None:
                assert process.stderr.read() == ""
                process.stderr.close()
        self.open_gate(100)
        for fd in (self._fifo, self._gate):
            os.close(fd)
        self._log.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A run directory with everything that `ka run` makes for a notifier."""
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@dataclass
class Receiver:
    """A web server. It answers with `answers` in turn, then 200; None: not until the end."""

    answers: deque[int | None] = field(default_factory=deque)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    ended: threading.Event = field(default_factory=threading.Event)
    server: ThreadingHTTPServer | None = None
    scheme: str = "http"

    def url(self, path: str = "/secret-token") -> str:
        assert self.server is not None
        return f"{self.scheme}://127.0.0.1:{self.server.server_address[1]}{path}"

    def wait(self, count: int) -> list[dict[str, Any]]:
        """The first `count` bodies."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.bodies) >= count, LIMIT), self.bodies
            return self.bodies[:count]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A web server on loopback."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with receiver.changed:
                receiver.requests.append((self.path, dict(self.headers.items())))
                receiver.bodies.append(body)
                answer = receiver.answers.popleft() if receiver.answers else 200
                receiver.changed.notify_all()
            if answer is None:
                receiver.ended.wait()
                return
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.server = server
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield receiver
        receiver.ended.set()
        server.shutdown()
        thread.join()

"""The process as supervisord starts it: real signals, real files, what it says on a real log socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from lab.web_server import OK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from lab.web_server import Server

LIMIT = 30.0
"""Seconds that any event may take on a busy machine."""

# What `python -m app.checks.http` does, with the test's own log socket.
START = (
    "import runpy, sys, app.contract.syslog; app.contract.syslog.SOCKET = sys.argv.pop(1);"
    "runpy.run_module('app.checks.http', run_name='__main__', alter_sys=True)"
)


@dataclass
class Node:
    """A run directory, a log socket, and the checkers started on them."""

    directory: Path
    server: Server
    log: socket.socket
    lines: list[str] = field(default_factory=list)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    def configure(self, targets: list[dict[str, Any]] | None = None, **settings: Any) -> None:
        check = {
            "name": "http",
            "up": 0,
            "down": 1,
            "interval": 0.05,
            "fast_interval": settings.get("interval", 0.05),
            "slow_interval": settings.get("interval", 0.05),
            "timeout": 5,
            "rise": 2,
            "fall": 2,
            **settings,
        }
        check["targets"] = targets or [{"url": self.server.url}]
        content = {"verdicts": str(self.directory), "log_level": "info", "checks": [check]}
        content["report"] = str(self.directory / "report.json")
        (self.directory / "config.json").write_text(json.dumps(content))

    async def start(self) -> asyncio.subprocess.Process:
        log, config = self.directory / "log", self.directory / "config.json"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", START, log, config), stderr=asyncio.subprocess.PIPE
        )
        self.processes.append(process)
        return process

    @property
    def verdict(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "http").read_text().strip()
        return ""

    def is_fresh(self) -> bool:
        """What the watchdog asks."""
        try:
            deadline = int((self.directory / "heartbeat").read_text())
        except FileNotFoundError:
            return False
        return time.clock_gettime(time.CLOCK_BOOTTIME) * 100 <= deadline

    async def until(self, done: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT):
            while not done():  # noqa: ASYNC110 - files of another process have no event
                await asyncio.sleep(0.005)

    async def until_said(self, words: str) -> str:
        """The first log line that has `words` in it, from those not looked at before."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(LIMIT):
            while True:
                line = (await loop.sock_recv(self.log, 65536)).decode()
                self.lines.append(line)
                if words in line:
                    return line.partition("]: ")[2]


@pytest.fixture
async def node(server: Server, tmp_path: Path) -> AsyncIterator[Node]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        log.setblocking(False)
        made = Node(tmp_path, server, log)
        made.configure()
        yield made
        for process in made.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


async def test_down_until_the_service_answered_and_up_then(node: Node) -> None:
    await node.server.stop()
    await node.start()
    await node.until(lambda: node.verdict == "1")
    assert await node.until_said("DOWN") == f"{node.server.url}: DOWN after 1 failure: connection refused"
    await node.server.start()
    await node.until(lambda: node.verdict == "0")
    assert await node.until_said("UP") == f"{node.server.url}: UP after 2 successes"


async def test_each_change_is_one_line_that_says_why(node: Node) -> None:
    await node.start()
    await node.until(lambda: node.verdict == "0")
    node.server.answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 8\r\n\r\nno disk\n"
    await node.until(lambda: node.verdict == "1")
    line = await node.until_said("DOWN")
    assert line == f"{node.server.url}: DOWN after 2 failures: answered 500 Internal Server Error, not 200 (no disk)"
    asked = len(node.server.requests)
    await node.until(lambda: len(node.server.requests) > asked + 5)
    node.server.answer = b"HTTP/1.1 200 OK\r\n\r\n"
    await node.until_said("UP after 2 successes")
    assert len([said for said in node.lines if "DOWN" in said]) == 1


async def test_sigterm_ends_it_with_status_0(node: Node) -> None:
    process = await node.start()
    await node.until(lambda: node.verdict == "0")
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), LIMIT) == 0
    assert node.verdict == "0"


async def test_sigterm_ends_it_while_a_name_lookup_hangs(node: Node) -> None:
    # TEST-NET is never answered here, and nothing else is needed: a probe is under way when the signal comes.
    node.configure([{"url": "http://192.0.2.1/"}])
    process = await node.start()
    await node.until_said("probes")
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_a_kill_and_restart_does_not_flap(node: Node) -> None:
    first = await node.start()
    await node.until(lambda: node.verdict == "0")
    before = (node.directory / "http").stat()
    for _round in range(2):
        first.kill()
        await first.wait()
        first = await node.start()
        await node.until_said("the last verdict was up")
        node.server.requests.clear()
        await node.until(lambda: len(node.server.requests) > 3)
    after = (node.directory / "http").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


async def test_a_restart_while_up_still_needs_fall_failures(node: Node) -> None:
    node.configure(fall=3)
    (node.directory / "http").write_text("0\n")
    await node.server.stop()
    await node.start()
    assert "DOWN after 3 failures" in await node.until_said("DOWN")
    assert node.verdict == "1"


async def test_a_restart_while_down_still_needs_rise_successes(node: Node) -> None:
    node.configure(rise=3)
    (node.directory / "http").write_text("1\n")
    await node.start()
    assert "UP after 3 successes" in await node.until_said("UP")


async def test_killed_at_any_moment_leaves_a_whole_verdict(node: Node) -> None:
    node.configure(interval=0.01, rise=1, fall=1, timeout=1)
    number = 0

    async def alternate(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        number += 1
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" if number % 2 else b"HTTP/1.1 500 No\r\n\r\n")

    node.server.answer = alternate
    for moment in range(12):
        seen = len(node.server.requests)
        process = await node.start()
        # Every result changes the verdict: the kill comes at another point of that each time.
        await node.until(lambda seen=seen, moment=moment: len(node.server.requests) > seen + moment)  # type: ignore[misc]
        process.kill()
        await process.wait()
        assert (node.directory / "http").read_text() in ("0\n", "1\n")
    # What a kill left half done is no obstacle.
    await node.start()
    node.server.answer = OK
    await node.until(lambda: node.verdict == "0" and node.is_fresh())
    assert {path.name for path in node.directory.iterdir()} >= {"http", "heartbeat"}


async def test_the_heartbeat_stops_with_the_process_and_goes_on_with_it(node: Node) -> None:
    process = await node.start()
    await node.until(lambda: node.verdict == "0" and node.is_fresh())
    process.send_signal(signal.SIGSTOP)
    await node.until(lambda: not node.is_fresh())
    process.send_signal(signal.SIGCONT)
    await node.until(node.is_fresh)
    assert node.verdict == "0"


async def test_the_last_heartbeat_of_one_that_is_told_to_stop_waits_for_its_successor(node: Node) -> None:
    process = await node.start()
    await node.until(lambda: node.verdict == "0" and node.is_fresh())
    process.terminate()
    assert await process.wait() == 0
    deadline = int((node.directory / "heartbeat").read_text())
    # Nothing but a heartbeat of three intervals, 0.15 s of them, could be older.
    assert deadline / 100 > time.clock_gettime(time.CLOCK_BOOTTIME)


async def test_no_heartbeat_before_the_first_result(node: Node) -> None:
    asked = asyncio.Event()
    go = asyncio.Event()

    async def wait(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

    node.server.answer = wait
    await node.start()
    await asyncio.wait_for(asked.wait(), LIMIT)
    assert not (node.directory / "heartbeat").exists()
    go.set()
    await node.until(node.is_fresh)


async def test_all_targets_must_be_up(node: Node) -> None:
    node.configure([{"url": node.server.url}, {"url": f"{node.server.url}b"}])
    await node.start()
    await node.until(lambda: node.verdict == "0")

    async def half(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        good = node.server.requests[-1].startswith(b"GET / ")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" if good else b"HTTP/1.1 503 No\r\n\r\n")

    node.server.answer = half
    await node.until(lambda: node.verdict == "1")
    assert (await node.until_said("DOWN")).startswith(f"{node.server.url}b: DOWN after 2 failures")
    await node.until_said("http: 1 of 2 targets are up")


async def test_a_verdict_that_cannot_be_written_ends_it_with_one_line(node: Node) -> None:
    await node.server.stop()
    (node.directory / "http").write_text("0")
    process = await node.start()
    await node.until_said("probes")
    (node.directory / "http").unlink()
    (node.directory / "http").mkdir()
    _out, err = await process.communicate()
    assert process.returncode == 70
    assert err == b""
    line = await node.until_said("cannot go on")
    assert "IsADirectoryError" in line
    assert "Traceback" not in "".join(node.lines)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "cannot be understood, it is no JSON; it must be the file that ka run writes"),
        ('{"verdicts": 1}', "cannot be understood at verdicts; it must be the file that ka run writes"),
    ],
)
async def test_a_wrong_file_is_said_and_nothing_starts(node: Node, content: str, sentence: str) -> None:
    (node.directory / "config.json").write_text(content)
    process = await node.start()
    _out, err = await process.communicate()
    assert process.returncode == 78
    assert sentence in err.decode()
    assert err.count(b"\n") == 1
    assert sentence in await node.until_said("config.json")
    assert not (node.directory / "http").exists()


async def test_a_missing_ca_file_is_said(node: Node) -> None:
    node.configure([{"url": "https://127.0.0.1/", "ca_file": "/none/ca.pem"}])
    process = await node.start()
    _out, err = await process.communicate()
    assert process.returncode == 78
    assert err.decode() == "/none/ca.pem: cannot be used as CA file: No such file or directory\n"
    assert await node.until_said("CA file") == err.decode().strip()


async def test_the_password_of_a_url_is_nowhere(node: Node) -> None:
    node.configure([{"url": node.server.url.replace("http://", "http://me:s3cr3t@")}])
    await node.start()
    await node.until(lambda: node.verdict == "0")
    assert b"Basic bWU6czNjcjN0" in node.server.requests[0]
    await node.server.stop()
    assert "http://***@127.0.0.1" in await node.until_said("DOWN")
    assert "s3cr3t" not in "".join(node.lines)


async def test_the_report_says_what_the_log_said(node: Node) -> None:
    path = node.directory / "report.json"

    def target() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(path.read_text())["checks"][0]["targets"][0] if path.exists() else {}
        return found

    await node.start()
    await node.until(lambda: target().get("state") == "up")
    assert target()["target"] == node.server.url
    assert 0 <= time.clock_gettime(time.CLOCK_BOOTTIME) - target()["since"] < LIMIT
    await node.server.stop()
    await node.until(lambda: target()["state"] == "down" and target()["reason"] == "connection refused")
    assert json.loads(path.read_text())["checks"][0]["up"] is False

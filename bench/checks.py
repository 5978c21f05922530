"""`python -m bench.checks [TIMES]`: what a probe costs, how punctual many are, and how soon each fault is noticed.

It needs root for the faults (a lab). The forked check that a probe is compared with is `python -c "import requests …"`
by the interpreter that BENCH_PYTHON names, which must have requests; without it, urllib of this one stands in.
Exit status 1 when a figure misses its limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.checks.probe import Probers
from app.contract.checker_config import CheckerCheck, CheckerConfig, CheckTarget
from app.contract.json_file import to_json
from bench.measure import Row, repeat, table
from lab import Lab
from lab.faults import FAULTS, HTTP, HTTPS, NAMED, Faults
from lab.pair import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Node

MS = 1000.0
TARGETS = 500

#: Targets whose probes are compared with forked programs.
BESIDE = 100

#: Probes of one measurement back to back.
PROBES = 1000

#: Seconds of one window of measurement.
WINDOW = 5.0

#: The check whose detection is measured: seconds and counts.
INTERVAL, TIMEOUT, FAST, FALL = 1.0, 0.5, 0.2, 3
LONGEST = (FALL - 1) * FAST + INTERVAL + TIMEOUT + 0.05

#: Answers 200, and prints the moment of each request and its path.
SERVER = """
import asyncio, sys, time
seen = []
class Web(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.at = time.monotonic()
    def data_received(self, data):
        seen.append((self.at, data.split()[1]))
        self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
        self.transport.close()
async def main():
    server = await asyncio.get_running_loop().create_server(Web, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1])
    print(flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        for at, path in seen:
            print(at, path.decode())
        seen.clear()
        print(flush=True)
asyncio.run(main())
"""


class Server:
    """The target of the probes, on the second core where there is one."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        _pin(self._process.pid, -1)
        (port,) = self._lines()
        self.url = f"http://127.0.0.1:{port}/"

    def take(self) -> list[tuple[float, str]]:
        """The requests since the last call: when their connections came, and their paths."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return [(float(at), path) for at, path in map(str.split, self._lines())]

    def _lines(self) -> list[str]:
        assert self._process.stdout is not None
        return [line.strip() for line in iter(self._process.stdout.readline, "\n")]

    def close(self) -> None:
        """Ends it."""
        self._process.communicate("")


@dataclass
class Checker:
    """An http-checker at work, on the first core."""

    process: subprocess.Popen[bytes]

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far, of all its threads, user and system (clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    @property
    def memory(self) -> float:
        """MiB that are resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


@contextlib.contextmanager
def checker(url: str, targets: int, interval: float) -> Iterator[Checker]:
    """Probes `targets` paths below `url` every `interval` seconds, and has found them all up."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:  # noqa: S108 - a tmpfs, as /run is
        place = Path(name)
        config = CheckerConfig(name, "info", (_check(url, targets, interval),), f"{name}/report.json")
        (place / "checks.json").write_text(to_json(config), encoding="ascii")
        process = subprocess.Popen([sys.executable, "-P", "-m", "app.checks.http", str(place / "checks.json")])
        _pin(process.pid, 0)
        try:
            deadline = time.monotonic() + 20
            while not (place / "http").exists() or (place / "http").read_text(encoding="ascii") != "0\n":
                assert time.monotonic() < deadline, "the targets did not become up"
                time.sleep(0.01)
            # The start is no part of what it costs.
            time.sleep(2 * interval + 0.5)
            yield Checker(process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def one_target(server: Server, interval: float, windows: int) -> Row:
    """Processor time of a probe in the process as it runs, which sleeps between two."""
    with checker(server.url, 1, interval) as found:

        def once() -> float:
            server.take()
            before = found.cpu
            time.sleep(WINDOW)
            spent = found.cpu - before
            return spent / len(server.take()) * MS

        return repeat(f"one target every {interval:g} s, heartbeats and all: a probe", windows, once)


def back_to_back(server: Server, times: int) -> Row:
    """Processor time of a probe whose code and data are still in the caches, as with many targets."""
    targets = _check(server.url, 1, 1.0).targets

    async def measure() -> float:
        probers = Probers(targets)
        prober = probers.make(targets[0])
        before = 0.0
        for number in range(-100, PROBES):
            if not number:
                before = time.process_time()
            answer = await prober.probe(2.0)
            await answer.finish()
            assert answer.ok, answer.reason
        spent = time.process_time() - before
        await probers.close()
        return spent / PROBES * MS

    return repeat("one target, back to back: a probe", times, lambda: asyncio.run(measure()), limit=0.5)


def _check(url: str, targets: int, interval: float) -> CheckerCheck:
    asked = tuple(CheckTarget(f"{url}{number}") for number in range(targets))
    return CheckerCheck("http", 0, 1, interval, interval, interval, timeout=2.0, rise=1, fall=1, targets=asked)


def forked(what: str, command: list[str], interval: float, times: int) -> Row:
    """Processor time of a check that is a process of its own."""

    def once() -> float:
        time.sleep(interval)
        process = subprocess.Popen(command)
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        assert status == 0, what
        return (usage.ru_utime + usage.ru_stime) * MS

    return repeat(f"{what} every {interval:g} s", times, once)


def beside_curl(times: int) -> list[Row]:
    """BESIDE targets asked each second: processor time of a probe, that of a forked curl, and how many it pays for."""
    server = Server()
    curl = ["curl", "--silent", "--fail", "--max-time", "2", "--output", os.devnull, server.url]
    try:
        with checker(server.url, BESIDE, 1.0) as found:

            def probe() -> float:
                server.take()
                before = found.cpu
                time.sleep(WINDOW)
                return (found.cpu - before) / len(server.take()) * MS

            ours = repeat(f"{BESIDE} targets each second: a probe", times, probe)
            theirs = forked("forked curl", curl, 1 / BESIDE, times * 20)
    finally:
        server.close()
    return [ours, theirs, Row("… one forked curl pays for so many probes", (theirs.median / ours.median,), "")]


def many_targets(server: Server, windows: int) -> Iterator[Row]:
    """TARGETS at 1 s on one core."""
    shares, late, latest = [], [], []
    with checker(server.url, TARGETS, 1.0) as found:
        for _window in range(windows):
            server.take()
            began, before = time.monotonic(), found.cpu
            time.sleep(WINDOW)
            shares.append((found.cpu - before) / (time.monotonic() - began) * 100)
            lateness = sorted(_lateness(server.take()))
            late.append(lateness[int(len(lateness) * 0.99)] * MS)
            latest.append(lateness[-1] * MS)
        memory = found.memory
    yield Row(f"{TARGETS} targets at 1 s: share of one core", tuple(shares), "%", 25)
    yield Row("… start of a probe after its time, 99th percentile", tuple(late), "ms", 50)
    yield Row("… the latest of all", tuple(latest), "ms")
    yield Row("… resident memory", (memory,), "MiB", 80)


def _lateness(requests: list[tuple[float, str]]) -> list[float]:
    """How much later than each second after its earliest each target's requests came, as the server saw them."""
    phases: dict[str, list[float]] = {}
    for at, path in requests:
        phases.setdefault(path, []).append(at)
    late = []
    for times in phases.values():
        offsets = [at - number for number, at in enumerate(times)]
        late += [offset - min(offsets) for offset in offsets]
    return late


def detection(times: int) -> Iterator[Row]:
    """From each fault, at a random moment, to the verdict."""
    for url in (HTTP, HTTPS, NAMED):
        with Lab() as lab, tempfile.TemporaryDirectory(dir="/run") as name:
            data = Path(name) / "data"
            data.mkdir()
            Path(name).chmod(0o755)
            node = lab.add_node("n1")
            faults = Faults(node, data)
            _start(node, faults, data, url)
            for fault in (fault for fault, broken in FAULTS.items() if broken == url):

                def once(fault: str = fault, faults: Faults = faults) -> float:
                    time.sleep(random.uniform(0, INTERVAL))  # noqa: S311 - no secret
                    began = faults.cause(fault)
                    found = faults.wait_verdict("1")
                    faults.mend()
                    faults.wait_verdict("0")
                    return (found - began) * MS

                yield repeat(fault, times, once, limit=LONGEST * MS)
            faults.close()


def _start(node: Node, faults: Faults, data: Path, url: str) -> None:
    settings = {
        **ENVIRONMENT,
        "KA_PRIORITY": "254",
        "KA_ENABLE_CHECK": url,
        "KA_CHECK_INTERVAL": f"{INTERVAL}",
        "KA_CHECK_TIMEOUT": f"{TIMEOUT}",
        "KA_CHECK_FAST_INTERVAL": f"{FAST}",
        "KA_CHECK_FALL": f"{FALL}",
        "KA_CHECK_RISE": "1",
    }
    if url == HTTPS:
        settings["KA_CHECK_CA_FILE"] = faults.ca_file
    node.start(settings, data=data, binds=faults.binds)
    faults.wait_verdict("0")


def _pin(pid: int, core: int) -> None:
    os.sched_setaffinity(pid, [sorted(os.sched_getaffinity(0))[core]])


def main(times: int) -> int:
    """Measures, prints the tables."""
    server = Server()
    url = server.url
    python = os.environ.get("BENCH_PYTHON")
    asks = (
        [python, "-c", f"import requests; requests.get({url!r}, timeout=2).raise_for_status()"]
        if python
        else [sys.executable, "-c", f"import urllib.request; urllib.request.urlopen({url!r}, timeout=2)"]
    )
    name = "forked python + requests" if python else "forked python + urllib"
    curl = ["curl", "--silent", "--fail", "--max-time", "2", "--output", os.devnull, url]
    try:
        costs = [back_to_back(server, times)]
        for interval in (0.01, 0.1, 1.0):
            costs.append(one_target(server, interval, max(times // 3, 2)))
            costs += [forked(name, asks, interval, times), forked("forked curl", curl, interval, times)]
        costs += many_targets(server, max(times // 3, 2))
    finally:
        server.close()
    print(f"\n{table(costs)}\n")
    found = list(detection(times))
    print(f"\n{table(found)}")
    # Not the median here: never may it be later.
    in_time = all(max(row.values) <= LONGEST * MS for row in found)
    return 0 if in_time and all(row.keeps_limit for row in costs) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))

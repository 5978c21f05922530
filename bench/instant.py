"""`python -m bench.instant [TIMES]`: how soon a killed service is off the VIP, and what watching for it costs.

Everything at default settings: an interval of two seconds, two failures. Root, nginx; docker-proxy where Docker is.
Exit status 1 when a figure misses its limit.
"""

from __future__ import annotations

import contextlib
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import Row, repeat, table
from lab import Lab
from lab.namespace import inside
from lab.pair import HTTP_CHECKER, PRIORITIES, VIP
from lab.server_programs import KINDS, ServerProgram

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Node

MS = 1000.0
ENVIRONMENT = {
    "KA_TRACK_IFACE": "eth0",
    "KA_INCLUDE": f"{VIP}/24",
    "KA_VRID": "51",
    "KA_AUTH_PASS": "bench-12",
    "KA_ENABLE_CHECK": "http://127.0.0.1/",
}
INTERVAL = 2.0
RELOADS = 1000

#: Connections a second that the busy server closes, and the port it has.
BUSY_RATE, BUSY_PORT = 5000, 8080

#: Seconds of one window of measurement.
WINDOW = 6.0

#: Pairs of windows, of which one has the checker stopped, and the seconds of a window.
PAIRS, PAIR_WINDOW = 60, 0.5

#: Opens connections, each for one request, RATE a second (0: as fast as it can), and prints when how many were done.
CLIENT = """
import socket, sys, time
host, port, rate, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
request = f"GET / HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode()
began, done, shown = time.monotonic(), 0, 0
while (past := time.monotonic() - began) < seconds:
    if rate and past > shown + 0.05:
        shown = past
        print(began + past, done)
    if rate and done > past * rate:
        time.sleep(0.001)
        continue
    with socket.socket() as client:
        client.connect((host, port))
        client.send(request)
        while client.recv(4096):
            pass
    done += 1
"""


def kill_rows(times: int) -> Iterator[Row]:
    """From SIGKILL of the server, at a random moment, to the VIP on the peer."""
    for kind in KINDS:
        yield _killed(kind, times, "true", limit=60)
    yield _killed("nginx", max(times // 2, 2), "false", limit=None)


def _killed(kind: str, times: int, instant: str, limit: float | None) -> Row:
    scheme = "tcp://127.0.0.1:80" if kind == "listener" else "http://127.0.0.1/"
    with Lab() as lab, contextlib.ExitStack() as ends:
        nodes = [lab.add_node("n1"), lab.add_node("n2")]
        servers = []
        for node in nodes:
            if kind == "docker-proxy":
                container = lab.add_host(f"c{node.name[1:]}")
                servers.append(ends.enter_context(ServerProgram(container, "nginx")))
                ends.enter_context(ServerProgram(node, kind, behind=container))
            else:
                servers.append(ends.enter_context(ServerProgram(node, kind)))
        environment = {**ENVIRONMENT, "KA_ENABLE_CHECK": scheme, "KA_CHECK_INSTANT": instant}
        _start(lab, nodes, environment)

        def once() -> float:
            # Until the last good answer may be any time ago.
            time.sleep(INTERVAL + random.uniform(0, INTERVAL))  # noqa: S311 - no secret
            asked = time.time()
            servers[0].kill()
            taken = lab.wait_holder(VIP, nodes[1], since=asked)
            servers[0].start()
            lab.wait_holder(VIP, nodes[0], since=taken.time)
            return (taken.time - asked) * MS

        what = f"{kind} killed with -9 to the VIP on the peer"
        return repeat(what + ("" if instant == "true" else ", KA_CHECK_INSTANT=false"), times, once, limit=limit)


def reload_rows() -> Iterator[Row]:
    """Graceful reloads of nginx, one after the other, under load."""
    with Lab() as lab, contextlib.ExitStack() as ends:
        nodes = [lab.add_node("n1"), lab.add_node("n2")]
        servers = [ends.enter_context(ServerProgram(node, "nginx")) for node in nodes]
        # The debug level names each probe that failed.
        _start(lab, nodes, {**ENVIRONMENT, "KA_LOG_LEVEL": "debug"})
        client = lab.add_host("client").start_client(f"http://{VIP}/", rate=200)
        for _number in range(RELOADS):
            servers[0].reload()
            client.wait_requests(len(client.requests) + 10)
        moves = len(lab.timeline(VIP)) - 1
        failures = len(re.findall(r"http-checker.*: (?:DOWN|one failure)", nodes[0].log.text))
        lost = len(client.lost)
    yield Row(f"{RELOADS} graceful reloads of nginx under 200 requests a second: VIP moved", (moves,), "times", 0)
    yield Row("… probes that failed", (failures,), "", 0)
    yield Row("… requests of the client that failed", (lost,), "")


def busy_rows(windows: int) -> Iterator[Row]:
    """What it costs beside a server that closes BUSY_RATE connections a second; on and off take turns."""
    shares: dict[str, list[float]] = {"true": [], "false": []}
    reached = []
    losses: list[float] = []
    with Lab() as lab, contextlib.ExitStack() as ends:
        node, client = lab.add_node("n1"), lab.add_host("client")
        ends.enter_context(ServerProgram(node, "nginx"))
        busy = ends.enter_context(ServerProgram(node, "nginx", port=BUSY_PORT))

        def load(rate: int, seconds: float) -> subprocess.Popen[str]:
            arguments = [node.ipv4, str(BUSY_PORT), str(rate), str(seconds)]
            return subprocess.Popen(
                ["ip", "netns", "exec", client.namespace, sys.executable, "-c", CLIENT, *arguments],
                stdout=subprocess.PIPE,
                text=True,
            )

        for number in range(2 * windows):
            instant = ("true", "false")[(number + number // 2) % 2]
            since = time.time()
            node.start({**ENVIRONMENT, "KA_PRIORITY": "254", "KA_LOG_LEVEL": "debug", "KA_CHECK_INSTANT": instant})
            lab.wait_holder(VIP, node, since=since)
            (pid,) = node.processes(HTTP_CHECKER)
            began, before = time.monotonic(), _cpu(pid)
            done = _counts(load(BUSY_RATE, WINDOW))
            reached.append(_rate(done, began, began + WINDOW))
            shares[instant].append((_cpu(pid) - before) / (time.monotonic() - began) * 100)
            node.stop()
        since = time.time()
        node.start({**ENVIRONMENT, "KA_PRIORITY": "254"})
        lab.wait_holder(VIP, node, since=since)
        client_process = load(0, 3600)
        losses += _losses(node, busy)
        client_process.kill()
        client_process.communicate()
    on, off = (Row("", tuple(shares[instant]), "").median for instant in ("true", "false"))
    yield Row("connections a second that the server beside it closed", tuple(reached), "")
    yield Row("… http-checker with KA_CHECK_INSTANT=true: share of one core", tuple(shares["true"]), "%")
    yield Row("… with KA_CHECK_INSTANT=false", tuple(shares["false"]), "%")
    yield Row("… more with it than without (of the medians)", (on - off,), "%", 1)
    what = (
        "the server as fast as it can, processor time of a connection: more while the checker runs than while stopped"
    )
    yield Row(what, tuple(losses), "%", 2)


def _losses(node: Node, server: ServerProgram) -> Iterator[float]:
    """Percent that one connection takes more of the server's processor time with the checker, for each pair.

    Processor time, for this machine has other work too: how many connections there are in a second depends on that.
    """
    for number in range(PAIRS):
        costs = {}
        for is_running in (number % 2 == 0, number % 2 == 1):
            node.signal(HTTP_CHECKER, signal.SIGCONT if is_running else signal.SIGSTOP)
            opened, cpu = inside(node.namespace, _opened), sum(map(_cpu, server.pids))
            time.sleep(PAIR_WINDOW)
            costs[is_running] = (sum(map(_cpu, server.pids)) - cpu) / (inside(node.namespace, _opened) - opened)
        yield (costs[True] / costs[False] - 1) * 100
    node.signal(HTTP_CHECKER, signal.SIGCONT)


def _opened() -> int:
    """Connections that this namespace has accepted so far (RFC 4022, tcpPassiveOpens)."""
    names, values = (line for line in Path("/proc/thread-self/net/snmp").read_text().splitlines() if line[:4] == "Tcp:")
    return int(dict(zip(names.split(), values.split(), strict=True))["PassiveOpens"])


def _counts(client: subprocess.Popen[str]) -> list[tuple[float, int]]:
    """What the client printed: when how many connections were done."""
    said, _nothing = client.communicate()
    return [(float(at), int(done)) for at, done in map(str.split, said.splitlines())]


def _rate(done: list[tuple[float, int]], began: float, ended: float) -> float:
    """Connections a second between two moments."""
    first, *_, last = ((at, count) for at, count in done if began <= at <= ended)
    return (last[1] - first[1]) / (last[0] - first[0])


def _start(lab: Lab, nodes: list[Node], environment: dict[str, str]) -> None:
    for node, priority in zip(nodes, PRIORITIES, strict=True):
        mark = node.log.mark()
        node.start({**environment, "KA_PRIORITY": priority})
        node.log.wait_for("Entering (BACKUP|MASTER) STATE", since=mark)
    lab.wait_holder(VIP, nodes[0])


def _cpu(pid: int) -> float:
    """Seconds of processor time so far, of all its threads, user and system (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def main(times: int) -> int:
    """Measures, prints the table."""
    rows = [*kill_rows(times), *busy_rows(max(times // 2, 2)), *reload_rows()]
    print(f"\n{table(rows)}")
    return 0 if all(row.keeps_limit for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))

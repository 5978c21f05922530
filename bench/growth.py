"""What grows with instances, VIPs, targets and peers: render, start, fail-over, memory and idle processor time."""

from __future__ import annotations

import os
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import Lab, wait_until
from lab.sandbox import CHECKOUT, interpreter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab import Node, Service

#: How many of each are tried: the limits are those of VRRP (255 instances) and of what is sensible.
SIZES = {
    "instances": (1, 4, 16, 64, 128, 255),
    "VIPs": (1, 10, 100, 500, 1000, 2000),
    "targets": (1, 10, 100, 500, 1000),
    "peers": (2, 5, 10, 20, 30),
}

#: Seconds of one look at idle processor time, and the patience with the largest.
IDLE_SECONDS = 10.0
PATIENCE_SECONDS = 240.0

BASE = {
    "KA_TRACK_IFACE": "eth0",
    "KA_ADVERT_INTERVAL": "1",
    "KA_CHECK_RISE": "1",
    "KA_CHECK_FALL": "1",
    "KA_ENABLE_CHECK": "http://127.0.0.1/",
}


@dataclass(frozen=True)
class Size:
    """One point: seconds that `ka render`, the start (`ka run` to keepalived) and a fail-over (the first failed answer
    to the last VIP on the peer) took, MiB (PSS) and percent of a core of one idle node.
    """

    size: int
    render: float
    start: float
    fail_over: float
    memory: float
    idle: float


def environment(dimension: str, size: int) -> tuple[dict[str, str], list[str]]:
    """What every node is told, and the VIPs; the rest of it is as small as it can be."""
    told, vips = dict(BASE), ["192.0.2.1"]
    if dimension == "instances":
        vips = [f"192.0.2.{number}" for number in range(size)]
        for number, vip in enumerate(vips):
            told[f"KA_INSTANCES__N{number}__VRID"] = str(number + 1)
            told[f"KA_INSTANCES__N{number}__INCLUDE"] = vip
        return told, vips
    told["KA_VRID"] = "51"
    if dimension == "VIPs":
        # The documentation's IPv4 ranges are too small. One advert names 20 addresses at most; the rest moves along.
        vips = [f"2001:db8::1:{number:x}" for number in range(1, size + 1)]
        told["KA_EXCLUDE"] = ",".join(vips[20:])
    if dimension == "targets":
        told["KA_ENABLE_CHECK"] = ",".join(f"http://127.0.0.1/{number}" for number in range(size))
    if dimension == "peers":
        told["KA_UNICAST_PEERS"] = ",".join(f"203.0.113.{11 + number}" for number in range(size))
    told["KA_INCLUDE"] = ",".join(vips[:20])
    return told, vips


def measure(sizes: Mapping[str, Sequence[int]] = SIZES) -> dict[str, Any]:
    """Each size of each dimension once; the points by dimension."""
    found: dict[str, list[dict[str, float]]] = {}
    for dimension, tried in sizes.items():
        for size in tried:
            point = _measure(dimension, size)
            print(f"{size} {dimension}: {point}", flush=True)
            found.setdefault(dimension, []).append(asdict(point))
    return found


def _measure(dimension: str, size: int) -> Size:
    told, vips = environment(dimension, size)
    with Lab() as lab:
        nodes = [lab.add_node(f"n{number + 1}") for number in range(size if dimension == "peers" else 2)]
        services = [node.start_service() for node in nodes]
        first, second = nodes[:2]
        render = _rendered(first, {**told, "KA_PRIORITY": "254"})
        start = _started(first, {**told, "KA_PRIORITY": "254"})
        _wait_all(lab, first, vips, since=0.0)
        for number, node in enumerate(nodes[1:]):
            node.start({**told, "KA_PRIORITY": str(253 - number)})
        for node in nodes[1:]:
            node.log.wait_for("Entering BACKUP STATE", timeout=PATIENCE_SECONDS)
        # The burst of gratuitous ARP five seconds after the take-over is no part of idling.
        time.sleep(6)
        memory, idle = pss(first), _idle(first)
        fail_over = _failed_over(lab, services[0], second, vips)
        for node in nodes:
            node.kill()
    return Size(size, render, start, fail_over, memory, idle)


def _rendered(node: Node, told: Mapping[str, str]) -> float:
    command = ["env", f"--chdir={CHECKOUT}", *(f"{name}={text}" for name, text in told.items())]
    began = time.monotonic()
    node.exec([*command, str(interpreter()), "-m", "app", "render", "keepalived.conf"], timeout=PATIENCE_SECONDS)
    return time.monotonic() - began


def _started(node: Node, told: Mapping[str, str]) -> float:
    node.start(told)
    line = node.log.wait_for(r"Starting VRRP child process", timeout=PATIENCE_SECONDS)
    return line.time - (node.started or 0.0)


def _failed_over(lab: Lab, service: Service, second: Node, vips: Sequence[str]) -> float:
    asked = time.time()
    service.answer(500)
    taken = _wait_all(lab, second, vips, since=asked)
    failed = next(answer.time for answer in service.answers if answer.time >= asked and answer.status == 500)
    return taken - failed


def pss(node: Node) -> float:
    """Proportional set size of all processes of a node, in MiB (proc(5), smaps_rollup)."""
    total = 0
    for pid in node.processes(""):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        total += sum(int(kib) for kib in re.findall(r"^Pss: +(\d+)", rollup, re.MULTILINE))
    return total / 1024


def _wait_all(lab: Lab, node: Node, vips: Sequence[str], since: float) -> float:
    """When the node got the last of the VIPs; looked for now and then, for a look at every event of thousands would
    make the next one's time late.
    """

    def find() -> float | None:
        got = {event.address: event.time for event in lab.timeline() if event.node == node.name and event.added}
        times = [got.get(vip, 0.0) for vip in vips]
        return max(times) if min(times) > since else None

    return wait_until(find, f"{len(vips)} VIPs on {node.name}", PATIENCE_SECONDS, pause=0.25)


def _idle(node: Node) -> float:
    """Percent of a core that the node's processes use, those that come and go (in their parents' account) as well."""
    before, began = _ticks(node), time.monotonic()
    time.sleep(IDLE_SECONDS)
    return (_ticks(node) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began) * 100


def _ticks(node: Node) -> int:
    total = 0
    for pid in node.processes(""):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += sum(map(int, fields[11:15]))
    return total

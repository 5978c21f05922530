"""A fleet's figures: how long a large environment takes, a large node's fail-over, the fastest adverts, and reloads."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import Row, repeat
from lab import Lab
from lab.sandbox import CHECKOUT, interpreter
from tests.lab.test_reload import lost_in_reloads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Host, Node

VIP = "203.0.113.10"
MS = 1000.0

#: As many as the issue asks for.
INSTANCES, VIPS = 64, 8

FAST = {
    "KA_TRACK_IFACE": "eth0",
    "KA_INCLUDE": f"{VIP}/24",
    "KA_VRID": "51",
    "KA_ADVERT_INTERVAL": "0.02",
}


def large(instances: int = INSTANCES, vips: int = VIPS) -> tuple[dict[str, str], list[str]]:
    """An environment without a priority of that many instances with that many VIPs each, and all VIPs."""
    addresses = [f"{network}.{number}" for network in ("192.0.2", "198.51.100") for number in range(256)]
    environment = {
        "KA_TRACK_IFACE": "eth0",
        "KA_AUTH_PASS": "bench-12",
        "KA_ENABLE_CHECK": "http://127.0.0.1/",
        "KA_CHECK_INTERVAL": "0.5",
        "KA_CHECK_TIMEOUT": "2",
        "KA_CHECK_RISE": "1",
        "KA_CHECK_FALL": "1",
    }
    for number in range(instances):
        own = addresses[number * vips : (number + 1) * vips]
        environment[f"KA_INSTANCES__N{number}__VRID"] = str(number + 1)
        environment[f"KA_INSTANCES__N{number}__INCLUDE"] = ",".join(own)
    return environment, addresses[: instances * vips]


def rows(times: int) -> Iterator[Row]:
    """All of it; ``times`` for the fail-over of a cut link, a quarter of that for what takes long."""
    with Lab() as lab:
        node = lab.add_node("n1")
        few = max(times // 4, 2)
        yield repeat(
            f"ka render of {INSTANCES} instances with {VIPS} VIPs", few, lambda: rendered(node), unit="s", limit=1.5
        )
    yield from large_rows(few)
    yield cut_link_row(times)
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="ka-bench-", dir="/run") as directory:
        requests, lost = lost_in_reloads(lab, Path(directory), times)
    print(f"{requests} requests in {times} reloads of both nodes, {lost} lost")
    yield Row(f"requests lost in {times} reloads of both nodes, at 50 a second", (float(lost),), "", 0)


def rendered(host: Host, priority: str = "254") -> float:
    """Seconds that `ka render` takes for the large environment."""
    environment, _ = large()
    told = [f"{name}={text}" for name, text in {**environment, "KA_PRIORITY": priority}.items()]
    started = time.monotonic()
    # env, for the host's own programs know nothing of a node's environment.
    command = ["env", f"--chdir={CHECKOUT}", *told, str(interpreter()), "-m", "app", "render", "keepalived.conf"]
    text = host.exec(command, timeout=30).stdout
    took = time.monotonic() - started
    assert text.count("vrrp_instance ") == INSTANCES
    return took


def large_rows(times: int, instances: int = INSTANCES, vips: int = VIPS) -> Iterator[Row]:
    """From a failed probe to the first of many VIPs on the peer, and from the first to the last."""
    environment, addresses = large(instances, vips)
    with Lab() as lab:
        first, second = lab.add_node("n1"), lab.add_node("n2")
        service = first.start_service()
        second.start_service()
        for node, priority in ((first, "254"), (second, "253")):
            node.start({**environment, "KA_PRIORITY": priority})
        for vip in addresses:
            lab.wait_holder(vip, first, timeout=30)
        until_first, until_last = [], []
        for _ in range(times):
            asked = time.time()
            service.answer(500)
            taken = [lab.wait_holder(vip, second, since=asked, timeout=30).time for vip in addresses]
            answered = next(answer.time for answer in service.answers if answer.time >= asked and answer.status == 500)
            until_first.append((min(taken) - answered) * MS)
            until_last.append((max(taken) - min(taken)) * MS)
            asked = time.time()
            service.answer(200)
            for vip in addresses:
                lab.wait_holder(vip, first, since=asked, timeout=30)
    name = f"{instances} instances with {vips} VIPs"
    yield Row(f"{name}: failed probe's end to the first VIP on the peer", tuple(until_first), "ms")
    yield Row(f"{name}: first to last VIP on the peer", tuple(until_last), "ms")


def cut_link_row(times: int) -> Row:
    """From the loss of a link to the VIP on the peer, with adverts every 0.02 s."""
    with Lab() as lab:
        first, second = lab.add_node("n1"), lab.add_node("n2")
        for node, priority in ((first, "254"), (second, "253")):
            node.start({**FAST, "KA_PRIORITY": priority})
            lab.wait_holder(VIP, first)

        def cut() -> float:
            return cut_link(lab, first, second) * MS

        return repeat("adverts every 0.02 s: link cut to the VIP on the peer", times, cut, limit=90)


def cut_link(lab: Lab, first: Node, second: Node) -> float:
    """Seconds from the loss of the first node's link to the VIP on the second; the link is mended afterwards."""
    asked = time.time()
    first.cut_link(keep_carrier=True)
    taken = lab.wait_holder(VIP, second, since=asked)
    mended = time.time()
    first.mend_link()
    lab.wait_released(VIP, second, since=mended)
    return taken.time - asked

"""A fleet's figures: how long a large environment takes, a large node's fail-over, the fastest adverts, and reloads."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import Row, repeat
from lab import Lab
from lab.large import INSTANCES, VIPS, fail_overs, rendered
from lab.reloads import lost_in_reloads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Node

VIP = "203.0.113.10"
MS = 1000.0

FAST = {
    "KA_TRACK_IFACE": "eth0",
    "KA_INCLUDE": f"{VIP}/24",
    "KA_VRID": "51",
    "KA_ADVERT_INTERVAL": "0.02",
}


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


def large_rows(times: int) -> Iterator[Row]:
    """From a failed probe to the first of many VIPs on the peer, and from the first to the last."""
    found = fail_overs(times)
    name = f"{INSTANCES} instances with {VIPS} VIPs"
    yield Row(f"{name}: failed probe's end to the first VIP on the peer", tuple(one.first * MS for one in found), "ms")
    yield Row(f"{name}: first to last VIP on the peer", tuple((one.last - one.first) * MS for one in found), "ms")


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

"""Where VIPs go, and which links a node needs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lab.pair import VIP, VIP6, make_pair, placed, start_pair

if TYPE_CHECKING:
    from lab import Host, Lab

FOREIGN = "198.51.100.10"


def test_excluded_vips_and_those_on_other_links_move_with_the_rest(lab: Lab) -> None:
    included = (VIP, FOREIGN, VIP6)
    excluded = ("203.0.113.20", "2001:db8::20")
    vips = (*included, *excluded)
    # Without a prefix it is the address of one host, without a link it is on that of the adverts.
    expected = {
        f"{VIP}/32 dev eth0",
        f"{FOREIGN}/28 dev lo",
        f"{VIP6}/128 dev eth0",
        "203.0.113.20/24 dev eth0",
        "2001:db8::20/64 dev lo",
    }
    pair = start_pair(
        lab,
        *vips,
        KA_INCLUDE=f"{VIP}, {FOREIGN}/28/lo, {VIP6}",
        KA_EXCLUDE="203.0.113.20/24 2001:db8::20/64/lo",
    )
    assert placed(pair.n1, *vips) == expected
    failed = time.time()
    pair.services["n1"].refuse()
    pair.wait_moved(pair.n2, failed, *vips)
    assert placed(pair.n2, *vips) == expected
    assert placed(pair.n1, *vips) == set()
    stopped = time.time()
    pair.services["n1"].answer(200)
    assert pair.n2.stop() == 0
    pair.wait_moved(pair.n1, stopped, *vips)
    assert placed(pair.n1, *vips) == expected
    assert placed(pair.n2, *vips) == set()


@pytest.mark.parametrize("vip", [VIP, FOREIGN], ids=["of the subnet", "of the default route"])
def test_auto_finds_the_link(lab: Lab, vip: str) -> None:
    pair = make_pair(lab)
    for node in (pair.n1, pair.n2):
        # One that would be the first in every list.
        add_link(node, "aa0")
        node.exec(["ip", "route", "add", "default", "dev", "eth0"])
    pair.settle(vip, KA_TRACK_IFACE="auto", KA_INCLUDE=f"{vip}/24")
    assert placed(pair.n1, vip) == {f"{vip}/24 dev eth0"}
    stopped = time.time()
    pair.n1.stop()
    pair.wait_moved(pair.n2, stopped, vip)


def test_the_loss_of_another_link_that_is_tracked_moves_the_vip(lab: Lab) -> None:
    pair = make_pair(lab)
    for node in (pair.n1, pair.n2):
        add_link(node, "eth1")
    pair.settle(KA_TRACK_INTERFACES="eth1")
    lost = time.time()
    pair.n1.exec(["ip", "link", "set", "eth1-far", "down"])
    pair.wait_moved(pair.n2, lost)
    found = time.time()
    pair.n1.exec(["ip", "link", "set", "eth1-far", "up"])
    pair.wait_moved(pair.n1, found)


def add_link(host: Host, name: str) -> None:
    """Another link of a host, whose far end is called NAME-far."""
    host.exec(["ip", "link", "add", name, "up", "type", "veth", "peer", "name", f"{name}-far"])
    host.exec(["ip", "link", "set", f"{name}-far", "up"])

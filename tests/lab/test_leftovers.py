"""Addresses that a dead keepalived left are found whatever their prefix and link, and nothing else is touched."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING

import pytest

from app.host.leftovers import remove_leftovers
from lab.namespace import inside

if TYPE_CHECKING:
    from lab import Host, Lab


@pytest.fixture
def host(lab: Lab) -> Host:
    """A machine with lo and eth0, and addresses of its own."""
    return lab.add_host("left")


def add(host: Host, *addresses: str) -> None:
    """Adds addresses, written as ``ADDRESS/PREFIX dev LINK``."""
    for address in addresses:
        nodad = ["nodad"] if ":" in address else []
        host.exec(["ip", "address", "add", *address.split(), *nodad])


def addresses(host: Host) -> set[str]:
    """What the kernel has, in the same words; without the link-local ones."""
    shown = json.loads(host.exec(["ip", "-json", "address", "show"]).stdout)
    return {
        f"{info['local']}/{info['prefixlen']} dev {link['ifname']}"
        for link in shown
        for info in link["addr_info"]
        if info["scope"] != "link"
    }


def removed(host: Host, *vips: str, links: tuple[str, ...] = ("eth0", "lo")) -> set[str]:
    """What is removed of ``vips`` on ``links``."""
    places = {(ipaddress.ip_address(vip), link) for vip in vips for link in links}
    return {str(address) for address in inside(host.namespace, lambda: remove_leftovers(places))}


@pytest.mark.parametrize(
    "left",
    [
        ["203.0.113.10/24 dev eth0"],
        ["203.0.113.10/32 dev eth0"],
        ["203.0.113.10/16 dev eth0", "203.0.113.10/24 dev eth0", "203.0.113.10/32 dev lo"],
        ["2001:db8::10/64 dev eth0"],
        ["2001:db8::10/128 dev lo", "203.0.113.10/24 dev eth0"],
    ],
    ids=["same prefix", "other prefix", "several", "IPv6", "both families"],
)
def test_what_was_left_is_removed(host: Host, left: list[str]) -> None:
    own = addresses(host)
    add(host, *left)
    assert addresses(host) == own | set(left)
    assert removed(host, "203.0.113.10", "2001:db8:0:0::10") == set(left)
    assert addresses(host) == own


def test_neighbours_stay(host: Host) -> None:
    others = ["203.0.113.1/32 dev eth0", "203.0.113.100/24 dev eth0", "2001:db8::1010/64 dev eth0"]
    add(host, "203.0.113.10/24 dev eth0", *others)
    own = addresses(host) - {"203.0.113.10/24 dev eth0"}
    assert removed(host, "203.0.113.10", "2001:db8::10") == {"203.0.113.10/24 dev eth0"}
    assert addresses(host) == own


def test_the_same_address_on_another_link_stays(host: Host) -> None:
    add(host, "203.0.113.10/24 dev eth0", "203.0.113.10/32 dev lo")
    assert removed(host, "203.0.113.10", links=("eth0",)) == {"203.0.113.10/24 dev eth0"}
    assert "203.0.113.10/32 dev lo" in addresses(host)


def test_nothing_was_left(host: Host) -> None:
    own = addresses(host)
    assert removed(host, "203.0.113.10") == set()
    assert removed(host) == set()
    assert addresses(host) == own


def test_an_address_that_came_after_the_vip_stays(host: Host) -> None:
    """A network manager that was restarted while this node was master has put its own address behind the VIP."""
    host.exec(["sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries"])
    host.exec(["ip", "address", "del", f"{host.ipv4}/24", "dev", "eth0"])
    add(host, "203.0.113.10/24 dev eth0", f"{host.ipv4}/24 dev eth0")
    assert removed(host, "203.0.113.10") == {"203.0.113.10/24 dev eth0"}
    assert f"{host.ipv4}/24 dev eth0" in addresses(host)

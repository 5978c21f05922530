"""VIPs are no facts of the host that they are on, and what is the host's own is never taken."""

from __future__ import annotations

import json
import time
from signal import SIGHUP, SIGKILL
from typing import TYPE_CHECKING

import pytest

from lab.pair import ENVIRONMENT, KEEPALIVED, NO_CHECK, VIP, VIP6, ka, placed, wait_state
from lab.patience import wait_until

if TYPE_CHECKING:
    from lab import Host, Lab, Node

PLAIN = {**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254"}
CONFIG = "run/ka/keepalived.conf"


def ip(host: Host, *lines: str) -> None:
    """Runs `ip` for each line."""
    for line in lines:
        host.exec(["ip", *line.split()])


def routes(host: Host) -> list[str]:
    """The IPv4 routes of a host, sorted."""
    return sorted(line.strip() for line in host.exec(["ip", "-4", "route", "show"]).stdout.splitlines())


def source(node: Node) -> str:
    """The address that its adverts come from."""
    words = node.read(CONFIG).split()
    return words[words.index("unicast_src_ip") + 1]


def vip_comes_first(node: Node, family: int) -> None:
    """Makes the VIP the address that the kernel speaks from: of IPv6 it is the newest anyway, of IPv4 the oldest."""
    if family == 4:
        ip(node, f"address del {node.ipv4}/24 dev eth0", f"address add {node.ipv4}/24 dev eth0")


class TestOwnVips:
    @pytest.mark.parametrize("family", [4, 6])
    def test_a_vip_that_was_left_is_no_source(self, lab: Lab, family: int) -> None:
        n1, n2 = lab.add_node("n1"), lab.add_node("n2")
        vip, prefix, own, peer = (VIP, 24, n1.ipv4, n2.ipv4) if family == 4 else (VIP6, 64, n1.ipv6, n2.ipv6)
        peers = {**PLAIN, "KA_INCLUDE": f"{vip}/{prefix}", "KA_UNICAST_PEERS": peer, "KA_LEASE": "off"}
        n1.start(peers)
        lab.wait_holder(vip, n1)
        assert source(n1) == own
        vip_comes_first(n1, family)
        n1.kill()
        started = time.time()
        n1.start(peers)
        lab.wait_holder(vip, n1, since=started)
        assert source(n1) == own

    @pytest.mark.parametrize("family", [4, 6])
    def test_a_reload_on_a_master_does_not_speak_from_its_vip(self, lab: Lab, family: int) -> None:
        n1, n2 = lab.add_node("n1"), lab.add_node("n2")
        vip, prefix, own, peer = (VIP, 24, n1.ipv4, n2.ipv4) if family == 4 else (VIP6, 64, n1.ipv6, n2.ipv6)
        n1.start({**PLAIN, "KA_INCLUDE": f"{vip}/{prefix}", "KA_UNICAST_PEERS": peer})
        lab.wait_holder(vip, n1)
        vip_comes_first(n1, family)
        mark = n1.log.mark()
        n1.signal("app.pid1", SIGHUP)
        n1.log.wait_for("nothing has changed|reloaded, changed", since=mark)
        assert source(n1) == own

    def test_a_link_is_not_found_by_a_vip_that_is_on_it(self, lab: Lab) -> None:
        """kube-proxy in IPVS mode has external addresses on a link of its own."""
        node = lab.add_node("n1")
        ip(node, "link add kube-ipvs0 type bridge", f"address add {VIP}/32 dev kube-ipvs0")
        node.start({**PLAIN, "KA_TRACK_IFACE": "auto"})
        lab.wait_holder(VIP, node)
        wait_until(lambda: f"{VIP}/24 dev eth0" in placed(node), "the VIP on eth0")
        assert placed(node) == {f"{VIP}/24 dev eth0", f"{VIP}/32 dev kube-ipvs0"}

    def test_auto_with_a_default_route_of_several_ways(self, lab: Lab) -> None:
        node = lab.add_node("n1")
        ip(node, "route add default nexthop via 203.0.113.1 dev eth0 nexthop via 203.0.113.2 dev eth0")
        node.start({**PLAIN, "KA_TRACK_IFACE": "auto", "KA_INCLUDE": "198.51.100.10/32"})
        lab.wait_holder("198.51.100.10", node)


class TestThisMachinesOwn:
    @pytest.mark.parametrize(
        ("others", "lines"),
        [
            ("no other address", []),
            ("a default route that rests on it", ["route add default via 203.0.113.1 dev eth0"]),
            (
                "a route that speaks from it",
                ["address add 203.0.113.200/24 dev eth0", "route add 192.0.2.0/24 via 203.0.113.1 src {own}"],
            ),
            (
                "a lifetime",
                [
                    "address add 203.0.113.200/24 dev eth0",
                    "address change {own}/24 dev eth0 valid_lft 3600 preferred_lft 3600",
                ],
            ),
        ],
    )
    @pytest.mark.parametrize("link", ["eth0", "auto"])
    def test_it_is_refused_by_name(self, lab: Lab, others: str, lines: list[str], link: str) -> None:
        node = lab.add_node("n1")
        ip(node, *(line.format(own=node.ipv4) for line in lines))
        if link == "auto" and not others.startswith("a default"):
            ip(node, "route add default via 203.0.113.1 dev eth0")
        before = lab.timeline(), routes(node)
        node.start({**PLAIN, "KA_TRACK_IFACE": link, "KA_INCLUDE": f"{VIP}/24 {node.ipv4}/24"})
        assert node.wait() == 78
        assert (
            f"ka: KA_INCLUDE: cannot be {node.ipv4}, which is this machine's own address on eth0; "
            "it must be one that no machine has as its own" in node.stderr.text
        )
        assert (lab.timeline(), routes(node)) == before

    def test_an_address_of_another_link_stays_and_is_no_contradiction(self, lab: Lab) -> None:
        """Direct server return: each server has the VIP on its loopback."""
        n1, n2 = lab.add_node("n1"), lab.add_node("n2")
        for node in (n1, n2):
            ip(node, f"address add {VIP}/32 dev lo")
        n1.start(PLAIN)
        wait_state(n1, "MASTER")
        n2.start({**PLAIN, "KA_PRIORITY": "253"})
        n2.log.wait_for("Entering BACKUP STATE")
        wait_state(n2, "BACKUP")
        assert ka(n2, "health").returncode == 0
        ip(n1, f"address add {VIP}/16 dev eth0")
        mark = n1.log.mark()
        n1.signal(KEEPALIVED, SIGKILL)
        n1.log.wait_for(f"removed {VIP}/16 dev eth0, which keepalived left behind", since=mark)
        wait_state(n1, "MASTER")
        assert placed(n1) == {f"{VIP}/32 dev lo", f"{VIP}/24 dev eth0"}
        assert n1.stop() == n2.stop() == 0
        assert placed(n1) == placed(n2) == {f"{VIP}/32 dev lo"}

    def test_what_came_after_a_vip_that_was_left_stays(self, lab: Lab) -> None:
        """A network manager set its address up anew while the VIP was here: it is the second one of its subnet."""
        node = lab.add_node("n1")
        node.exec(["sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/all/promote_secondaries"])
        node.exec(["sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries"])
        ip(
            node,
            f"address del {node.ipv4}/24 dev eth0",
            f"address add {VIP}/24 dev eth0",
            f"address add {node.ipv4}/24 dev eth0 valid_lft 3600 preferred_lft 3600",
            "route add default via 203.0.113.1 dev eth0",
            f"route add 192.0.2.0/24 via 203.0.113.2 src {node.ipv4}",
        )
        before = [route for route in routes(node) if "kernel" not in route]
        started = time.time()
        node.start({**PLAIN, "KA_INCLUDE": f"{VIP}/32"})
        lab.wait_released(VIP, node, since=started)
        node.log.wait_for("Entering MASTER STATE")
        assert [route for route in routes(node) if "kernel" not in route] == before
        (shown,) = json.loads(node.exec(["ip", "-json", "-4", "address", "show", "dev", "eth0"]).stdout)
        lifetimes = {info["local"]: info["valid_life_time"] for info in shown["addr_info"]}
        assert lifetimes[node.ipv4] <= 3600
        assert node.exec(["cat", "/proc/sys/net/ipv4/conf/eth0/promote_secondaries"]).stdout == "0\n"

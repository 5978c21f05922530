"""What VRRP can do, told by variables: active/active, preemption, routes, groups, links and source addresses."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.pair import VIP, VIP6, wait_goodbye, wait_state

if TYPE_CHECKING:
    from lab import Host, Lab, Node

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "fleet.md"
SECOND = "203.0.113.20"

#: Sub-second adverts, but no shorter than a busy machine keeps up with.
INTERVAL = 0.25
FAST = {"KA_TRACK_IFACE": "eth0", "KA_VRID": "51", "KA_ADVERT_INTERVAL": f"{INTERVAL:g}"}


def example(heading: str) -> dict[str, str]:
    """The environment that stands below a heading of the page."""
    text = DOCUMENT.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    block = text.partition("```sh\n")[2].partition("```")[0]
    return dict(line.split("=", 1) for line in block.splitlines() if line.startswith("KA_"))


def routes(host: Host) -> set[str]:
    """The routes of both families that are keepalived's."""
    shown = host.exec(["ip", "route", "show"]).stdout + host.exec(["ip", "-6", "route", "show"]).stdout
    return {line.strip() for line in shown.splitlines() if "proto keepalived" in line or "proto 18" in line}


def test_each_node_is_master_of_one_vip_as_the_page_shows(lab: Lab) -> None:
    environment = example("Two VIPs, each node master of one")
    assert environment["KA_INSTANCES__A__INCLUDE"] == f"{VIP}/24"
    n1, n2 = lab.add_node("n1"), lab.add_node("n2")
    for node in (n1, n2):
        node.start(environment)
    lab.wait_holder(VIP, n1)
    lab.wait_holder(SECOND, n2)
    wait_state(n1, "BACKUP")
    wait_state(n2, "BACKUP")

    adverts, stopped = lab.sniff(), time.time()
    n1.stop()
    wait_goodbye(lab, adverts, n1, n2, since=stopped)
    assert lab.holders(SECOND) == {"n2"}
    n1.start(environment)
    lab.wait_holder(VIP, n1, since=stopped)
    lab.wait_released(VIP, n2, since=stopped)
    assert lab.holders(SECOND) == {"n2"}


def test_routes_move_with_the_vip_and_nopreempt_leaves_it_where_it_is(lab: Lab) -> None:
    gateway = lab.add_host("gateway")
    environment = {
        **FAST,
        "KA_INCLUDE": f"{VIP}/24 {VIP6}/64",
        "KA_NOPREEMPT": "true",
        "KA_ROUTES": f"198.51.100.0/24 via {gateway.ipv4} src {VIP}; blackhole 192.0.2.0/24; "
        f"2001:db8:1::/48 via {gateway.ipv6} dev eth0; blackhole 2001:db8:bad::/48",
    }
    n1, n2 = lab.add_node("n1"), lab.add_node("n2")
    for node, priority in ((n1, "254"), (n2, "253")):
        node.start({**environment, "KA_PRIORITY": priority})
        lab.wait_holder(VIP, n1)
    lab.wait_holder(VIP6, n1)
    wait_state(n2, "BACKUP")
    expected = {
        rf"198\.51\.100\.0/24 via {gateway.ipv4} dev eth0 .*src {VIP}",
        r"blackhole 192\.0\.2\.0/24",
        rf"2001:db8:1::/48 via {gateway.ipv6} dev eth0",
        r"blackhole 2001:db8:bad::/48",
    }

    def has_them(node: Node) -> bool:
        return all(any(re.match(pattern, route) for route in routes(node)) for pattern in expected)

    assert has_them(n1), routes(n1)
    assert not routes(n2)
    adverts, stopped = lab.sniff(), time.time()
    n1.stop()
    wait_goodbye(lab, adverts, n1, n2, VIP, VIP6, since=stopped)
    assert not routes(n1)
    assert has_them(n2), routes(n2)

    adverts = lab.sniff()
    n1.start({**environment, "KA_PRIORITY": "254"})
    wait_state(n1, "BACKUP")
    since = time.time()
    for _ in range(8):
        since = adverts.wait_advert(n2, since=since).time + 0.001
    assert lab.holders(VIP) == lab.holders(VIP6) == {"n2"}
    assert not [advert for advert in adverts.adverts if advert.node == "n1"]


def test_a_returning_node_waits_before_it_preempts(lab: Lab) -> None:
    n1, n2 = lab.add_node("n1"), lab.add_node("n2")
    n1.exec(["ip", "address", "add", "203.0.113.111/24", "dev", "eth0"])
    adverts = lab.sniff()
    environment = {**FAST, "KA_INCLUDE": f"{VIP}/24", "KA_PREEMPT_DELAY": "3"}
    n2.start({**environment, "KA_PRIORITY": "253", "KA_UNICAST_PEERS": "203.0.113.111"})
    lab.wait_holder(VIP, n2)
    n1.start({**environment, "KA_PRIORITY": "254", "KA_UNICAST_PEERS": n2.ipv4, "KA_UNICAST_SRC_IP": "203.0.113.111"})
    n1.log.wait_for(r"start preempt delay \(3\.")
    lab.wait_holder(VIP, n1)
    lab.wait_released(VIP, n2)
    assert adverts.wait_advert(n1, destination=n2.ipv4).source == "203.0.113.111"


def test_a_group_and_more_links_move_everything_together(lab: Lab) -> None:
    n1, n2 = lab.add_node("n1"), lab.add_node("n2")
    service = n1.start_service()
    n2.start_service()
    for node in (n1, n2):
        node.exec(["ip", "link", "add", "up1", "type", "veth", "peer", "name", "far1"])
        for link in ("up1", "far1"):
            node.exec(["ip", "link", "set", link, "up"])
    environment = {
        **FAST,
        "KA_INCLUDE": f"{VIP}/24",
        "KA_TRACK_INTERFACES": "up1",
        "KA_INSTANCES__WEB__INCLUDE": f"{SECOND}/24",
        "KA_INSTANCES__WEB__VRID": "52",
        "KA_INSTANCES__WEB__TRACK_INTERFACES": "",
        "KA_INSTANCES__WEB__ENABLE_CHECK": "http://127.0.0.1/",
        "KA_INSTANCES__WEB__CHECK_INTERVAL": "0.4",
        "KA_INSTANCES__WEB__CHECK_RISE": "1",
        "KA_INSTANCES__WEB__CHECK_FALL": "1",
        "KA_SYNC_GROUPS": "edge=main+web",
    }
    for node, priority in ((n1, "254"), (n2, "253")):
        node.start({**environment, "KA_PRIORITY": priority})
    vips = (VIP, SECOND)
    for vip in vips:
        lab.wait_holder(vip, n1)

    # The check of one of them fails: both go.
    failed = time.time()
    service.answer(500)
    for vip in vips:
        lab.wait_holder(vip, n2, since=failed)
        lab.wait_released(vip, n1, since=failed)
    service.answer(200)
    for vip in vips:
        lab.wait_holder(vip, n1, since=failed)

    # A link is lost that carries no VRRP: both go.
    cut = time.time()
    n1.exec(["ip", "link", "set", "far1", "down"])
    for vip in vips:
        lab.wait_holder(vip, n2, since=cut)
        lab.wait_released(vip, n1, since=cut)
    n1.exec(["ip", "link", "set", "far1", "up"])
    for vip in vips:
        lab.wait_holder(vip, n1, since=cut)

"""The lease: what cannot say goodbye holds nothing, and what is healthy loses nothing by it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import TYPE_CHECKING, Any

import pytest

from app.host.addresses import FOR_EVER, KEEPALIVED_PROTOCOL
from app.lease.addresses import AddressTable
from app.operate.health import UNLEASED
from app.plan.peering import NOBODY
from lab import wait_until
from lab.large import large
from lab.namespace import inside
from lab.pair import ENVIRONMENT, NO_CHECK, VIP, VIP6, Pair, ka, wait_state

if TYPE_CHECKING:
    from lab import Host, Lab, Node, Sniffer

KEEPER = r"app\.lease\.keeper"

#: Adverts of a second, for which the kernel's whole seconds are short enough.
LEASED = {**ENVIRONMENT, **NO_CHECK, "KA_ADVERT_INTERVAL": "1", "KA_PRIORITY": "254"}

BOTH = f"{VIP}/24,{VIP6}/64"
#: Not in the adverts; without a prefix IPv6 is a /128, and one is on another link.
EXCLUDED, EXCLUDED6, ON_LO = "203.0.113.50", "2001:db8::77", "198.51.100.7"


def every_detail(host: Host) -> dict[str, dict[str, Any]]:
    """What the kernel says of each address."""
    links = json.loads(host.exec(["ip", "-Numeric", "-json", "-details", "address", "show"]).stdout)
    infos = [info for link in reversed(links) for info in reversed(link.get("addr_info", ()))]
    return {info["local"]: info for info in infos if "local" in info}


def details(host: Host, address: str) -> dict[str, Any]:
    """What the kernel says of an address; nothing when it is not there."""
    return every_detail(host).get(address, {})


def marks(host: Host) -> dict[str, int]:
    """What each address is marked with; iproute2 6.1 does not tell."""

    def loaded() -> AddressTable:
        table = AddressTable()
        table.load()
        table.close()
        return table

    table = inside(host.namespace, loaded)
    return {socket.inet_ntop(family, raw): entry.protocol for (family, _, raw), entry in table.entries.items()}


def is_leased(host: Host, *addresses: str) -> bool:
    """Whether all of them are there and go by themselves."""
    said = every_detail(host)
    return all(said.get(address, {}).get("valid_life_time", FOR_EVER) <= 2 for address in addresses)


def wait_leased(host: Host, *addresses: str) -> None:
    """Wait until they do."""
    wait_until(lambda: is_leased(host, *addresses), f"a lifetime of {', '.join(addresses)}")


def wait_adverts(adverts: Sniffer, node: Node, number: int, destination: str | None = None) -> None:
    """Wait for so many more adverts of `node`: in these seconds what is not renewed would go."""
    since = time.time()

    def heard() -> bool:
        found = [a for a in adverts.adverts if a.node == node.name and a.time >= since]
        return sum(destination in {None, advert.destination} for advert in found) >= number

    wait_until(heard, f"{number} adverts of {node.name}")


def start(lab: Lab, *vips: str, **changes: str) -> Node:
    """A master alone, whose VIPs have their lifetimes."""
    node = lab.add_node("n1")
    node.start({**LEASED, **changes})
    for vip in vips:
        lab.wait_holder(vip, node)
    wait_leased(node, *vips)
    return node


def pair_of(lab: Lab, *vips: str, **changes: str) -> Pair:
    """Two nodes without a check, the first of which holds `vips`."""
    pair = Pair(lab, lab.add_node("n1"), lab.add_node("n2"), {})
    pair.settle(*vips, **{**{name: value for name, value in LEASED.items() if name != "KA_PRIORITY"}, **changes})
    wait_leased(pair.n1, *vips)
    return pair


def moves(lab: Lab, vip: str) -> list[str]:
    """Who got and who lost it, in order."""
    return [f"{event.node}{'+' if event.added else '-'}" for event in lab.timeline(vip)]


class TestMaster:
    def test_every_vip_has_a_lifetime_and_stays(self, lab: Lab) -> None:
        every = (VIP, VIP6, EXCLUDED, EXCLUDED6, ON_LO)
        excluded = f"{EXCLUDED}/24,{EXCLUDED6},{ON_LO}/32/lo"
        adverts = lab.sniff()
        node = start(lab, *every, KA_INCLUDE=BOTH, KA_EXCLUDE=excluded)
        wait_adverts(adverts, node, 8)
        for vip in every:
            found = details(node, vip)
            assert marks(node)[vip] == KEEPALIVED_PROTOCOL
            # keepalived wants no connections to begin from a /128, nor tests for duplicates.
            assert found["preferred_life_time"] <= (0 if vip == EXCLUDED6 else 2)
            assert ":" not in vip or found["nodad"]
            assert moves(lab, vip) == ["n1+"]
        assert is_leased(node, *every)
        # The route of the host's own address does not go with the VIP.
        (route,) = json.loads(node.exec(["ip", "-6", "-json", "route", "show", "2001:db8::/64"]).stdout)
        assert "expires" not in route
        said = ka(node, "health")
        assert (said.returncode, UNLEASED in said.stdout) == (0, False)

    def test_not_when_it_is_off(self, lab: Lab) -> None:
        node = lab.add_node("n1")
        adverts = lab.sniff()
        node.start({**LEASED, "KA_LEASE": "off", "KA_UNICAST_PEERS": f"{node.ipv4},203.0.113.99"})
        lab.wait_holder(VIP, node)
        assert details(node, VIP)["valid_life_time"] == FOR_EVER
        assert node.processes(KEEPER) == []
        assert all(advert.destination != str(NOBODY[4]) for advert in adverts.adverts)
        assert ka(node, "health").returncode == 0

    @pytest.mark.parametrize("version", [4, 6])
    def test_the_last_node_keeps_its_vips_while_no_peer_answers(self, lab: Lab, version: int) -> None:
        """Nothing leaves the link for a unicast peer that answers no ARP."""
        peers, vip = ("203.0.113.11,203.0.113.99", f"{VIP}/24") if version == 4 else ("2001:db8::11,2001:db8::99", VIP6)
        adverts = lab.sniff()
        node = start(lab, vip.partition("/")[0], KA_INCLUDE=vip, KA_UNICAST_PEERS=peers)
        wait_adverts(adverts, node, 5, str(NOBODY[version]))
        assert moves(lab, vip.partition("/")[0]) == ["n1+"]

    def test_version_3_and_longer_adverts(self, lab: Lab) -> None:
        node = lab.add_node("n1")
        adverts = lab.sniff()
        node.start({**LEASED, "KA_ADVERT_INTERVAL": "1.5", "KA_VRRP_VERSION": "3"})
        lab.wait_holder(VIP, node)
        wait_until(lambda: details(node, VIP).get("valid_life_time", FOR_EVER) <= 4, "its lifetime")
        wait_adverts(adverts, node, 4)
        assert moves(lab, VIP) == ["n1+"]

    def test_vips_that_a_reload_changes(self, lab: Lab, tmp_path: Path) -> None:
        more = "203.0.113.20"
        vips = tmp_path / "vips"
        vips.write_text(f"{VIP}/24")
        vips.chmod(0o644)
        node = lab.add_node("n1")
        changed = {name: value for name, value in LEASED.items() if name != "KA_INCLUDE"}
        node.start({**changed, "KA_INCLUDE_FILE": "/vips/vips"}, binds={tmp_path: "/vips"})
        lab.wait_holder(VIP, node)
        wait_leased(node, VIP)
        vips.write_text(f"{VIP}/24,{more}/24")
        assert ka(node, "reload").returncode == 0
        lab.wait_holder(more, node)
        wait_leased(node, more, VIP)
        vips.write_text(f"{more}/24")
        assert ka(node, "reload").returncode == 0
        lab.wait_released(VIP, node)
        adverts = lab.sniff()
        wait_adverts(adverts, node, 4)
        assert is_leased(node, more)
        assert (moves(lab, VIP), moves(lab, more)) == (["n1+", "n1-"], ["n1+"])

    def test_a_link_that_goes_and_comes(self, lab: Lab) -> None:
        node = start(lab, VIP)
        cut = time.time()
        node.cut_link()
        lab.wait_released(VIP, node, since=cut)
        node.mend_link()
        lab.wait_holder(VIP, node, since=cut)
        wait_leased(node, VIP)


class TestEnds:
    @pytest.mark.parametrize("vips", [(VIP,), (VIP6,), (VIP, VIP6)], ids=["ipv4", "ipv6", "both"])
    def test_a_killed_node_holds_nothing_when_its_peer_takes_over(self, lab: Lab, vips: tuple[str, ...]) -> None:
        include = ",".join(f"{vip}/{64 if ':' in vip else 24}" for vip in vips)
        pair = pair_of(lab, *vips, KA_INCLUDE=include)
        killed = time.time()
        pair.n1.kill()
        pair.wait_moved(pair.n2, killed, *vips)
        for vip in vips:
            assert moves(lab, vip) == ["n1+", "n1-", "n2+"]

    def test_a_frozen_node_neither_nor_when_it_goes_on(self, lab: Lab) -> None:
        pair = pair_of(lab, VIP)
        frozen = time.time()
        pair.n1.freeze()
        pair.wait_moved(pair.n2, frozen)
        assert moves(lab, VIP) == ["n1+", "n1-", "n2+"]
        thawed = time.time()
        pair.n1.thaw()
        pair.wait_moved(pair.n1, thawed)
        wait_state(pair.n2, "BACKUP")
        wait_leased(pair.n1, VIP)

    def test_a_frozen_node_with_many_vips_has_them_all_again(self, lab: Lab) -> None:
        """The kernel takes 512 off at once, while keepalived cannot hear of it."""
        environment, vips = large()
        pair = pair_of(lab, *vips, **{**environment, **NO_CHECK, "KA_INCLUDE": "", "KA_VRID": ""})
        frozen = time.time()
        pair.n1.freeze()
        pair.wait_moved(pair.n2, frozen, *vips)
        pair.n1.thaw()
        wait_until(lambda: all(lab.holders(vip) == {pair.n1.name} for vip in vips), "the first node as master", 60)

    def test_a_goodbye_leaves_nothing(self, lab: Lab) -> None:
        node = start(lab, VIP, VIP6, KA_INCLUDE=BOTH)
        for _ in range(5):
            drained = time.time()
            assert ka(node, "drain").returncode == 0
            for vip in (VIP, VIP6):
                lab.wait_released(vip, node, since=drained)
            back = time.time()
            assert ka(node, "undrain").returncode == 0
            for vip in (VIP, VIP6):
                lab.wait_holder(vip, node, since=back)
        assert node.stop() == 0
        assert moves(lab, VIP) == moves(lab, VIP6) == ["n1+", "n1-"] * 6

    def test_a_start_knows_what_a_killed_node_left_a_moment_ago(self, lab: Lab) -> None:
        """It has a lifetime as an address of DHCP's has, and this keepalived marks none."""
        node = start(lab, VIP)
        node.kill()
        assert details(node, VIP)
        again = time.time()
        node.start(LEASED)
        node.log.wait_for(f"removed {VIP}/24 dev eth0, which an earlier run left behind")
        lab.wait_holder(VIP, node, since=again)


class TestKeeper:
    def test_one_that_dies_costs_nothing(self, lab: Lab) -> None:
        node = start(lab, VIP, VIP6, KA_INCLUDE=BOTH)
        adverts = lab.sniff()
        for end in (SIGKILL, SIGTERM):
            (pid,) = node.signal(KEEPER, end)
            wait_until(lambda pid=pid: node.processes(KEEPER) not in ([], [pid]), "a new keeper")  # type: ignore[misc]
            wait_adverts(adverts, node, 6)
            wait_leased(node, VIP, VIP6)
        assert moves(lab, VIP) == moves(lab, VIP6) == ["n1+"]
        assert "Traceback" not in node.log.text

    def test_one_that_is_given_up_is_tried_again(self, lab: Lab) -> None:
        node = start(lab, VIP)

        def is_given_up() -> bool:
            for pid in node.processes(KEEPER):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, SIGKILL)
            return "lease could not be started; trying again in 10 s, the node goes on" in node.log.text

        wait_until(is_given_up, "a keeper that is given up")
        wait_leased(node, VIP)

    def test_one_that_hangs_costs_a_blink(self, lab: Lab) -> None:
        node = start(lab, VIP)
        node.signal(KEEPER, SIGSTOP)
        stopped = time.time()
        lab.wait_released(VIP, node, since=stopped)
        lab.wait_holder(VIP, node, since=stopped)
        wait_state(node, "MASTER")
        said = ka(node, "health")
        assert said.returncode == 0
        assert f"main: {VIP} {UNLEASED}" in said.stdout
        node.signal(KEEPER, SIGCONT)
        wait_leased(node, VIP)
        assert moves(lab, VIP) == ["n1+", "n1-", "n1+"]

    def test_an_address_that_is_deleted_by_hand_is_leased_again(self, lab: Lab) -> None:
        node = start(lab, VIP)
        deleted = time.time()
        node.exec(["ip", "address", "del", f"{VIP}/24", "dev", "eth0"])
        lab.wait_holder(VIP, node, since=deleted)
        wait_leased(node, VIP)

    def test_it_has_two_capabilities_and_no_account_of_roots(self, lab: Lab) -> None:
        node = start(lab, VIP)
        (pid,) = node.processes(KEEPER)
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        found = {name: value for name, _, value in (line.partition(":\t") for line in lines)}
        assert [int(found[name], 16) for name in ("CapEff", "CapPrm", "CapInh")] == [1 << 12 | 1 << 13] * 3
        assert "0" not in found["Uid"].split()


class TestSubnets:
    def test_the_first_address_of_a_subnet_takes_no_other_along(self, lab: Lab) -> None:
        """The kernel removes the others of an IPv4 subnet with it, unless promote_secondaries says not to."""
        vip, own = "198.51.100.10", "198.51.100.1"
        node = start(lab, vip, KA_INCLUDE=f"{vip}/24")
        node.exec(["sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries"])
        node.exec(["ip", "address", "add", f"{own}/24", "dev", "eth0"])
        node.log.wait_for(f"{vip} is the first address of its subnet on eth0: it has no lifetime")
        wait_until(lambda: details(node, vip)["valid_life_time"] == FOR_EVER, "a VIP that stays")
        node.exec(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries"])
        wait_leased(node, vip)
        node.kill()
        lab.wait_released(vip, node)
        assert details(node, own)

    def test_an_ipv6_vip_that_is_alone_in_its_subnet_has_its_route(self, lab: Lab) -> None:
        vip, own, subnet = "2001:db8:1::10", "2001:db8:1::1", "2001:db8:1::/64"

        def routes() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = json.loads(node.exec(["ip", "-6", "-json", "route", "show", subnet]).stdout)
            return found

        node = start(lab, vip, KA_INCLUDE=f"{vip}/64")
        adverts = lab.sniff()
        wait_adverts(adverts, node, 4)
        assert len(routes()) == 1
        node.exec(["ip", "address", "add", f"{own}/64", "dev", "eth0", "nodad"])
        wait_adverts(adverts, node, 4)
        (route,) = routes()
        assert "expires" not in route
        node.kill()
        lab.wait_released(vip, node)
        assert len(routes()) == 1

"""Who the peers of an instance are, where its adverts come from, and which priority follows from that."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.contract.gates import JOINED, LISTED
from app.plan.peering import NOBODY, Peering, listed, peering_of, source_of
from app.plan.priority import AUTO, asked_priority, preempts, priority_of
from app.settings import load
from tests.unit.machine import ALONE, HOST, LEAST, LOOPBACK, NODES, link, plan_of

if TYPE_CHECKING:
    from app.host.machine import Host
    from app.plan.model import Instance
    from app.settings import Settings

ip = ipaddress.ip_address
HERE, TWO, THREE = ip("203.0.113.11"), ip("203.0.113.12"), ip("203.0.113.13")
HERE_6, TWO_6 = ip("2001:db8::11"), ip("2001:db8::12")
BOTH = "203.0.113.10/24 2001:db8::10/64"
#: The same machine as a node that is not in the list: its address is .50.
STRANGER = replace(HOST, links=(LOOPBACK, link("eth0", "203.0.113.50/24")), sources={TWO: ip("203.0.113.50")})


def settings(**environ: str) -> Settings:
    """The settings of the least environment and ``environ``, which must be right."""
    loaded = load({**LEAST, **environ})
    assert loaded.problems == ()
    return loaded.settings


def peering(version: int = 4, host: Host = HOST, /, *, is_auto: bool = False, **environ: str) -> Peering:
    """Over one IP version."""
    return peering_of(settings(**environ).instances[0], host, version, is_auto=is_auto)


def planned(host: Host = HOST, /, **environ: str) -> Instance:
    """The first instance of the plan."""
    return plan_of({**LEAST, **environ}, host).instances[0]


class TestListed:
    def test_addresses_and_names_in_one_order(self) -> None:
        asked = settings(KA_UNICAST_PEERS=f"203.0.113.99,dns:{NODES},203.0.113.2 2001:db8::12").instances[0]
        assert listed(asked, HOST, 4) == (ip("203.0.113.2"), HERE, TWO, THREE, ip("203.0.113.99"))
        assert listed(asked, HOST, 6) == (TWO_6,)

    def test_a_vip_is_nobody(self) -> None:
        """A name may stand for the VIP of the master too: it moves, and would be another node on each node."""
        asked = settings(KA_UNICAST_PEERS=f"203.0.113.10 dns:{NODES}").instances[0]
        assert listed(asked, HOST, 4) == (HERE, TWO, THREE)

    def test_by_number_and_not_by_letter(self) -> None:
        asked = settings(KA_UNICAST_PEERS="203.0.113.100 203.0.113.20").instances[0]
        assert listed(asked, HOST, 4) == (ip("203.0.113.20"), ip("203.0.113.100"))

    def test_each_once(self) -> None:
        asked = settings(KA_UNICAST_PEERS=f"203.0.113.12,dns:{NODES},203.0.113.12").instances[0]
        assert listed(asked, HOST, 4) == (HERE, TWO, THREE)

    def test_a_name_without_addresses_is_nobody(self) -> None:
        assert listed(settings(KA_UNICAST_PEERS="dns:nowhere").instances[0], HOST, 4) == ()


class TestSource:
    def source(self, version: int = 4, host: Host = HOST, /, **environ: str) -> object:
        """Where adverts come from."""
        return source_of(settings(**environ).instances[0], host, version)

    def test_what_was_asked_for(self) -> None:
        assert self.source(KA_UNICAST_PEERS="203.0.113.12", KA_UNICAST_SRC_IP="198.51.100.11") == ip("198.51.100.11")

    def test_that_is_for_its_version_alone(self) -> None:
        asked = {"KA_UNICAST_PEERS": "203.0.113.12 2001:db8::12", "KA_UNICAST_SRC_IP": "198.51.100.11"}
        assert self.source(6, **asked) == HERE_6

    def test_else_its_own_entry_in_the_list(self) -> None:
        host = replace(HOST, sources={TWO: ip("198.51.100.11")})
        assert self.source(4, host, KA_UNICAST_PEERS="203.0.113.11,203.0.113.12") == HERE

    def test_else_what_the_route_chooses(self) -> None:
        assert self.source(4, STRANGER, KA_UNICAST_PEERS="203.0.113.11,203.0.113.12") == ip("203.0.113.50")

    def test_else_there_is_none(self) -> None:
        assert self.source(KA_UNICAST_PEERS="192.0.2.1") is None


class TestPeering:
    def test_multicast(self) -> None:
        assert peering() == Peering()

    def test_own_addresses_are_not_among_the_others(self) -> None:
        assert peering(KA_UNICAST_PEERS="203.0.113.13,203.0.113.11,203.0.113.12,198.51.100.11") == Peering(
            ip("198.51.100.11"), (TWO, THREE), (TWO, THREE), None
        )

    def test_names_are_learnt_by_the_others_first(self) -> None:
        found = peering(KA_UNICAST_PEERS=f"dns:{NODES}")
        assert (found.others, found.gate) == ((TWO, THREE), JOINED)
        assert peering(is_auto=True, KA_UNICAST_PEERS=f"dns:{NODES}").gate == LISTED

    def test_a_node_that_all_know_by_its_address_need_not_wait(self) -> None:
        assert peering(KA_UNICAST_PEERS=f"203.0.113.11,dns:{NODES}").gate is None
        assert peering(KA_UNICAST_PEERS=f"203.0.113.12,dns:{NODES}").gate == JOINED

    @pytest.mark.parametrize("peers", [f"dns:{ALONE}", "203.0.113.11", "dns:nowhere"])
    @pytest.mark.parametrize("version", [4, 6])
    def test_with_nobody_there_adverts_go_to_the_group(self, peers: str, version: int) -> None:
        found = peering(version, KA_UNICAST_PEERS=peers)
        assert (found.others, found.receivers) == ((), (NOBODY[version],))
        assert NOBODY[version].is_multicast


class TestPriority:
    def found(self, host: Host = HOST, /, **environ: str) -> tuple[int, str]:
        """The priority and why."""
        asked = settings(**environ)
        return priority_of(asked.instances[0], asked, host)

    def test_a_number(self) -> None:
        assert self.found() == (100, "KA_PRIORITY")

    def test_by_node(self) -> None:
        by_node = {"KA_PRIORITY_BY_NODE": "node1=254,node2=253"}
        assert self.found(**by_node) == (254, "KA_PRIORITY_BY_NODE names node1")
        assert self.found(**by_node, KA_NODE_NAME="node2") == (253, "KA_PRIORITY_BY_NODE names node2")
        assert self.found(**by_node, KA_NODE_NAME="node3") == (100, "KA_PRIORITY")

    def test_auto_is_the_rank(self) -> None:
        peers = {"KA_PRIORITY": "auto", "KA_UNICAST_PEERS": "203.0.113.12,203.0.113.2,203.0.113.11"}
        assert self.found(**peers) == (253, "auto: 203.0.113.11 is number 2 of 3 in KA_UNICAST_PEERS")

    def test_every_node_finds_another_rank(self) -> None:
        peers = {"KA_PRIORITY": "auto", "KA_UNICAST_PEERS": ",".join(f"203.0.113.{n}" for n in (100, 20, 3))}
        ranks = {
            n: self.found(replace(HOST, links=(link("eth0", f"203.0.113.{n}/24"),), sources={}), **peers)[0]
            for n in (3, 20, 100)
        }
        assert ranks == {3: 254, 20: 253, 100: 252}

    def test_of_a_node_that_is_not_in_the_list(self) -> None:
        peers = {"KA_PRIORITY": "auto", "KA_UNICAST_PEERS": "203.0.113.11,203.0.113.12"}
        assert self.found(STRANGER, **peers) == (252, "auto: 203.0.113.50 is number 3 of 3 in KA_UNICAST_PEERS")

    def test_of_more_nodes_than_there_are_priorities(self) -> None:
        everyone = " ".join(f"198.18.{n // 256}.{n % 256}" for n in range(1, 301))
        host = replace(HOST, links=(link("eth0", "198.18.1.44/16"),))
        priority, reason = self.found(host, KA_PRIORITY="auto", KA_UNICAST_PEERS=everyone)
        assert (priority, reason) == (1, "auto: 198.18.1.44 is number 300 of 300 in KA_UNICAST_PEERS")

    def test_of_ipv6(self) -> None:
        peers = {"KA_PRIORITY": "auto", "KA_UNICAST_PEERS": "2001:db8::2,2001:db8::11", "KA_INCLUDE": "2001:db8::10"}
        assert self.found(**peers) == (253, "auto: 2001:db8::11 is number 2 of 2 in KA_UNICAST_PEERS")

    def test_with_nobody_in_it(self) -> None:
        found = self.found(KA_PRIORITY="auto", KA_UNICAST_PEERS="dns:nowhere")
        assert found == (254, "auto: nobody is in KA_UNICAST_PEERS now")

    def test_both_families_have_one_priority(self) -> None:
        peers = "203.0.113.2,203.0.113.11,2001:db8::11,2001:db8::12"
        environ = {**LEAST, "KA_PRIORITY": "auto", "KA_INCLUDE": BOTH, "KA_UNICAST_PEERS": peers}
        assert [found.priority for found in plan_of(environ).instances] == [253, 253]


class TestPreemption:
    def preempts(self, **environ: str) -> bool:
        """Whether a VIP is taken back."""
        asked = settings(**environ)
        return preempts(asked.instances[0], asked, HOST)

    def test_a_number_is_preferred(self) -> None:
        assert self.preempts()
        assert not self.preempts(KA_NOPREEMPT="true")

    def test_a_rank_is_not(self) -> None:
        auto = {"KA_PRIORITY": "auto", "KA_UNICAST_PEERS": "203.0.113.12"}
        assert not self.preempts(**auto)
        assert self.preempts(**auto, KA_NOPREEMPT="false")

    def test_a_number_by_node_is_preferred_beside_auto(self) -> None:
        auto = {"KA_PRIORITY": "auto", "KA_UNICAST_PEERS": "203.0.113.12"}
        assert self.preempts(**auto, KA_PRIORITY_BY_NODE="node1=7")
        asked = settings(**auto, KA_PRIORITY_BY_NODE="node2=7")
        assert asked_priority(asked.instances[0], asked, HOST) == AUTO

    def test_in_the_plan(self) -> None:
        assert planned(KA_NOPREEMPT="true").nopreempt
        assert planned(KA_PREEMPT_DELAY="12.5").preempt_delay == 12.5


class TestFamilies:
    """Adverts go over the families of the peers, and carry VIPs of their own family alone."""

    def transports(self, **environ: str) -> list[tuple[str, list[tuple[str, bool]]]]:
        """Each instance with its VIPs, and whether adverts carry them."""
        found = plan_of({**LEAST, "KA_INCLUDE": BOTH, **environ}).instances
        return [(one.name, [(str(a.address), a.in_adverts) for a in one.addresses]) for one in found]

    def test_both(self) -> None:
        assert self.transports(KA_UNICAST_PEERS="203.0.113.12 2001:db8::12") == [
            ("main-ipv4", [("203.0.113.10", True)]),
            ("main-ipv6", [("2001:db8::10", True)]),
        ]

    def test_one_carries_the_other_along(self) -> None:
        vips = [("203.0.113.10", True), ("2001:db8::10", False)]
        assert self.transports(KA_UNICAST_PEERS="203.0.113.12") == [("main", vips)]
        vips = [("203.0.113.10", False), ("2001:db8::10", True)]
        assert self.transports(KA_UNICAST_PEERS="2001:db8::12") == [("main", vips)]

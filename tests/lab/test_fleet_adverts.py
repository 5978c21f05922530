"""What unicast nodes make of the adverts that they hear, where a name or a list of peers is wrong."""

from __future__ import annotations

import random
import time
from signal import SIGTERM
from typing import TYPE_CHECKING

import pytest

from app.plan.peering import NOBODY
from lab import wait_until
from lab.pair import VIP, VIP6, ka, wait_state
from lab.reloads import mounted
from tests.lab.fleet import FLEET, NAME, Fleet, NameServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab, Node


@pytest.fixture
def names(lab: Lab, tmp_path: Path) -> Iterator[NameServer]:
    """A name server on a host of its own, which lists nobody."""
    with NameServer(lab.add_host("dns"), tmp_path) as server:
        yield server


@pytest.mark.parametrize("ipv6", [False, True])
def test_the_adverts_of_a_lone_survivor_are_on_the_wire(lab: Lab, names: NameServer, ipv6: bool) -> None:
    n1 = lab.add_node("n1")
    fleet = Fleet(lab, names, [n1], dict(FLEET))
    if ipv6:
        fleet.environment |= {"KA_INCLUDE": f"{VIP6}/64", "KA_AUTH_PASS": ""}
    names.say(n1, ipv6=ipv6)
    adverts = lab.sniff()
    fleet.start(n1)
    assert adverts.wait_advert(n1).destination == str(NOBODY[6 if ipv6 else 4])
    assert "Cant send advert" not in n1.log.text


def wait_repaired(fleet: Fleet, master: Node, second: Node) -> None:
    """Wait until `second`, which became a second master, is heard and gives the VIP back."""
    lab = fleet.lab
    lab.wait_holder(VIP, second)
    master.log.wait_for(f"main: {second.ipv4} sends adverts and is no peer of this node: sending to it from now on")
    lab.wait_released(VIP, second)
    wait_state(second, "BACKUP")
    assert lab.holders(VIP) == {master.name}
    assert [span.node for span in fleet.spans()].count(master.name) == 1  # it has kept it


def test_a_node_joins_while_a_reload_is_refused(lab: Lab, names: NameServer, tmp_path: Path) -> None:
    n1, n2 = mounted(lab, "n1", tmp_path), lab.add_node("n2")
    fleet = Fleet(lab, names, [n1.node, n2], dict(FLEET))
    names.say(n1.node)
    n1.write("conf.d/own.conf", "# Nothing.\n")
    n1.node.start(fleet.environment, data=n1.data, binds=names.binds)
    assert fleet.master() is n1.node

    n1.write("conf.d/own.conf", "vrrp_instance own {\n    interfaces eth0\n}\n")
    names.say(n1.node, n2)
    fleet.start(n2)
    n1.node.log.wait_for("nothing was changed, the old configuration goes on")
    wait_repaired(fleet, n1.node, n2)
    # What was learned outlives the reload that is possible again.
    n1.write("conf.d/own.conf", "# Nothing again.\n")
    assert ka(n1.node, "reload").returncode == 0
    adverts = lab.sniff()
    adverts.wait_advert(n1.node, destination=n2.ipv4)


def test_a_backup_is_taken_off_the_name_while_its_name_server_is_silent(
    lab: Lab, names: NameServer, tmp_path: Path
) -> None:
    n1, n2 = (lab.add_node(name) for name in ("n1", "n2"))
    fleet = Fleet(lab, names, [n1, n2], dict(FLEET))
    with NameServer(lab.add_host("dns2"), tmp_path) as its_own:
        for server in (names, its_own):
            server.say(n1, n2)
        fleet.start(n1)
        assert fleet.master() is n1
        n2.start(fleet.environment, binds=its_own.binds)
        fleet.wait_part(n2)
        its_own.stop()
        n2.log.wait_for(f"dns:{NAME} has no answer")
        names.say(n1)
        wait_repaired(fleet, n1, n2)


def test_a_backup_is_taken_off_one_of_two_names_and_the_other_is_dead(lab: Lab, names: NameServer) -> None:
    n1, n2 = (lab.add_node(name) for name in ("n1", "n2"))
    fleet = Fleet(lab, names, [n1, n2], {**FLEET, "KA_UNICAST_PEERS": f"dns:{NAME},dns:dead.example"})
    names.others = {"dead.example": "203.0.113.99"}
    names.say(n1, n2)
    fleet.start(n1)
    assert fleet.master() is n1
    fleet.start(n2)
    fleet.wait_part(n2)
    del names.others["dead.example"]
    names.say(n1, n2)
    # Its successor has never had an answer for that name.
    mark = n2.log.mark()
    n2.signal(r"app\.peers\.watch", SIGTERM)
    n2.log.wait_for("dns:dead.example has no answer", since=mark)
    names.say(n1)
    wait_repaired(fleet, n1, n2)


def test_a_static_list_that_leaves_a_node_out(lab: Lab) -> None:
    """The list of the first one names nobody else; the second one knows it."""
    n1, n2 = (lab.add_node(name) for name in ("n1", "n2"))
    for node, peers in ((n1, "203.0.113.99"), (n2, n1.ipv4)):
        node.start({**FLEET, "KA_PRIORITY": "100" if node is n1 else "90", "KA_UNICAST_PEERS": peers})
    n1.log.wait_for(f"main: {n2.ipv4} sends adverts and is no peer of this node")
    lab.wait_released(VIP, n2)
    wait_until(lambda: lab.holders(VIP) == {"n1"}, "one master")


def test_answers_that_lack_two_of_five_nodes_at_random(lab: Lab, names: NameServer) -> None:
    nodes = [lab.add_node(f"n{number}") for number in range(1, 6)]
    fleet = Fleet(lab, names, nodes, dict(FLEET))
    names.say(*nodes)
    fleet.start(*nodes)
    master = fleet.master()
    fleet.wait_part(*nodes)

    begin, marks, chosen = time.time(), [node.log.mark() for node in nodes], random.Random(10)  # noqa: S311 - the same each time
    listed: list[Node] = nodes
    for _ in range(25):
        before = listed
        while set(listed) == set(before):
            listed = chosen.sample(nodes, 3)
        mark = master.log.mark()
        names.say(*listed)
        master.log.wait_for(f"dns:{NAME} is ", since=mark)
    # A span that is not over yet ends now.
    assert [span.node for span in fleet.spans(begin)] == [master.name]
    lines = [line.text for node, mark in zip(nodes, marks, strict=True) for line in node.log.lines[mark:]]
    assert [line for line in lines if "Entering FAULT STATE" in line or "it takes no part" in line] == []

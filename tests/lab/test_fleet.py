"""Nodes with one environment, byte for byte, and a real DNS server: who is master as nodes go and come, are alone,
listed late, taken off the list, or ask when nobody answers."""

from __future__ import annotations

import time
from signal import SIGTERM
from typing import TYPE_CHECKING

import pytest

from app.plan.peering import NOBODY
from lab import wait_until
from lab.pair import VIP6, wait_goodbye, wait_state
from tests.lab.fleet import FLEET, NAME, Fleet, NameServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab, Node

CONFIG = "/run/ka/keepalived.conf"


@pytest.fixture
def names(lab: Lab, tmp_path: Path) -> Iterator[NameServer]:
    """A name server on a host of its own, which lists nobody."""
    with NameServer(lab.add_host("dns"), tmp_path) as server:
        yield server


@pytest.fixture
def fleet(lab: Lab, names: NameServer, request: pytest.FixtureRequest) -> Fleet:
    """As many nodes as the test's parameter says, none of them started or listed."""
    return Fleet(lab, names, [lab.add_node(f"n{number}") for number in range(1, request.param + 1)], dict(FLEET))


def wait_peers(node: Node, *others: str) -> None:
    """Wait until `node` sends its adverts to these addresses and no others, but for the group that is nobody's."""

    def sends() -> bool:
        words = node.read(CONFIG).split()
        start = words.index("unicast_peer") + 2
        return set(words[start : words.index("}", start)]) == {str(NOBODY[4]), *others}

    wait_until(sends, f"{node.name} that sends to {others}")


@pytest.mark.parametrize("fleet", [5], indirect=True)
def test_five_nodes_with_one_environment_have_one_master(fleet: Fleet) -> None:
    fleet.names.say(*fleet.nodes)
    fleet.start(*fleet.nodes)
    first = fleet.master()
    fleet.wait_part(*fleet.nodes)
    priorities = {line for node in fleet.nodes for line in node.read(CONFIG).splitlines()}
    assert {f"    priority {priority}" for priority in range(250, 255)} <= priorities
    assert "    # auto: 203.0.113.13 is number 3 of 5 in KA_UNICAST_PEERS" in fleet.nodes[2].read(CONFIG).splitlines()

    # One by one they go, each in another way, and are taken off the list.
    first.stop()
    second = fleet.master(other_than=first)
    fleet.kill(second)
    third = fleet.master(other_than=second)
    fleet.power_off(third)
    fourth = fleet.master(other_than=third)
    last = next(node for node in fleet.nodes if node not in {first, second, third, fourth})
    fleet.names.say(last)
    assert fleet.master(other_than=fourth) is last

    # They come back, and the VIP stays where it is.
    third.power_on()
    back = time.time()
    fleet.names.say(*fleet.nodes)
    fleet.start(first, second, third)
    fleet.wait_part(first, second, third, fourth)
    assert [span.node for span in fleet.spans(back)] == [last.name]
    last.stop()
    assert fleet.master(other_than=last)


@pytest.mark.parametrize("fleet", [2], indirect=True)
def test_a_node_takes_part_only_while_the_others_know_of_it(fleet: Fleet) -> None:
    n1, n2 = fleet.nodes
    fleet.names.say(n1)
    fleet.start(n1)
    assert fleet.master() is n1
    wait_peers(n1)

    # The second one is not listed yet. It would hear nobody: it must not become master, however long that takes.
    fleet.start(n2)
    n2.log.wait_for(f"dns:{NAME} does not list this node")
    wait_state(n2, "FAULT")

    # The first one is no longer alone, and does not let go of its VIP for that.
    fleet.names.say(n1, n2)
    wait_peers(n1, n2.ipv4)
    n2.log.wait_for("it takes part")
    wait_state(n2, "BACKUP")

    # A backup that is taken off the list takes no part any more before the others fall silent.
    mark = n2.log.mark()
    fleet.names.say(n1)
    n2.log.wait_for("it takes no part", since=mark)
    wait_state(n2, "FAULT")
    wait_peers(n1)
    assert [span.node for span in fleet.spans()] == ["n1"]

    # It is listed again, and takes over when it should.
    mark = n2.log.mark()
    fleet.names.say(n1, n2)
    n2.log.wait_for("it takes part", since=mark)
    wait_peers(n1, n2.ipv4)
    wait_state(n2, "BACKUP")
    adverts, stopped = fleet.lab.sniff(), time.time()
    n1.stop()
    wait_goodbye(fleet.lab, adverts, n1, n2, since=stopped)
    assert [span.node for span in fleet.spans()] == ["n1", "n2"]


@pytest.mark.parametrize("fleet", [2], indirect=True)
def test_a_node_that_is_listed_a_moment_late_need_not_wait_for_the_next_round(fleet: Fleet) -> None:
    """A pod starts before its name lists it; its time to join began up to ten seconds later than it could."""
    n1, n2 = fleet.nodes
    fleet.environment["KA_PEER_REFRESH"] = "3600"
    fleet.names.say(n1)
    fleet.start(n2)
    n2.log.wait_for(f"dns:{NAME} does not list this node")
    fleet.names.say(n1, n2)
    n2.log.wait_for(f"dns:{NAME} lists this node")


@pytest.mark.parametrize("fleet", [2], indirect=True)
def test_a_name_server_that_fails_changes_nothing(fleet: Fleet) -> None:
    n1, n2 = fleet.nodes
    fleet.names.stop()
    fleet.start(n1, n2)
    for node in fleet.nodes:
        node.stderr.wait_for(f"KA_UNICAST_PEERS: waiting for dns:{NAME} to have an address")
    fleet.names.start()
    fleet.names.say(n1, n2)
    master = fleet.master()
    fleet.wait_part(n1, n2)

    fleet.names.stop()
    for node in fleet.nodes:
        node.log.wait_for(f"dns:{NAME} has no answer, keeping {n1.ipv4}, {n2.ipv4}")
    # A reload keeps them too.
    done = n1.enter(["/bin/sh", "-c", "kill -HUP 1"])
    assert done.returncode == 0
    n1.log.wait_for(r"reload\[1\]: nothing has changed")
    # Nor does it matter that the watch of the peers itself is started again; the log may fold its second complaint.
    mark = n2.log.mark()
    n2.signal(r"app\.peers\.watch", SIGTERM)
    n2.log.wait_for("has no answer", since=mark)
    assert sum("has no answer" in line.text for line in n1.log.lines) == 1
    fleet.names.start()
    n1.log.wait_for(f"dns:{NAME} answers again")
    assert [span.node for span in fleet.spans()] == [master.name]
    wait_state(n2, "MASTER" if master is n2 else "BACKUP")


@pytest.mark.parametrize("fleet", [2], indirect=True)
def test_ipv6_peers_by_name(fleet: Fleet) -> None:
    n1, n2 = fleet.nodes
    fleet.environment |= {"KA_INCLUDE": f"{VIP6}/64", "KA_AUTH_PASS": ""}
    adverts = fleet.lab.sniff()
    fleet.names.say(n1, ipv6=True)
    fleet.start(n1)
    fleet.lab.wait_holder(VIP6, n1)
    fleet.names.say(n1, n2, ipv6=True)
    fleet.start(n2)
    fleet.wait_part(n2)
    advert = adverts.wait_advert(n1, since=time.time(), destination=n2.ipv6)
    assert (advert.source, advert.version) == (n1.ipv6, 3)
    assert advert.priority == 254
    stopped = time.time()
    n1.stop()
    wait_goodbye(fleet.lab, adverts, n1, n2, VIP6, since=stopped)
    assert [(event.node, event.added) for event in fleet.lab.timeline(VIP6)] == [
        *(("n1", True), ("n1", False), ("n2", True))
    ]
    assert not any(advert.destination == "ff02::12" for advert in adverts.adverts)


@pytest.mark.parametrize("fleet", [2], indirect=True)
def test_a_name_may_stand_for_the_other_node_alone(fleet: Fleet) -> None:
    """With a priority of its own a node need not be on its list; it waits until the others have had the time to ask."""
    n1, n2 = fleet.nodes
    fleet.names.say(n2)
    n1.start({**FLEET, "KA_PRIORITY": "254"}, binds=fleet.names.binds)
    n1.log.wait_for("this node is not listed: it takes part with a priority of its own")
    assert fleet.master() is n1
    n2.start({**FLEET, "KA_PRIORITY": "253", "KA_UNICAST_PEERS": n1.ipv4})
    wait_state(n2, "BACKUP")
    assert [span.node for span in fleet.spans()] == ["n1"]

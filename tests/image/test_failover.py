"""Two nodes on the real engine, with the documented privileges only, and what goes wrong in production."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lab.engine import RESTRICTED, docker, environment
from lab.stops import ENDS, MEMORY_LIMIT, pause

if TYPE_CHECKING:
    from lab.engine import Container, Engine, Machine

VIP = "198.51.100.10"
SECOND_VIP = "198.51.100.20"
COMMON = {"KA_TRACK_IFACE": "auto", "KA_INCLUDE": f"{VIP}/24", "KA_VRID": "51", "KA_AUTH_PASS": "image-12"}
CHECKED = COMMON | {"KA_ENABLE_CHECK": "http://127.0.0.1:8080/", "KA_CHECK_INTERVAL": "0.5"}
UNLEASED = {"KA_LEASE": "off"}
HIGH, LOW = {"KA_PRIORITY": "254"}, {"KA_PRIORITY": "253"}

#: Seconds after its last advert until a master counts as dead: three adverts and the skew (RFC 5798, 6.1).
MASTER_DOWN = 3 * 1 + (256 - 253) / 256


@pytest.fixture
def machines(engine: Engine) -> tuple[Machine, Machine]:
    """Two on one network."""
    network = engine.network()
    return engine.machine("m1", network), engine.machine("m2", network)


@pytest.fixture
def nodes(engine: Engine, machines: tuple[Machine, Machine]) -> tuple[Container, Container]:
    """A node without a check on each, whose VIP stays when it is killed; the first is master."""
    first, second = machines
    pair = first.node("n1", COMMON | UNLEASED | HIGH), second.node("n2", COMMON | UNLEASED | LOW)
    engine.wait_holder(VIP, first)
    return pair


def test_back_end_that_stops_takes_the_vip_to_the_peer_and_back(
    engine: Engine, machines: tuple[Machine, Machine]
) -> None:
    first, second = machines
    web, _ = first.web(), second.web()
    first.node("n1", CHECKED | HIGH)
    second.node("n2", CHECKED | LOW)
    engine.wait_holder(VIP, first)

    stopped = time.time()
    web.kill()
    engine.wait_holder(VIP, second)
    assert engine.both_hold(VIP, stopped) == 0

    web.start()
    engine.wait_holder(VIP, first)


def test_docker_stop_hands_the_vip_over_before_the_container_is_gone(engine: Engine) -> None:
    """Two containers straight on one network, each with an address of its own, and no check."""
    network = ["--network", engine.network(), *RESTRICTED]
    n1 = engine.run("n1", [*network, *environment(COMMON | HIGH)])
    n2 = engine.run("n2", [*network, *environment(COMMON | LOW)])
    for node in (n1, n2):
        engine.follow(node)
    n1.log.wait_for("Entering MASTER STATE")

    asked = time.time()
    docker("stop", n1.id)
    assert n1.state["ExitCode"] == 0
    taken = engine.wait_event("n2", VIP)
    given = engine.wait_event("n1", VIP, added=False)
    assert asked < given <= n1.finished
    assert taken < n1.finished


@pytest.mark.parametrize("how", [*ENDS, "pause"])
def test_node_that_cannot_say_goodbye_holds_nothing_when_its_peer_takes_over(engine: Engine, how: str) -> None:
    network = engine.network("198.51.100.0/24", "--ipv6", "--subnet", "2001:db8:51::/64")
    first, second = engine.machine("m1", network), engine.machine("m2", network)
    vips = (VIP, "2001:db8:51::10")
    settings = COMMON | {"KA_INCLUDE": f"{VIP}/24,2001:db8:51::10/64"}
    n1 = first.node("n1", settings | HIGH, *MEMORY_LIMIT)
    for vip in vips:
        engine.wait_holder(vip, first)
    second.node("n2", settings | LOW).log.wait_for("Entering BACKUP STATE")
    stopped = time.time()
    ENDS.get(how, pause)(n1)
    for vip in vips:
        engine.wait_event("m2", vip, since=stopped)
        assert engine.both_hold(vip, stopped) == 0
    if how == "pause":
        thawed = time.time()
        docker("unpause", n1.id)
        for vip in vips:
            engine.wait_event("m1", vip, since=thawed)
            engine.wait_event("m2", vip, added=False, since=thawed)


def test_killed_master_that_comes_back_at_once_leaves_the_vip_twice_no_longer_than_vrrp_waits(
    engine: Engine, machines: tuple[Machine, Machine], nodes: tuple[Container, Container]
) -> None:
    n1, _ = nodes
    first, second = machines
    mark = n1.log.mark()
    killed = time.time()
    n1.kill()
    n1.wait_end()
    assert f"{VIP}/24" in first.addresses(), "a killed keepalived leaves its VIP: what this test is about"
    n1.start()
    n1.log.wait_for(f"removed {VIP}/24 dev .*which an earlier run left behind", since=mark)
    # The better of the two takes over again once it has listened.
    engine.wait_holder(VIP, first)
    assert engine.both_hold(VIP, killed) <= MASTER_DOWN
    assert f"{VIP}/24" not in second.addresses()


def test_killed_master_that_comes_back_late_takes_the_second_copy_away(
    engine: Engine, machines: tuple[Machine, Machine], nodes: tuple[Container, Container]
) -> None:
    """As long as nothing runs on the machine nobody can take the VIP off it; the start does, at once."""
    n1, n2 = nodes
    first, _ = machines
    n1.kill()
    n1.wait_end()
    n2.log.wait_for("Entering MASTER STATE")
    mark = n1.log.mark()
    started = n1.start()
    n1.log.wait_for("Entering BACKUP STATE", since=mark)
    engine.wait_event("m1", VIP, added=False, since=started)
    engine.wait_holder(VIP, first)


@pytest.mark.parametrize(
    "changed",
    [
        {"KA_INCLUDE": f"{VIP}/32"},
        {"KA_INCLUDE": f"{SECOND_VIP}/24"},
        {"KA_INCLUDE": f"{SECOND_VIP}/24", "KA_EXCLUDE": f"{VIP}/25"},
    ],
    ids=["another prefix", "not that VIP any more", "another prefix and not in the adverts"],
)
def test_no_address_of_a_killed_node_outlives_the_next_start(
    engine: Engine, machines: tuple[Machine, Machine], changed: dict[str, str]
) -> None:
    first, _ = machines
    before = first.addresses()
    killed = first.node("n1", COMMON | UNLEASED | HIGH)
    engine.wait_holder(VIP, first)
    killed.kill()
    killed.wait_end()
    killed.remove()
    assert first.addresses() == before | {f"{VIP}/24"}

    anew = first.node("n1-anew", COMMON | HIGH | changed)
    anew.log.wait_for(f"removed {VIP}/24 dev .*which an earlier run left behind")
    anew.log.wait_for("Entering BACKUP STATE")
    assert first.addresses() == before
    anew.log.wait_for("Entering MASTER STATE")
    docker("stop", anew.id)
    assert first.addresses() == before


@pytest.mark.parametrize("wrong", [{"KA_PRIORITY": "300"}, {"KA_INCLUDE": "198.51.100.300"}], ids=["priority", "VIP"])
def test_no_address_of_a_killed_node_stays_when_a_variable_is_wrong(
    engine: Engine, machines: tuple[Machine, Machine], wrong: dict[str, str]
) -> None:
    """keepalived's mark is enough where the environment does not even say which VIP it is."""
    first, _ = machines
    before = first.addresses()
    killed = first.node("n1", COMMON | UNLEASED | HIGH)
    engine.wait_holder(VIP, first)
    killed.kill()
    killed.wait_end()
    assert first.addresses() == before | {f"{VIP}/24"}
    anew = first.node("n1-anew", COMMON | HIGH | wrong)
    assert anew.wait_end() == 78
    anew.log.wait_for(f"removed {VIP}/24 dev .*which an earlier run left behind")
    assert first.addresses() == before


def test_a_machines_own_address_is_no_vip(machines: tuple[Machine, Machine]) -> None:
    first, _ = machines
    before = first.addresses()
    (own,) = (address for address in before if address.startswith("198.51.100."))
    node = first.node("n1", COMMON | HIGH | {"KA_INCLUDE": own})
    assert node.wait_end() == 78
    node.log.wait_for(f"KA_INCLUDE: cannot be {own.partition('/')[0]}, which is this machine's own address on eth0")
    assert first.addresses() == before


def test_address_that_somebody_configured_stays(engine: Engine, machines: tuple[Machine, Machine]) -> None:
    """Only what keepalived marked as its own is ever taken for a leftover."""
    first, _ = machines
    own = "198.51.100.77/32"
    first.configure("address", "add", own, "dev", "eth0")
    node = first.node("n1", COMMON | HIGH)
    node.log.wait_for("Entering BACKUP STATE")
    assert own in first.addresses()
    assert "removed" not in node.log.text


def test_vip_of_another_node_on_the_same_machine_stays(engine: Engine, machines: tuple[Machine, Machine]) -> None:
    """Two services, two nodes, one machine: neither takes the other's VIP for a leftover."""
    first, _ = machines
    first.node("n1", COMMON | HIGH)
    engine.wait_holder(VIP, first)
    other = first.node("other", COMMON | HIGH | {"KA_INCLUDE": f"{SECOND_VIP}/24", "KA_VRID": "52"})
    other.log.wait_for(f"left {VIP}/24 dev eth0 alone")
    engine.wait_holder(SECOND_VIP, first)
    assert not [event for event in engine.watch.events if event.address == VIP and not event.added]


def test_no_ipv6_address_of_a_killed_node_outlives_the_next_start(engine: Engine) -> None:
    network = engine.network("198.51.100.0/24", "--ipv6", "--subnet", "2001:db8:51::/64")
    machine = engine.machine("m1", network)
    values = HIGH | UNLEASED | {"KA_TRACK_IFACE": "auto", "KA_VRID": "51", "KA_ADVERT_INTERVAL": "0.2"}
    killed = machine.node("n1", values | {"KA_INCLUDE": "2001:db8:51::10/64"})
    engine.wait_holder("2001:db8:51::10", machine)
    killed.kill()
    killed.wait_end()
    assert "2001:db8:51::10/64" in machine.addresses()

    anew = machine.node("n1-anew", values | {"KA_INCLUDE": "2001:db8:51::20/64"})
    anew.log.wait_for("removed 2001:db8:51::10/64 dev .*which an earlier run left behind")
    engine.wait_holder("2001:db8:51::20", machine)
    assert "2001:db8:51::10/64" not in machine.addresses()

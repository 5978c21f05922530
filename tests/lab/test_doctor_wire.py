"""`ka doctor`: what is wrong between the nodes of a network is found, each thing made for real."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from app.host.leftovers import has_vrrp_socket
from lab import wait_until
from lab.doctor import IDLE, SOUND, doctor
from lab.pair import KA, VIP, VIP6, ka, make_pair, wait_state

if TYPE_CHECKING:
    from lab import Lab, Node

PEERS = {"KA_UNICAST_PEERS": "203.0.113.11,203.0.113.12"}

#: How long the machine stands still: more than a backup would bear of it.
STOPPED_SECONDS = 2

IPV6 = {"KA_INCLUDE": f"{VIP6}/64", "KA_AUTH_PASS": ""}


@pytest.fixture
def here(lab: Lab) -> Node:
    """The node that is asked; nothing runs in it yet."""
    node = lab.add_node("n1")
    node.start({**SOUND, "KA_PRIORITY": "253"}, command=IDLE)
    return node


def other(lab: Lab, **changes: str) -> Node:
    """Another node, which is master."""
    node = lab.add_node("n2")
    settings = {**SOUND, **changes}
    node.start(settings)
    lab.wait_holder(settings["KA_INCLUDE"], node)
    return node


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("KA0501", {"KA_INCLUDE": "203.0.113.20/24"}),
        ("KA0501", {**IPV6, "KA_INCLUDE": "2001:db8::20/64"}),
        ("KA0505", {**IPV6, "KA_INCLUDE": f"{VIP6}/64,2001:db8::20/64"}),
        ("KA0502", {"KA_VRRP_VERSION": "3", "KA_AUTH_PASS": ""}),
        ("KA0503", {"KA_ADVERT_INTERVAL": "2"}),
        ("KA0504", {"KA_AUTH_PASS": "another1"}),
        ("KA0504", {"KA_AUTH_PASS": ""}),
        ("KA0505", {"KA_INCLUDE": f"{VIP}/24,203.0.113.20/24"}),
    ],
    ids=lambda given: given if isinstance(given, str) else " ".join(f"{n}={v}" for n, v in given.items()),
)
def test_a_router_that_says_something_else(lab: Lab, here: Node, code: str, changes: dict[str, str]) -> None:
    node = lab.add_node("n2")
    node.start({**SOUND, **changes})
    lab.wait_holder(changes.get("KA_INCLUDE", VIP).split(",")[0], node)
    common = IPV6 if ":" in changes.get("KA_INCLUDE", "") else {}
    found = doctor(here, **common)
    assert found.codes == {code}, found.sentences
    assert ("fe80::" if common else "203.0.113.12") in found.sentences[code]
    assert "another1" not in str(found)
    assert "secret12" not in str(found)


def test_two_masters(lab: Lab, here: Node) -> None:
    """A third node hears both, and each of the two that it is not alone."""
    here.kill()
    pair = [lab.add_node("n2"), lab.add_node("n3")]
    for node, priority in zip(pair, ("254", "253"), strict=True):
        node.exec(["iptables", "-A", "INPUT", "-p", "112", "-j", "DROP"])
        node.start({**SOUND, "KA_PRIORITY": priority})
        lab.wait_holder(VIP, node)
    here.start({**SOUND, "KA_PRIORITY": "200"}, command=IDLE)
    found = doctor(here)
    assert found.codes == {"KA0506"}
    assert found.sentences["KA0506"] == "main: 203.0.113.12 and 203.0.113.13 are master at the same time"
    assert doctor(pair[0]).codes == {"KA0402", "KA0506"}


def test_a_firewall_that_drops_what_goes_out(here: Node) -> None:
    for tool, changes in (("iptables", {}), ("iptables", PEERS), ("ip6tables", IPV6)):
        here.exec([tool, "-A", "OUTPUT", "-p", "112", "-j", "DROP"])
        found = doctor(here, "network", **changes)
        assert "KA0401" in found.codes, found.sentences
        assert re.search(r": -A OUTPUT -p (112|vrrp) -j DROP$", found.sentences["KA0401"])
        assert found.cures["KA0401"] == f"{tool} -I OUTPUT -p 112 -j ACCEPT"
        # The cure is as good as its word.
        here.exec(found.cures["KA0401"].split())
        assert "KA0401" not in doctor(here, "network", **changes).codes
        here.exec([tool, "-F"])


@pytest.mark.parametrize(("tool", "changes"), [("iptables", {}), ("iptables", PEERS), ("ip6tables", IPV6)])
def test_a_firewall_that_drops_what_comes_in(lab: Lab, here: Node, tool: str, changes: dict[str, str]) -> None:
    here.exec([tool, "-A", "INPUT", "-p", "112", "-j", "DROP"])
    if "KA_UNICAST_PEERS" not in changes:
        assert doctor(here, "network", **changes).codes == {"KA0403"}
    other(lab, **changes)
    found = doctor(here, "network", **changes)
    assert found.codes == {"KA0402"}
    here.exec(found.cures["KA0402"].split())
    assert doctor(here, "network", **changes).codes == set()


def test_a_peer_that_is_not_there(lab: Lab, here: Node) -> None:
    assert doctor(here, "network", **PEERS).codes == {"KA0404"}
    lab.add_node("n2")
    assert doctor(here, "network", **PEERS).codes == set()


@pytest.mark.parametrize("vip", [VIP, VIP6])
def test_somebody_has_the_vip(lab: Lab, here: Node, vip: str) -> None:
    prefix = 24 if vip == VIP else 64
    changes = {} if vip == VIP else IPV6
    stranger = lab.add_host("stranger")
    assert doctor(here, "network", **changes).codes == set()
    stranger.exec(["ip", "address", "add", f"{vip}/{prefix}", "dev", "eth0", *(["nodad"] if vip == VIP6 else [])])
    found = doctor(here, "network", **changes)
    assert found.codes == {"KA0405"}
    mac = stranger.exec(["cat", "/sys/class/net/eth0/address"]).stdout.strip()
    assert f"{vip}: {mac} on eth0 answers for it" in found.sentences["KA0405"]


def test_a_program_that_is_let_run_too_late(here: Node) -> None:
    """The process is stopped while it listens, as a virtual machine is."""
    process = subprocess.Popen(
        ["ip", "netns", "exec", here.namespace, *KA, "doctor", "--only", "KA0507"],
        env={**os.environ, **SOUND},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        raw_sockets = ["cat", "/proc/net/raw"]
        wait_until(lambda: has_vrrp_socket(here.exec(raw_sockets).stdout), "the doctor that listens")
        process.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED_SECONDS)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "KA0507 this host lets a program run up to " in said


def test_a_node_that_is_drained_and_one_whose_keepalived_is_wrong(lab: Lab) -> None:
    pair = make_pair(lab)
    pair.settle(**{**SOUND, "KA_PRIORITY": "254"})
    assert ka(pair.n2, "drain").returncode == 0
    assert doctor(pair.n2, "KA0509").codes == {"KA0509"}
    ka(pair.n2, "undrain")
    wait_state(pair.n2, "BACKUP")
    assert doctor(pair.n2, "KA0509", "KA0508").codes == set()
    pair.n2.exec(["ip", "address", "add", f"{VIP}/32", "dev", "eth0"])
    assert "main claims BACKUP but this host holds" in doctor(pair.n2, "KA0508").sentences["KA0508"]

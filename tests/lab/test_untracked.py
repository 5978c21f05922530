"""Nodes whose keepalived can track no files: root's inotify instances are used up (fs.inotify.max_user_instances)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lab import wait_until
from lab.no_inotify import WITHOUT_INOTIFY
from lab.pair import ENVIRONMENT, KA, NO_CHECK, VIP, ka, make_pair, placed
from tests.lab.fleet import NAME, NameServer

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab, Node


def start(node: Node, binds: dict[Path, str] | None = None, **changes: str) -> None:
    environ = {**ENVIRONMENT, "KA_PRIORITY": "254", **changes}
    node.start({n: v for n, v in environ.items() if v}, command=[*WITHOUT_INOTIFY, *KA, "run"], binds=binds)


def never_held(lab: Lab, node: Node, until: float) -> bool:
    return not any(event.node == node.name and event.added and event.time < until for event in lab.timeline(VIP))


@pytest.mark.parametrize("state", ["false", "true"])
def test_a_node_whose_service_is_down_is_never_master(lab: Lab, state: str) -> None:
    node = lab.add_node("n1")
    service = node.start_service()
    service.answer(500)
    start(node, KA_MASTER=state)
    node.log.wait_for(r"warning .*fs\.inotify\.max_user_instances: root has no inotify instance left")
    node.log.wait_for(r"warning Keepalived_vrrp.*Unable to monitor track files")
    node.log.wait_for(r"VRRP_Script\(gates-http\) failed")
    said = ka(node, "health")
    assert said.stdout.startswith("main is FAULT")
    assert "keepalived found no inotify instance (fs.inotify.max_user_instances)" in said.stdout
    # Nor does a reload make it one.
    mark = node.log.mark()
    data_changes(node)
    node.log.wait_for("Reload complete", since=mark)
    mended = time.time()
    service.answer(200)
    lab.wait_holder(VIP, node, since=mended)
    assert never_held(lab, node, mended)
    failed = time.time()
    service.refuse()
    lab.wait_released(VIP, node, since=failed)


def data_changes(node: Node) -> None:
    """Has the node reload a keepalived.conf that is not the one that runs."""
    path = f"/proc/{node.pid}/root/run/ka/keepalived.conf"
    node.exec(["sh", "-c", f"echo '# changed' >>{path}"])
    ka(node, "reload")


def test_drain_works_within_a_second_and_undrain_too(lab: Lab) -> None:
    pair = make_pair(lab)
    for node, priority in ((pair.n1, "254"), (pair.n2, "253")):
        start(node, None, KA_PRIORITY=priority, **NO_CHECK)
    lab.wait_holder(VIP, pair.n1)
    for _round in range(2):
        asked = time.time()
        drained = ka(pair.n1, "drain")
        assert (drained.returncode, drained.stderr) == (0, "")
        pair.wait_moved(pair.n2, asked)
        asked = time.time()
        assert ka(pair.n1, "undrain").returncode == 0
        pair.wait_moved(pair.n1, asked)


def test_a_verdict_with_a_weight_that_nobody_reads_is_a_failed_one(lab: Lab) -> None:
    pair = make_pair(lab)
    pair.services["n1"].answer(500)
    start(pair.n1, KA_CHECK_WEIGHT="-20")
    pair.n2.start({**ENVIRONMENT, "KA_PRIORITY": "253", "KA_CHECK_WEIGHT": "-20"})
    lab.wait_holder(VIP, pair.n2)
    wait_until(lambda: ka(pair.n1, "health").stdout.startswith("main is BACKUP, priority 234\n"), "n1 at 234")
    # A drained one is out all the same.
    assert ka(pair.n1, "drain").returncode == 0


def test_the_gate_of_names_holds(lab: Lab, tmp_path: Path) -> None:
    """A name that lists another node, and not this one whose rank comes from it."""
    node, host = lab.add_node("n1"), lab.add_host("dns")
    with NameServer(host, tmp_path) as names:
        names.say(host)
        start(node, names.binds, KA_UNICAST_PEERS=f"dns:{NAME}", KA_PRIORITY="auto", **NO_CHECK)
        node.log.wait_for(r"VRRP_Script\(gates-listed\) failed")
        assert placed(node) == set()
        assert ka(node, "health").stdout.startswith("main is FAULT")


def test_with_inotify_a_start_does_not_wait_for_the_script(lab: Lab) -> None:
    node = lab.add_node("n1")
    node.start_service()
    node.start({**ENVIRONMENT, "KA_PRIORITY": "254"})
    lab.wait_holder(VIP, node)
    # The script has had no say: what it said first it still says.
    assert "VRRP_Script(gates-http) failed" not in node.log.text
    assert "inotify" not in ka(node, "health").stdout

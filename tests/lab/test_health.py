"""`ka health`: whether the node does what it claims, in each of its states."""

from __future__ import annotations

import os
import time
from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING

from lab import wait_until
from lab.pair import ENVIRONMENT, KEEPALIVED, NO_CHECK, VIP, VIP6, ka, start_pair

if TYPE_CHECKING:
    from lab import Lab, Node

MORE = "2001:db8::20"


def wait_health(node: Node, status: int, sentence: str, *options: str) -> None:
    """Wait for this answer: on a busy machine keepalived may not answer in time, or lag behind the kernel."""

    def said() -> bool:
        done = ka(node, "health", *options)
        assert done.stderr == ""
        return (done.returncode, done.stdout.strip()) == (status, sentence)

    wait_until(said, f"{node.name} that says: {sentence}")


def test_master_backup_and_fault_are_healthy(lab: Lab) -> None:
    pair = start_pair(lab)
    wait_health(pair.n1, 0, "main is MASTER, priority 254")
    wait_health(pair.n2, 0, "main is BACKUP, priority 253")
    failed = time.time()
    pair.services["n1"].refuse()
    pair.wait_moved(pair.n2, failed)
    wait_health(pair.n1, 0, "main is FAULT, priority 254")
    wait_health(pair.n2, 0, "main is MASTER, priority 253")


def test_a_node_is_ready_that_may_take_over(lab: Lab) -> None:
    """A roll-out that takes a node in FAULT for a ready one goes on to the next, until all are in FAULT."""
    pair = start_pair(lab)
    wait_health(pair.n1, 0, "main is MASTER, priority 254", "--ready")
    wait_health(pair.n2, 0, "main is BACKUP, priority 253", "--ready")
    assert ka(pair.n2, "drain").returncode == 0
    wait_health(pair.n2, 1, "main is FAULT: this node cannot take over", "--ready")
    wait_health(pair.n2, 0, "main is FAULT, priority 253")
    assert ka(pair.n2, "undrain").returncode == 0
    wait_health(pair.n2, 0, "main is BACKUP, priority 253", "--ready")


def test_an_address_that_should_not_be_there_is_unhealthy(lab: Lab) -> None:
    pair = start_pair(lab)
    pair.n2.exec(["ip", "address", "add", f"{VIP}/32", "dev", "eth0"])
    wait_health(pair.n2, 1, f"main claims BACKUP but this host holds {VIP}")
    pair.n2.exec(["ip", "address", "del", f"{VIP}/32", "dev", "eth0"])
    wait_health(pair.n2, 0, "main is BACKUP, priority 253")


def test_a_keepalived_that_does_not_answer_is_unhealthy(lab: Lab) -> None:
    node = lab.add_node("n1")
    node.start({**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254"})
    lab.wait_holder(VIP, node)
    os.kill(node.pid, SIGSTOP)  # PID 1 would end it
    node.signal(KEEPALIVED, SIGSTOP)
    wait_health(node, 1, "keepalived does not answer within 1 s")
    node.signal(KEEPALIVED, SIGCONT)
    os.kill(node.pid, SIGCONT)
    wait_health(node, 0, "main is MASTER, priority 254")


def test_a_master_without_its_address_is_unhealthy(lab: Lab) -> None:
    node = lab.add_node("n1")
    vips = {"KA_INCLUDE": f"{VIP6}/64", "KA_EXCLUDE": f"{MORE}/128/lo"}
    node.start({**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254", **vips})
    for vip in (VIP6, MORE):
        lab.wait_holder(vip, node)
    # keepalived puts an address back that somebody took away, where the kernel lets it.
    forbidden = time.time()
    node.exec(["sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/lo/disable_ipv6"])
    lab.wait_released(MORE, node, since=forbidden)
    lab.wait_holder(VIP6, node)
    wait_health(node, 1, f"main claims MASTER but this host does not hold {MORE}")


def test_before_keepalived_runs_the_node_is_unhealthy(lab: Lab) -> None:
    node = lab.add_node("n1")
    node.start({**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254", "KA_UNICAST_PEERS": "dns:nobody.invalid"})
    node.stderr.wait_for("waiting for dns:nobody")
    wait_health(node, 1, "keepalived does not run")

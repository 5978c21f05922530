"""A program of a node is killed, or hangs: no VIP stays where it should not be, and none moves without need."""

from __future__ import annotations

import os
import time
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import TYPE_CHECKING

import pytest

from lab.pair import (
    ENVIRONMENT,
    GUARD,
    HTTP_CHECKER,
    KEEPALIVED,
    LOG_FORWARDER,
    VIP,
    make_pair,
    placed,
    start_pair,
)

if TYPE_CHECKING:
    from lab import Lab, Node

OTHER_PREFIXES = {f"{VIP}/32 dev eth0", f"{VIP}/16 dev eth0"}


def add_by_hand(node: Node, addresses: set[str]) -> None:
    for address in addresses:
        node.exec(["ip", "address", "add", *address.split()])


def kill_keepalived(node: Node, which: str) -> None:
    """Kills its first process (`parent`), the one that speaks VRRP (`child`) or `both` at once."""
    if which == "both":
        node.signal(KEEPALIVED, SIGKILL)
        return
    pids = {"parent" if _parent_of(pid) == node.pid else "child": pid for pid in node.processes(KEEPALIVED)}
    assert set(pids) == {"parent", "child"}
    os.kill(pids[which], SIGKILL)


def _parent_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:"))


@pytest.mark.parametrize("which", ["both", "child", "parent"])
def test_a_killed_keepalived_leaves_no_vip(lab: Lab, which: str) -> None:
    pair = make_pair(lab)
    add_by_hand(pair.n1, OTHER_PREFIXES)
    pair.start()
    for prefix in (16, 32):
        pair.n1.log.wait_for(rf"removed {VIP}/{prefix} dev eth0, which an earlier run left behind")
    lab.wait_holder(VIP, pair.n1)
    assert placed(pair.n1) == {f"{VIP}/24 dev eth0"}

    add_by_hand(pair.n1, OTHER_PREFIXES)
    mark, killed = pair.n1.log.mark(), time.time()
    kill_keepalived(pair.n1, which)
    released = lab.wait_released(VIP, pair.n1, since=killed)  # whatever its prefix
    pair.n1.log.wait_for(r"Keepalived.* Starting VRRP child process", since=mark)
    lab.wait_holder(VIP, pair.n1, since=released.time)
    assert placed(pair.n1) == {f"{VIP}/24 dev eth0"}
    for prefix in (16, 32):
        pair.n1.log.wait_for(rf"removed {VIP}/{prefix} dev eth0, which keepalived left behind", since=mark)
    assert pair.n1.stop() == 0
    lab.wait_holder(VIP, pair.n2)
    assert placed(pair.n1) == set()


def test_what_a_killed_container_left_is_swept_by_the_next(lab: Lab) -> None:
    node = lab.add_node("n1")
    node.start_service()
    node.start({**ENVIRONMENT, "KA_PRIORITY": "254", "KA_LEASE": "off"})
    lab.wait_holder(VIP, node)
    node.kill()
    assert placed(node) == {f"{VIP}/24 dev eth0"}
    changes = {"KA_PRIORITY": "254", "KA_INCLUDE": f"{VIP}/28/lo"}
    started = time.time()
    node.start({**ENVIRONMENT, **changes})
    swept = lab.wait_released(VIP, node, since=started)
    lab.wait_holder(VIP, node, since=swept.time)
    assert placed(node) == {f"{VIP}/28 dev lo"}


def test_a_killed_sibling_is_started_again_and_no_vip_moves(lab: Lab) -> None:
    pair = start_pair(lab, KA_LOG_LEVEL="debug")
    adverts = lab.sniff()
    before = lab.timeline(VIP)
    for name, pattern in (("http-checker", HTTP_CHECKER), ("guard", GUARD), ("log-forwarder", LOG_FORWARDER)):
        pair.n1.log.wait_for(f"success: {name} entered RUNNING state")
        mark = pair.n1.log.mark()
        (killed,) = pair.n1.signal(pattern, SIGKILL)
        pair.n1.log.wait_for(f"success: {name} entered RUNNING state", since=mark)
        (restarted,) = pair.n1.processes(pattern)
        assert restarted != killed
    # Longer than a verdict is believed in without a heartbeat.
    adverts.wait_advert(pair.n1, since=time.time() + 2)
    assert lab.timeline(VIP) == before
    # All three are at work: one sees the failure, the second prints what it says, the third does no harm.
    failed = time.time()
    pair.services["n1"].refuse()
    pair.wait_moved(pair.n2, failed)
    pair.n1.log.wait_for(r"http-checker.* DOWN after 2 failures", since=mark)


def test_an_http_checker_that_hangs_takes_its_node_out_until_it_goes_on(lab: Lab) -> None:
    pair = start_pair(lab, KA_CHECK_INTERVAL="1")
    stopped = time.time()
    pair.n1.signal(HTTP_CHECKER, SIGSTOP)
    pair.wait_moved(pair.n2, stopped)
    pair.n1.log.wait_for(r"Keepalived_vrrp.*http-watchdog.* failed")
    going_on = time.time()
    pair.n1.signal(HTTP_CHECKER, SIGCONT)
    pair.wait_moved(pair.n1, going_on)


def test_memory_that_runs_out_takes_the_dispensable_first(lab: Lab) -> None:
    pair = start_pair(lab)
    own = int(pair.n1.read("proc/1/oom_score_adj"))
    scores = {
        pattern: Path(f"/proc/{pair.n1.processes(pattern)[0]}/oom_score_adj").read_text(encoding="ascii")
        for pattern in (KEEPALIVED, GUARD, HTTP_CHECKER, LOG_FORWARDER)
    }
    assert [int(score) - own for score in scores.values()] == [0, 200, 300, 400]

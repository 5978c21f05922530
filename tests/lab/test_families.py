"""VIPs of IPv4 and IPv6: on the same node, whatever fails; and IPv6 alone."""

from __future__ import annotations

import time
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import TYPE_CHECKING

from lab import LIMIT_SECONDS
from lab.pair import HTTP_CHECKER, KEEPALIVED, VIP, VIP6, placed, start_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Lab
    from lab.pair import Pair

BOTH = {"KA_INCLUDE": f"{VIP}/24 {VIP6}/64"}


def apart(lab: Lab) -> float:
    """The longest time in seconds for which the two VIPs were held by different nodes; infinite if they still are."""
    held: dict[str, set[str]] = {VIP: set(), VIP6: set()}
    longest, since = 0.0, None
    for event in lab.timeline():
        if event.address in held:
            change = held[event.address].add if event.added else held[event.address].discard
            change(event.node)
            differ = held[VIP] != held[VIP6]
            if not differ and since is not None:
                longest = max(longest, event.time - since)
            since = (since or event.time) if differ else None
    return longest if since is None else float("inf")


def failures(pair: Pair) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """What makes the first node unfit, and what puts it right."""
    n1, service = pair.n1, pair.services["n1"]
    return {
        "the service answers 500": (lambda: service.answer(500), lambda: service.answer(200)),
        "its carrier is lost": (n1.cut_link, n1.mend_link),
        "the checker hangs": (lambda: n1.signal(HTTP_CHECKER, SIGSTOP), lambda: n1.signal(HTTP_CHECKER, SIGCONT)),
        "it is stopped": (n1.stop, lambda: pair.start(**BOTH)),
    }


def test_both_families_are_on_the_same_node_whatever_fails(lab: Lab) -> None:
    pair = start_pair(lab, VIP, VIP6, **BOTH)
    for name, (fail, mend) in failures(pair).items():
        failed = time.time()
        fail()
        pair.wait_moved(pair.n2, failed, VIP, VIP6)
        assert placed(pair.n1, VIP, VIP6) == set(), name
        mended = time.time()
        mend()
        pair.wait_moved(pair.n1, mended, VIP, VIP6)
        assert placed(pair.n2, VIP, VIP6) == set(), name
    assert placed(pair.n1, VIP, VIP6) == {f"{VIP}/24 dev eth0", f"{VIP6}/64 dev eth0"}
    killed = time.time()
    pair.n1.signal(KEEPALIVED, SIGKILL)
    for vip in (VIP, VIP6):
        lab.wait_released(vip, pair.n1, since=killed)
    for vip in (VIP, VIP6):
        lab.wait_holder(vip, pair.n1, since=killed)
        lab.wait_released(vip, pair.n2)
    assert apart(lab) < LIMIT_SECONDS


def test_a_silent_link_moves_both_families_and_brings_both_back(lab: Lab) -> None:
    pair = start_pair(lab, VIP, VIP6, **BOTH)
    cut = time.time()
    pair.n1.cut_link(keep_carrier=True)
    for vip in (VIP, VIP6):
        lab.wait_holder(vip, pair.n2, since=cut)
    mended = time.time()
    pair.n1.mend_link()
    for vip in (VIP, VIP6):
        lab.wait_released(vip, pair.n2, since=mended)
    assert lab.holders(VIP) == lab.holders(VIP6) == {"n1"}
    assert apart(lab) < LIMIT_SECONDS


def test_ipv6_alone(lab: Lab) -> None:
    pair = start_pair(lab, VIP6, KA_INCLUDE=f"{VIP6}/64", KA_ENABLE_CHECK="http://[::1]/")
    advert = lab.sniff().wait_advert(pair.n1)
    assert (advert.version, advert.destination) == (3, "ff02::12")
    failed = time.time()
    pair.services["n1"].refuse()
    pair.wait_moved(pair.n2, failed, VIP6)
    mended = time.time()
    pair.services["n1"].answer(200)
    pair.wait_moved(pair.n1, mended, VIP6)
    killed = time.time()
    pair.n1.signal(KEEPALIVED, SIGKILL)
    lab.wait_released(VIP6, pair.n1, since=killed)
    lab.wait_holder(VIP6, pair.n1, since=killed)
    stopped = time.time()
    assert pair.n1.stop() == 0
    pair.wait_moved(pair.n2, stopped, VIP6)
    assert placed(pair.n1, VIP6) == set()

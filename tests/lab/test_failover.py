"""Two nodes share a VIP: it moves whenever the master cannot serve, and comes back when it can."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lab.pair import ENVIRONMENT, NO_CHECK, VIP, make_pair, placed, start_pair, wait_goodbye

if TYPE_CHECKING:
    from lab import Lab


def test_the_first_master_has_the_higher_priority(lab: Lab) -> None:
    pair = make_pair(lab)
    pair.n2.start({**ENVIRONMENT, "KA_PRIORITY": "253"})
    lab.wait_holder(VIP, pair.n2)
    started = time.time()
    pair.start()
    pair.wait_moved(pair.n1, started)
    assert placed(pair.n1) == {f"{VIP}/24 dev eth0"}
    assert lab.holders(VIP) == {"n1"}


def test_the_vip_leaves_a_service_that_fails_and_comes_back(lab: Lab) -> None:
    pair = start_pair(lab)
    service = pair.services["n1"]
    failures = {"answers 500": lambda: service.answer(500), "refuses": service.refuse, "hangs": service.hang}
    said = {"answers 500": "answered 500", "refuses": "connection refused", "hangs": "no answer within 1 s"}
    for failure, fail in failures.items():
        mark, failed = pair.n1.log.mark(), time.time()
        fail()
        pair.wait_moved(pair.n2, failed)
        pair.n1.log.wait_for(rf"http-checker.* DOWN after 2 failures: {said[failure]}", since=mark)
        assert lab.holders(VIP) == {"n2"}, failure
        mended = time.time()
        service.answer(200)
        pair.wait_moved(pair.n1, mended)
        assert lab.holders(VIP) == {"n1"}, failure


def test_sigterm_of_the_master_hands_over_and_ends_with_0(lab: Lab) -> None:
    pair = start_pair(lab)
    before = lab.timeline()
    assert pair.n2.stop() == 0
    assert lab.timeline() == before  # the backup has nothing to give
    mark = pair.n2.log.mark()
    pair.start()
    pair.n2.log.wait_for(r"Keepalived_vrrp.* Entering BACKUP STATE", since=mark)
    assert lab.timeline() == before
    adverts, stopped = lab.sniff(), time.time()
    assert pair.n1.stop() == 0
    wait_goodbye(lab, adverts, pair.n1, pair.n2, since=stopped)
    assert placed(pair.n1) == set()
    assert pair.n1.stderr.text == ""
    started = time.time()
    pair.start()
    pair.wait_moved(pair.n1, started)


@pytest.mark.parametrize("keep_carrier", [False, True], ids=["its carrier is lost", "its packets are lost"])
def test_a_cut_link_of_the_master_moves_the_vip(lab: Lab, *, keep_carrier: bool) -> None:
    pair = start_pair(lab)
    cut = time.time()
    pair.n1.cut_link(keep_carrier=keep_carrier)
    lab.wait_holder(VIP, pair.n2, since=cut)
    if not keep_carrier:
        lab.wait_released(VIP, pair.n1, since=cut)
    # What nobody can hear of keeps what it has.
    assert lab.holders(VIP) == ({"n1", "n2"} if keep_carrier else {"n2"})
    mended = time.time()
    pair.n1.mend_link()
    lab.wait_released(VIP, pair.n2, since=mended)
    lab.wait_holder(VIP, pair.n1)
    assert lab.holders(VIP) == {"n1"}


def test_a_dead_machine_is_replaced_and_takes_over_again(lab: Lab) -> None:
    pair = start_pair(lab)
    died = time.time()
    pair.n1.power_off()
    lab.wait_holder(VIP, pair.n2, since=died)
    back = time.time()
    pair.n1.power_on()
    pair.n1.start_service()
    pair.start()
    pair.wait_moved(pair.n1, back)
    assert lab.holders(VIP) == {"n1"}


def test_without_a_check_the_link_alone_decides(lab: Lab) -> None:
    pair = start_pair(lab, **NO_CHECK)
    pair.services["n1"].refuse()
    cut = time.time()
    pair.n1.cut_link()
    pair.wait_moved(pair.n2, cut)


@pytest.mark.parametrize(
    "urge", [{"KA_PRIORITY": "100"}, {"KA_PRIORITY": "255", "KA_MASTER": "yes"}], ids=["backup at first", "KA_MASTER"]
)
def test_a_node_is_never_master_before_its_service_has_answered(lab: Lab, urge: dict[str, str]) -> None:
    node = lab.add_node("n1")
    service = node.start_service()
    service.hang()
    # The first probe fails after a second, in which an idle keepalived would have been master eight times over.
    node.start({**ENVIRONMENT, "KA_ADVERT_INTERVAL": "0.04", **urge})
    node.log.wait_for(r"http-checker.* DOWN after 1 failure: no answer within 1 s")
    node.log.wait_for(r"Keepalived_vrrp.* entering FAULT state")
    assert lab.timeline(VIP) == ()
    answered = time.time()
    service.answer(200)
    lab.wait_holder(VIP, node, since=answered)

"""KA_CHECK_WEIGHT: a check changes the priority, and the node stays in the game."""

from __future__ import annotations

import time
from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING

from lab.pair import HTTP_CHECKER, VIP, VIP6, ka, start_pair

if TYPE_CHECKING:
    from lab import Lab


def test_a_negative_weight_moves_the_vip_without_fault(lab: Lab) -> None:
    pair = start_pair(lab, KA_CHECK_WEIGHT="-20")
    mark, failed = pair.n1.log.mark(), time.time()
    pair.services["n1"].answer(500)
    pair.wait_moved(pair.n2, failed)
    assert ka(pair.n1, "health").stdout == "main is BACKUP, priority 234\n"
    # With both services down the first node is the better one again, and someone holds the VIP.
    failed = time.time()
    pair.services["n2"].refuse()
    pair.wait_moved(pair.n1, failed)
    assert ka(pair.n1, "health").stdout == "main is MASTER, priority 234\n"
    assert ka(pair.n2, "health").stdout == "main is BACKUP, priority 233\n"
    for node in (pair.n1, pair.n2):
        assert "FAULT" not in "".join(line.text for line in node.log.lines[mark:])
    adverts, mended = lab.sniff(), time.time()
    for service in pair.services.values():
        service.answer(200)
    adverts.wait_advert(pair.n1, priority=254, since=mended)
    assert lab.holders(VIP) == {"n1"}


def test_a_positive_weight_raises_the_priority_of_who_answers(lab: Lab) -> None:
    priorities = {"KA_PRIORITY_BY_NODE": "n1=200,n2=190", "KA_CHECK_WEIGHT": "20"}
    pair = start_pair(lab, **priorities)
    adverts = lab.sniff()
    adverts.wait_advert(pair.n1, priority=220)
    mark, failed = pair.n1.log.mark(), time.time()
    pair.services["n1"].refuse()
    pair.wait_moved(pair.n2, failed)
    adverts.wait_advert(pair.n2, priority=210, since=failed)
    mended = time.time()
    pair.services["n1"].answer(200)
    pair.wait_moved(pair.n1, mended)
    # A checker that hangs is no checker that says yes.
    stopped = time.time()
    pair.n1.signal(HTTP_CHECKER, SIGSTOP)
    pair.wait_moved(pair.n2, stopped)
    assert ka(pair.n1, "health").stdout == "main is BACKUP, priority 200\n"
    going_on = time.time()
    pair.n1.signal(HTTP_CHECKER, SIGCONT)
    pair.wait_moved(pair.n1, going_on)
    assert "FAULT" not in "".join(line.text for line in pair.n1.log.lines[mark:])


def test_both_families_move_together_with_a_weight(lab: Lab) -> None:
    both = {"KA_INCLUDE": f"{VIP}/24,{VIP6}/64", "KA_CHECK_WEIGHT": "-20"}
    pair = start_pair(lab, VIP, VIP6, **both)
    for fail in (pair.services["n1"].refuse, pair.n1.cut_link):
        failed = time.time()
        fail()
        pair.wait_moved(pair.n2, failed, VIP, VIP6)
        mended = time.time()
        pair.services["n1"].answer(200)
        pair.n1.mend_link()
        pair.wait_moved(pair.n1, mended, VIP, VIP6)
    assert lab.holders(VIP) == lab.holders(VIP6) == {"n1"}

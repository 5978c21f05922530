"""Large numbers, once each; `python -m bench` has the figures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lab.large import fail_overs, rendered
from lab.pair import NO_CHECK, VIP, start_pair

if TYPE_CHECKING:
    from lab import Lab


def test_a_large_environment_is_rendered(lab: Lab) -> None:
    assert rendered(lab.add_host("h1"))


def test_all_of_many_instances_fail_over_when_the_service_dies(lab_possible: None) -> None:
    assert len(fail_overs(1)) == 1


def test_a_cut_link_with_the_fastest_adverts(lab: Lab) -> None:
    pair = start_pair(lab, **NO_CHECK, KA_ADVERT_INTERVAL="0.02")
    for _ in range(5):
        cut = time.time()
        pair.n1.cut_link(keep_carrier=True)
        lab.wait_holder(VIP, pair.n2, since=cut)
        mended = time.time()
        pair.n1.mend_link()
        lab.wait_released(VIP, pair.n2, since=mended)

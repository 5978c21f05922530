"""The issue's large numbers, once each; `python -m bench` has the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.fleet import FAST, VIP, cut_link, large_rows, rendered

if TYPE_CHECKING:
    from lab import Lab


def test_a_large_environment_is_rendered_in_time(lab: Lab) -> None:
    assert rendered(lab.add_host("h1")) < 1.5


def test_all_of_many_instances_fail_over_when_the_service_dies(lab_possible: None) -> None:
    until_first, until_last = large_rows(1)
    assert until_first.median < 500
    assert until_last.median < 1500


def test_a_cut_link_with_the_fastest_adverts(lab: Lab) -> None:
    n1, n2 = lab.add_node("n1"), lab.add_node("n2")
    for node, priority in ((n1, "254"), (n2, "253")):
        node.start({**FAST, "KA_PRIORITY": priority})
        lab.wait_holder(VIP, n1)
    assert sorted(cut_link(lab, n1, n2) for _ in range(5))[2] < 0.25

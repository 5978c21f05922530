"""Which instances have a lease."""

from __future__ import annotations

from app.plan.lease import MOST_IPV6
from tests.unit.machine import LEAST, plan_of


def vips(number: int, start: int = 0) -> str:
    return ",".join(f"2001:db8::{start + one:x}/64" for one in range(1, number + 1))


def test_all_of_them() -> None:
    plan = plan_of({**LEAST, "KA_INSTANCES__WEB__INCLUDE": "203.0.113.20", "KA_INSTANCES__WEB__VRID": "7"})
    assert plan.leased == tuple(instance.name for instance in plan.instances) == ("main", "web")


def test_none_when_it_is_off() -> None:
    assert plan_of({**LEAST, "KA_LEASE": "off"}).leased == ()


def test_not_more_ipv6_than_is_cheap() -> None:
    """The kernel looks at all IPv6 addresses for each renewal."""
    more = {
        "KA_INSTANCES__A__INCLUDE": vips(MOST_IPV6),
        "KA_INSTANCES__A__VRID": "7",
        "KA_INSTANCES__B__INCLUDE": vips(2, MOST_IPV6),
        "KA_INSTANCES__B__VRID": "8",
        "KA_INSTANCES__C__INCLUDE": "203.0.113.20",
        "KA_INSTANCES__C__VRID": "9",
    }
    plan = plan_of({**LEAST, **more})
    assert plan.leased == ("main", "a", "c")
    assert [said for said in plan.warnings if "KA_LEASE" in said] == [
        f"KA_LEASE: keeps at most {MOST_IPV6} IPv6 VIPs, so those of b stay on a node that is killed"
    ]

"""Which instances have a lease: VIPs that go by themselves when adverts stop leaving this node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.contract.lease_config import LEAST_SECONDS, MASTER_DOWN_ADVERTS, lifetime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.plan.model import Instance

#: IPv6 VIPs with a lease. For each renewal the kernel looks at all IPv6 addresses: 512 at adverts of a second are 6 %
#: of a core, twice as many are four times that (docs/decisions/0008-lease.md). IPv4 has no such price.
MOST_IPV6 = 512


def leased(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """Those that are not too many, the first ones before others."""
    found, count = [], 0
    for instance in instances:
        more = sum(vip.address.version == 6 for vip in instance.addresses)
        if not more or count + more <= MOST_IPV6:
            found.append(instance)
            count += more
    return tuple(found)


def lease_text(instance: Instance, *, has_lease: bool) -> str:
    """What becomes of its VIPs when the node is killed."""
    if not has_lease:
        return "stay on a node that is killed or frozen, it has no lease"
    seconds = lifetime(instance.advert_interval) or LEAST_SECONDS
    late = ", after a peer has taken over" if seconds > MASTER_DOWN_ADVERTS * instance.advert_interval else ""
    return f"go by themselves {seconds} s after the last advert{late}"

"""What the lease keeper is told: lease.json, and how long a VIP may stay after the last advert of this node."""

from __future__ import annotations

from typing import NamedTuple

#: Adverts that a peer waits for before it takes over (RFC 5798, 6.1); its skew comes on top, which may be next to none.
MASTER_DOWN_ADVERTS = 3

#: Seconds by which the kernel may be late with the end of a lifetime.
KERNEL_LATE_SECONDS = 0.5

#: The kernel counts whole seconds.
LEAST_SECONDS = 1

#: What no lifetime of a VIP is above: that of the longest interval, 255 s (RFC 3768, 5.3.7).
LONGEST_SECONDS = 764


class LeasedVip(NamedTuple):
    """An address with the prefix that it has on ``link``."""

    address: str
    prefix: int
    link: str


class LeasedInstance(NamedTuple):
    """A VRRP instance, how its adverts are known on ``link``, and all VIPs that go with it.

    ``interval``: seconds between two adverts.
    """

    name: str
    link: str
    ip_version: int
    vrid: int
    interval: float
    vips: tuple[LeasedVip, ...]


class LeaseConfig(NamedTuple):
    """The instances whose VIPs go by themselves."""

    instances: tuple[LeasedInstance, ...]


def lifetime(interval: float, age: float = 0.0) -> int | None:
    """For how many seconds the kernel is to keep a VIP whose last advert left ``age`` seconds ago, so that it is gone
    before a peer takes over; None when it is too late for that.

    With adverts below half a second not even the least is short enough, and it is kept all the same.
    """
    left = MASTER_DOWN_ADVERTS * interval - age
    if left <= 0:
        return None
    fits = int(left - KERNEL_LATE_SECONDS)
    if fits < LEAST_SECONDS:
        # Where even the least is hardly short enough, a renewal that comes a little late is better than none.
        return LEAST_SECONDS if MASTER_DOWN_ADVERTS * interval < LEAST_SECONDS + 2 * KERNEL_LATE_SECONDS else None
    return fits

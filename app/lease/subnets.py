"""Which subnets of this host's links have addresses that are no VIPs of ours: what VIPs must not take along."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from app.lease.addresses import HeldHere, Key

#: An IP version's family, the number of a link, a prefix length, the network's bits.
Subnet = tuple[int, int, int, int]


def subnet_of(key: Key, entry: HeldHere) -> Subnet:
    """Where an address is."""
    family, index, raw = key
    return family, index, entry.prefix, int.from_bytes(raw) >> (8 * len(raw) - entry.prefix)


class Subnets:
    """The subnets with others than ``vips`` in them, at one moment."""

    def __init__(self, entries: Mapping[Key, HeldHere], vips: Container[Key]) -> None:
        self._with_others = {
            subnet_of(key, entry)
            for key, entry in entries.items()
            # Another node's VIP that goes by itself needs nobody's care.
            if key not in vips and not entry.is_leased
        }

    def has_others(self, key: Key, entry: HeldHere) -> bool:
        """Whether one of them is in the subnet of that VIP."""
        return subnet_of(key, entry) in self._with_others


def promotes(link: str) -> bool:
    """Whether the second address of a subnet stays on that link when the first one goes (ip-sysctl, Linux)."""
    return any(_text(f"/proc/sys/net/ipv4/conf/{place}/promote_secondaries") == "1" for place in ("all", link))


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii") as stream:  # noqa: PTH123 - pathlib takes a MiB, and the keeper is to stay small
            return stream.read().strip()
    except OSError:
        return ""

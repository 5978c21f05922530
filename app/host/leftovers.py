"""Removes VIPs that a keepalived which died left on this host.

keepalived removes at its start what it finds with the same prefix length; this finds an address whatever its prefix,
and at the start of a node also those that its environment no longer names (docs/decisions/0004-ledger.md).
PID 1 does this within milliseconds of a death, so nothing heavy is imported here.
"""

from __future__ import annotations

import ipaddress
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.host.addresses import held_addresses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from app.host.addresses import Held

#: The raw sockets of this network namespace, those of programs in other containers included (proc_net_raw(5)).
RAW_SOCKETS = (Path("/proc/net/raw"), Path("/proc/net/raw6"))

#: VRRP's IP protocol number as those tables have it: after the colon of the local address.
VRRP = f"{112:04X}"


@dataclass(frozen=True)
class Swept:
    """What a sweep removed, and what it left alone because it may belong to somebody who is alive."""

    removed: tuple[Held, ...]
    left: tuple[Held, ...]


def remove_leftovers(vips: Collection[str]) -> list[Held]:
    """Takes the addresses ``vips`` off every link; gives what was removed.

    Raises OSError when iproute2 is not there and subprocess.CalledProcessError when the kernel refuses.
    """
    wanted = {ipaddress.ip_address(vip) for vip in vips}
    found = [held for held in held_addresses() if held.address in wanted] if wanted else []
    _remove(found)
    return found


def sweep(vips: Collection[str]) -> Swept:
    """Before any keepalived of this node runs: takes off every link the addresses ``vips``, and the addresses of any
    keepalived that is dead.

    A marked address is a dead one's when no VRRP router is alive in this network namespace. Raises as remove_leftovers.
    """
    wanted = {ipaddress.ip_address(vip) for vip in vips}
    # In this order: whoever holds an address had its sockets before, so a router that starts just now is not robbed.
    addresses = held_addresses()
    somebody_lives = _vrrp_is_spoken()
    of_others = tuple(held for held in addresses if held.is_marked and held.address not in wanted)
    removed = [held for held in addresses if held.address in wanted]
    if not somebody_lives:
        removed += of_others
    _remove(removed)
    return Swept(tuple(removed), of_others if somebody_lives else ())


def has_vrrp_socket(table: str) -> bool:
    """Whether the text of a table of raw sockets has one of VRRP."""
    return any(line.split()[1].endswith(f":{VRRP}") for line in table.splitlines()[1:])


def _vrrp_is_spoken() -> bool:
    # Without IPv6 there is no raw6.
    return any(has_vrrp_socket(path.read_text(encoding="ascii")) for path in RAW_SOCKETS if path.exists())


def _remove(addresses: Iterable[Held]) -> None:
    """Removes ``addresses``. Raises subprocess.CalledProcessError when one of them stays."""
    gone = set(addresses)
    if not gone:
        return
    before = set(held_addresses())
    _batch("del", gone & before)
    after = set(held_addresses())
    # The first address of an IPv4 subnet takes the others with it, unless net.ipv4.conf.*.promote_secondaries is set.
    # What another keepalived gave up meanwhile is marked, or was not in the same subnet of the same link.
    neighbours = {(held.link, held.network) for held in gone}
    _batch(
        "add",
        {held for held in before - gone - after if (held.link, held.network) in neighbours and not held.is_marked},
    )
    if stayed := after & gone:
        raise subprocess.CalledProcessError(1, "ip", stderr=f"{', '.join(map(str, stayed))} cannot be removed")


def _batch(verb: str, addresses: Iterable[Held]) -> None:
    commands = "".join(f"address {verb} {held}\n" for held in addresses)
    if commands:
        # -force: one that is gone already does not keep the others.
        subprocess.run(["ip", "-force", "-batch", "-"], input=commands, check=False, capture_output=True, text=True)

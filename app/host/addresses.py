"""The links of this host and the addresses on them: the only reader of ``ip -json address``.

PID 1 and ``ka health`` ask too, and must not wait: nothing heavy is imported here.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from dataclasses import dataclass, field
from typing import Any

from app.contract.lease_config import LONGEST_SECONDS

#: What keepalived, from 2.3 on and on Linux 5.18 and later, marks its addresses with (IFA_PROTO; lib/rttables.h there).
KEEPALIVED_PROTOCOL = 18

#: The lifetime of an address that stays until somebody removes it (INFINITY_LIFE_TIME, linux/if_addr.h).
FOR_EVER = 2**32 - 1


#: An address and the name of a link that it is on, or may come to be on.
Place = tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, str]


@dataclass(frozen=True)
class Held:
    """An address on a link of this host.

    ``is_marked``: a keepalived put it there, and said so. ``is_configured``: somebody else did, for it has what no VIP
    has: a lifetime (of DHCP, or a router's) beyond those of the lease, a broadcast address, or a test for duplicates
    (IPv6). ``lifetime``: seconds until it goes by itself, or FOR_EVER.
    ``scope`` as the kernel counts it (rtnetlink(7)): 0 is everywhere, 253 the link, 254 the host.
    """

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    prefix: int
    link: str
    is_marked: bool = False
    is_configured: bool = field(default=False, compare=False)
    lifetime: int = field(default=FOR_EVER, compare=False)
    scope: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix} dev {self.link}"

    @property
    def place(self) -> Place:
        """The address and its link, whatever the prefix."""
        return self.address, self.link

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        """The subnet that it is in."""
        return ipaddress.ip_network(f"{self.address}/{self.prefix}", strict=False)


@dataclass(frozen=True)
class Link:
    """A network link and the addresses it has now."""

    name: str
    is_loopback: bool
    addresses: tuple[Held, ...] = ()


def links() -> tuple[Link, ...]:
    """Every link of this host. Raises as ask_ip."""
    return tuple(map(_link, ask_ip("address", "show")))


def held_addresses() -> list[Held]:
    """Every address of this host. Raises as ask_ip."""
    return [held for link in links() for held in link.addresses]


def ask_ip(*arguments: str) -> list[dict[str, Any]]:
    """What ``ip -json`` says.

    Raises OSError when iproute2 is not there and subprocess.CalledProcessError when the kernel refuses.
    """
    done = subprocess.run(["ip", "-Numeric", "-json", *arguments], check=True, capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return [entry for entry in found if entry]  # a link of another family than the one asked for is empty


def _link(entry: dict[str, Any]) -> Link:
    name = entry["ifname"]
    held = tuple(
        Held(
            address=ipaddress.ip_address(info["local"]),
            prefix=info["prefixlen"],
            link=name,
            is_marked=int(info.get("protocol", "0"), 0) == KEEPALIVED_PROTOCOL,
            is_configured=LONGEST_SECONDS < info.get("valid_life_time", FOR_EVER) < FOR_EVER
            or "broadcast" in info
            or (info["family"] == "inet6" and not info.get("nodad")),
            lifetime=info.get("valid_life_time", FOR_EVER),
            scope=int(info.get("scope", "0"), 0),
        )
        for info in entry.get("addr_info", ())
        if "local" in info
    )
    return Link(name, "LOOPBACK" in entry.get("flags", ()), held)

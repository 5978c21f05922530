"""The addresses that move between the nodes, and the link that carries them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from app.settings.area import Area
from app.settings.routes import LINK_PATTERN, ROUTES, IPAddress, Route
from app.settings.text import TextList, matching, or_auto

VIP_FORM = "ADDRESS[/PREFIX[/LINK]], for example 203.0.113.10/24/eth0"


@dataclass(frozen=True)
class Vip:
    """A virtual IP address as it was asked for; what was left out is None."""

    address: IPAddress
    prefix: int | None = None
    link: str | None = None

    def __str__(self) -> str:
        return "/".join(str(part) for part in (self.address, self.prefix, self.link) if part is not None)


def parse_vip(text: str) -> Vip:
    """``ADDRESS[/PREFIX[/LINK]]``; raises ValueError."""
    address_text, *rest = text.split("/")
    try:
        address = ipaddress.ip_address(address_text)
    except ValueError:
        raise ValueError(VIP_FORM) from None
    has_scope = "%" in address_text
    if has_scope or address.is_multicast or address.is_unspecified or address.is_loopback or len(rest) > 2:
        raise ValueError(VIP_FORM)
    if rest and not (re.fullmatch(r"[0-9]{1,3}", rest[0]) and 1 <= int(rest[0]) <= address.max_prefixlen):
        raise ValueError(f"ADDRESS[/PREFIX[/LINK]] with a prefix of 1–{address.max_prefixlen} for IPv{address.version}")
    if len(rest) == 2 and not re.fullmatch(LINK_PATTERN, rest[1]):
        raise ValueError(VIP_FORM)
    network = ipaddress.ip_network(f"{address}/{rest[0] if rest else address.max_prefixlen}", strict=False)
    # In a network of two addresses both are hosts' (RFC 3021, RFC 6164).
    has_its_own = network.prefixlen < address.max_prefixlen - 1
    if has_its_own and address == network.network_address:
        raise ValueError(f"a host's address, and {address} is that of the whole network {network}")
    if has_its_own and address.version == 4 and address == network.broadcast_address:
        raise ValueError(f"a host's address, and {address} is the broadcast address of {network}")
    return Vip(address, int(rest[0]) if rest else None, rest[1] if len(rest) == 2 else None)


class Addresses(Area):
    """Which addresses, on which link."""

    track_iface: Annotated[str, or_auto(matching(LINK_PATTERN, "a link name such as eth0"))] = Field(
        description="The link that VRRP runs on and whose loss hands the VIPs over. auto is the link that holds the "
        "VIP's subnet, else the one of the default route.",
    )
    include: Annotated[tuple[Vip, ...], TextList(VIP_FORM, parse_vip)] = Field(
        description="The VIPs, carried in the adverts. Without a prefix: /32 or /128; without a link: KA_TRACK_IFACE.",
    )
    exclude: Annotated[tuple[Vip, ...], TextList(VIP_FORM, parse_vip)] = Field(
        default=(),
        description="More VIPs that move with the others but are not carried in the adverts, whose room is limited.",
    )
    track_interfaces: Annotated[
        tuple[str, ...], TextList("link names such as eth1", matching(LINK_PATTERN, "link names such as eth1").parse)
    ] = Field(default=(), description="More links whose loss hands the VIPs over.")
    routes: Annotated[tuple[Route, ...], ROUTES] = Field(
        default=(),
        description="Routes that move with the VIPs.",
    )

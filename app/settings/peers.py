"""Who the other nodes are, where adverts go to each of them instead of to a multicast group."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import Field

from app.settings.area import Area
from app.settings.routes import IPAddress
from app.settings.text import Text, TextList

#: A DNS name: letters, digits and hyphens in labels, underscores for compose's service names.
NAME_PATTERN = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?\.?"
DNS = "dns:"

PEER_FORM = "an address such as 203.0.113.12, or dns:NAME"


def parse_peer(text: str) -> IPAddress | str:
    """An address, or the name behind ``dns:``; raises ValueError."""
    if text.startswith(DNS):
        name = text.removeprefix(DNS)
        if not re.fullmatch(NAME_PATTERN, name):
            raise ValueError(PEER_FORM)
        return name
    return parse_address(text)


def parse_address(text: str) -> IPAddress:
    """An address of one host; raises ValueError."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError from None
    if "%" in text or address.is_multicast or address.is_unspecified or address.is_loopback:
        raise ValueError
    return address


class Peers(Area):
    """Unicast peers."""

    unicast_peers: Annotated[tuple[IPAddress | str, ...], TextList(PEER_FORM, parse_peer)] = Field(
        default=(),
        description="All nodes, this one may be among them: adverts go to each instead of to the multicast group, "
        "for networks that drop multicast. dns:NAME stands for every address of NAME, asked again every "
        "KA_PEER_REFRESH seconds. The same list on every node.",
    )
    unicast_src_ip: Annotated[IPAddress | None, Text("an address of this host", parse_address)] = Field(
        default=None,
        description="The address that adverts come from. Unset: the one that the route to the peers chooses.",
    )

"""How this node takes part in VRRP (RFC 5798; version 2: RFC 3768)."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, SecretStr

from app.settings.area import Area
from app.settings.node import NODE_PATTERN
from app.settings.text import Text, TextList, boolean, choice, integer, or_auto, seconds

#: RFC 5798 §5.2.3 and §5.2.4.
VRID_RANGE = (1, 255)
PRIORITY_RANGE = (1, 255)
#: The priority of a router that owns the addresses: it is always up, no check lowers it.
PRIORITY_OWNER = 255
DEFAULT_VRID = 1
#: The advert interval in seconds: version 2 has a byte of whole seconds, version 3 twelve bits of 10 ms.
ADVERT_RANGE_V2 = (1, 255)
ADVERT_RANGE_V3 = (0.01, 40.95)
#: RFC 2338 §5.3.10: eight bytes of password, sent as they are.
AUTH_PASS_LENGTH = 8


def _auth_pass() -> Text[SecretStr]:
    def parse(text: str) -> SecretStr:
        if not 1 <= len(text) <= AUTH_PASS_LENGTH or not all(
            "!" <= char <= "~" and char not in "\"'\\{}" for char in text
        ):
            raise ValueError
        return SecretStr(text)

    return Text(
        f"1–{AUTH_PASS_LENGTH} printable ASCII characters without spaces, quotes, backslashes and braces", parse, True
    )


def _node_priority(text: str) -> tuple[str, int]:
    """``NODE=PRIORITY``; raises ValueError."""
    name, _, priority = text.rpartition("=")
    if not re.fullmatch(NODE_PATTERN, name):
        raise ValueError
    return name, integer(*PRIORITY_RANGE).parse(priority)


class Vrrp(Area):
    """Priority, router id and the rest of the protocol."""

    priority: Annotated[int | str | None, or_auto(integer(*PRIORITY_RANGE))] = Field(
        default=None,
        description="Required where KA_PRIORITY_BY_NODE does not name the node. The healthy node with the highest "
        "priority holds the VIPs. Give neighbouring numbers, high ones: a peer takes over after (256 − its priority) "
        "/ 256 of the advert interval. auto: the nodes of KA_UNICAST_PEERS, sorted, get 254, 253 and so on.",
    )
    priority_by_node: Annotated[
        tuple[tuple[str, int], ...], TextList("NODE=PRIORITY, for example n1=254,n2=253", _node_priority)
    ] = Field(
        default=(),
        description="Priorities by KA_NODE_NAME, for one environment on every node. Wins over KA_PRIORITY.",
    )
    master: Annotated[bool, boolean()] = Field(
        default=False,
        description="Whether keepalived starts in state MASTER. The priority decides who is master all the same.",
    )
    vrid: Annotated[int | None, integer(*VRID_RANGE)] = Field(
        default=None,
        description=f"The virtual router id: the same on every node, and nobody else's on this network. "
        f"Unset: {DEFAULT_VRID}, and a warning.",
    )
    auth_pass: Annotated[SecretStr | None, _auth_pass()] = Field(
        default=None,
        description="The password in version 2 adverts. It travels in the clear: it keeps strays apart, not attackers. "
        "Unset: no authentication, and a warning.",
    )
    advert_interval: Annotated[float, seconds("0.01", "255")] = Field(
        default=1.0,
        description="The time between two adverts; a peer that hears none for three of them takes over. The same on "
        "every node. Below one second, or with a fraction, it needs VRRP version 3.",
    )
    vrrp_version: Annotated[str, choice("auto", "2", "3")] = Field(
        default="auto", description="auto is 2, but 3 for IPv6 and for adverts in fractions of a second."
    )
    nopreempt: Annotated[bool | None, boolean()] = Field(
        default=None,
        description="Whether a node that comes back leaves the VIPs where they are, even if its priority is higher. "
        "Unset: false, but true with KA_PRIORITY=auto, where no node is preferred.",
    )
    preempt_delay: Annotated[float, seconds("0", "1000")] = Field(
        default=0.0, description="How long a node of higher priority waits before it takes the VIPs back."
    )
    garp_refresh: Annotated[int, integer(0, 86400, unit=" seconds")] = Field(
        default=60,
        description="The time between the gratuitous ARPs of a master, which heal caches that missed the first ones. "
        "0: none after the take-over.",
    )

"""How this node takes part in VRRP (RFC 5798; version 2: RFC 3768)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from app.settings.area import Area
from app.settings.text import Text, boolean, choice, integer, matching, seconds

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
            "!" <= char <= "~" and char not in "\"'\\" for char in text
        ):
            raise ValueError
        return SecretStr(text)

    return Text(f"1–{AUTH_PASS_LENGTH} printable ASCII characters without spaces, quotes and backslashes", parse, True)


class Vrrp(Area):
    """Priority, router id and the rest of the protocol."""

    priority: Annotated[int, integer(*PRIORITY_RANGE)] = Field(
        description="The node with the highest priority that is healthy holds the VIPs. Give neighbours neighbouring "
        "numbers, high ones: a peer takes over after (256 − its priority) / 256 of the advert interval.",
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
    router_name: Annotated[str | None, matching(r"[A-Za-z0-9_.:@-]{1,64}", "1–64 letters, digits and _.:@-")] = Field(
        default=None, description="The name of this router in keepalived's messages. Unset: the host name."
    )
    advert_interval: Annotated[float, seconds("0.01", "255")] = Field(
        default=1.0,
        description="The time between two adverts; a peer that hears none for three of them takes over. The same on "
        "every node. Below one second, or with a fraction, it needs VRRP version 3.",
    )
    vrrp_version: Annotated[str, choice("auto", "2", "3")] = Field(
        default="auto", description="auto is 2, but 3 for IPv6 and for adverts in fractions of a second."
    )

"""Routes that move with the VIP."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from app.settings.text import TextList

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

#: What Linux allows in the name of a link, without what would need quoting (IFNAMSIZ is 16 with its end).
LINK_PATTERN = r"[A-Za-z0-9_.:-]{1,15}"

ROUTE_FORM = "DEST via GATEWAY [dev LINK] [src IP], or blackhole DEST, with ; between routes"


@dataclass(frozen=True)
class Route:
    """``gateway`` is None for a blackhole."""

    destination: IPNetwork
    gateway: IPAddress | None = None
    link: str | None = None
    source: IPAddress | None = None

    @property
    def version(self) -> int:
        """The IP version."""
        return self.destination.version


def parse_route(text: str) -> Route:
    """One route; raises ValueError."""
    words = text.split()
    if "%" in text:  # a scope is a link's name, and Python takes any text for one
        raise ValueError
    if len(words) == 2 and words[0] == "blackhole":
        return Route(_network(words[1], 4))
    options = dict(zip(words[1::2], words[2::2], strict=False))
    if (
        len(words) % 2 == 0
        or set(options) - {"via", "dev", "src"}
        or "via" not in options
        or 2 * len(options) + 1 != len(words)
    ):
        raise ValueError
    gateway = ipaddress.ip_address(options["via"])
    source = ipaddress.ip_address(options["src"]) if "src" in options else None
    link = options.get("dev")
    destination = _network(words[0], gateway.version)
    if destination.version != gateway.version or (source and source.version != gateway.version):
        raise ValueError("a route with all its addresses of one IP version")
    if link is not None and not re.fullmatch(LINK_PATTERN, link):
        raise ValueError
    return Route(destination, gateway, link, source)


def _network(text: str, version: int) -> IPNetwork:
    if text == "default":
        return ipaddress.ip_network("0.0.0.0/0" if version == 4 else "::/0")
    return ipaddress.ip_network(text)


def _parse(text: str) -> Route:
    try:
        return parse_route(text)
    except ValueError as error:
        # The library says in its own words what was wrong; ours say what would be right.
        ours = str(error) if str(error).startswith("a route") else ROUTE_FORM
        raise ValueError(ours) from None


ROUTES: TextList[Route] = TextList(ROUTE_FORM, _parse, separator=r"\s*;\s*")

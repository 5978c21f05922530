"""Whether the links of this host can carry VRRP: their flags, sizes and switches in the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.host.addresses import ask_ip

SYSCTL = Path("/proc/sys/net")


@dataclass(frozen=True)
class LinkState:
    """A link as the kernel has it. ``mtu`` in bytes; ``mac`` in lower case, empty where it has none."""

    name: str
    is_up: bool
    has_carrier: bool
    is_multicast: bool
    mtu: int
    mac: str

    @property
    def can_speak(self) -> bool:
        """Whether a packet can leave by it."""
        return self.is_up and self.has_carrier


def link_states() -> dict[str, LinkState]:
    """Every link by its name. Raises as app.host.addresses.ask_ip."""
    return {
        entry["ifname"]: LinkState(
            entry["ifname"],
            is_up="UP" in entry["flags"],
            has_carrier="LOWER_UP" in entry["flags"],
            is_multicast="MULTICAST" in entry["flags"],
            mtu=entry["mtu"],
            mac=entry.get("address", ""),
        )
        for entry in ask_ip("link", "show")
    }


def sysctl(name: str) -> int | None:
    """The number below /proc/sys/net, such as ``ipv4/ip_nonlocal_bind``; None where this kernel has none."""
    try:
        return int((SYSCTL / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def strictest(name: str, link: str) -> int:
    """A switch of ``net.ipv4.conf`` that counts for ``link``: the larger one of its own and that of all."""
    return max(sysctl(f"ipv4/conf/{scope}/{name}") or 0 for scope in ("all", link))

"""Who the unicast peers of an instance are, seen from this host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.host import Host
    from app.settings.instance import InstanceSettings
    from app.settings.routes import IPAddress


@dataclass(frozen=True)
class Peering:
    """The other nodes, and the address to speak to them from.

    Nobody: multicast, because that was asked for or because this node is the only one that its list names.
    """

    source: IPAddress | None = None
    others: tuple[IPAddress, ...] = ()


def listed(asked: InstanceSettings, host: Host, version: int) -> tuple[IPAddress, ...]:
    """The addresses of one IP version that KA_UNICAST_PEERS comes to, this host's own among them, sorted."""
    found: set[IPAddress] = set()
    for peer in asked.peers.unicast_peers:
        found.update(host.names.get(peer, ()) if isinstance(peer, str) else (peer,))
    return tuple(sorted((address for address in found if address.version == version), key=int))


def source_of(asked: InstanceSettings, host: Host, version: int) -> IPAddress | None:
    """The address that this host's adverts come from: what was asked for, else its own entry in the list, else what the
    route to the peers chooses. None when it cannot speak to them."""
    if asked.peers.unicast_src_ip is not None and asked.peers.unicast_src_ip.version == version:
        return asked.peers.unicast_src_ip
    everyone = listed(asked, host, version)
    own = [address for address in everyone if address in host.own_addresses]
    return next(iter(own), None) or next((host.sources[peer] for peer in everyone if peer in host.sources), None)


def peering_of(asked: InstanceSettings, host: Host, version: int) -> Peering:
    """The peers over one IP version; this host's own addresses are not among them."""
    others = tuple(address for address in listed(asked, host, version) if address not in host.own_addresses)
    return Peering(source_of(asked, host, version), others) if others else Peering()

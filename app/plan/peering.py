"""Who the unicast peers of an instance are, seen from this host."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.contract.gates import JOINED, LISTED

if TYPE_CHECKING:
    from app.host.machine import Host
    from app.settings.instance import InstanceSettings
    from app.settings.routes import IPAddress

#: Where a unicast node sends its adverts besides, by IP version: groups for experiments (RFC 4727), which nobody
#: listens to and no router passes on. VRRP's own would disturb who speaks by multicast with the same VRID.
#:
#: The lease needs it, for what is sent to a peer that is dead leaves no link: the last node that lives would lose its
#: VIPs. And a node that has no peer now sends only there: keepalived takes no unicast instance without a peer, and when
#: one that was multicast becomes unicast it starts that one anew, so the first peer to come would cost the VIP. What
#: was sent to the loopback never left the machine, and a firewall that drops it there (Kubernetes has one) made
#: keepalived complain of every advert.
NOBODY: dict[int, IPAddress] = {4: ipaddress.IPv4Address("224.0.0.254"), 6: ipaddress.IPv6Address("ff02::114")}


@dataclass(frozen=True)
class Peering:
    """The other nodes, the address to speak to them from, and the gate that opens when this node may take part.

    Without ``receivers``: multicast.
    """

    source: IPAddress | None = None
    others: tuple[IPAddress, ...] = ()
    receivers: tuple[IPAddress, ...] = ()
    gate: str | None = None


def listed(asked: InstanceSettings, host: Host, version: int) -> tuple[IPAddress, ...]:
    """The addresses of one IP version that KA_UNICAST_PEERS comes to, this host's own among them, sorted.

    A VIP is none of them: a name may stand for it too, and it is another node's in a moment.
    """
    found: set[IPAddress] = set()
    for peer in asked.peers.unicast_peers:
        found.update(host.names.get(peer, ()) if isinstance(peer, str) else (peer,))
    found -= {vip.address for vip in (*asked.addresses.include, *asked.addresses.exclude)}
    return tuple(sorted((address for address in found if address.version == version), key=int))


def source_of(asked: InstanceSettings, host: Host, version: int) -> IPAddress | None:
    """The address that this host's adverts come from: what was asked for, else its own entry in the list, else what the
    route to the peers chooses. None when it cannot speak to them."""
    if asked.peers.unicast_src_ip is not None and asked.peers.unicast_src_ip.version == version:
        return asked.peers.unicast_src_ip
    everyone = listed(asked, host, version)
    own = [address for address in everyone if address in host.own_addresses]
    return next(iter(own), None) or next((host.sources[peer] for peer in everyone if peer in host.sources), None)


def peering_of(
    asked: InstanceSettings,
    host: Host,
    version: int,
    *,
    is_auto: bool,
    learned: tuple[IPAddress, ...] = (),
    has_lease: bool = False,
) -> Peering:
    """The peers over one IP version; this host's own addresses are not among them.

    ``is_auto``: the priority comes from the list, so this node must be on it. ``learned``: more peers, whose adverts
    were heard. ``has_lease``: adverts must leave this node also while no peer answers.
    """
    if not asked.peers.unicast_peers:
        return Peering()
    everyone = dict.fromkeys((*listed(asked, host, version), *learned))
    others = tuple(address for address in everyone if address not in host.own_addresses)
    # What all know by heart nobody has to learn first.
    is_known = any(peer in host.own_addresses for peer in asked.peers.unicast_peers if not isinstance(peer, str))
    has_names = any(isinstance(peer, str) for peer in asked.peers.unicast_peers)
    return Peering(
        source_of(asked, host, version),
        others,
        (NOBODY[version], *others) if has_lease or not others else others,
        (LISTED if is_auto else JOINED) if has_names and not is_known else None,
    )

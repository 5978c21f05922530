"""Adverts of other nodes, as they arrive: who sent a valid one, and for which instance.

The sockets are raw ones, which this process may not open: PID 1 hands them over (app.pid1.sockets).
"""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, NamedTuple

from app.contract.advert import PASSWORD, PASSWORD_LENGTH, UNROUTED, UNROUTED_IPV6, Packet, is_whole
from app.contract.peers_config import ADVERT_FDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from app.contract.peers_config import SpokenInstance

#: Bytes that are looked at: more than the adverts of a node with many VIPs have.
LARGEST = 4096

#: Adverts that are read before other work is done.
AT_ONCE = 64


class ValidAdvert(NamedTuple):
    """A valid advert for ``instance``; ``is_goodbye``: the master that sent it is going; ``is_near``: no router has
    passed it on, so its sender is on the link and not somebody who got to know the password elsewhere."""

    instance: SpokenInstance
    source: str
    is_goodbye: bool
    is_near: bool


def inherited() -> list[socket.socket]:
    """The sockets that PID 1 has handed over: one for each IP version that this machine has."""
    found = []
    for fd in ADVERT_FDS:
        try:
            listener = socket.socket(fileno=fd)
        except OSError:
            continue
        listener.setblocking(False)
        if listener.family == socket.AF_INET6:  # whose packets come without their header
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        found.append(listener)
    return found


def packets(listener: socket.socket) -> Iterator[Packet]:
    """What waits there, up to a limit."""
    for _ in range(AT_ONCE):
        try:
            taken, ancillary, _, sender = listener.recvmsg(LARGEST, socket.CMSG_SPACE(20) + socket.CMSG_SPACE(4))
        except OSError:  # nothing waits, or the link has gone
            return
        if listener.family == socket.AF_INET6:
            # in6_pktinfo begins with the address (ipv6(7)).
            to = next((data[:16] for _, kind, data in ancillary if kind == socket.IPV6_PKTINFO), b"")
            hops = next((data[:4] for _, kind, data in ancillary if kind == socket.IPV6_HOPLIMIT), b"")
            if len(to) == 16:
                destination = socket.inet_ntop(socket.AF_INET6, to)
                yield Packet(str(sender[0]), destination, taken, int.from_bytes(hops, sys.byteorder))
        elif len(taken) >= 20:
            source, destination = (socket.inet_ntoa(taken[start : start + 4]) for start in (12, 16))
            yield Packet(source, destination, taken[(taken[0] & 15) * 4 :], taken[8])


def heard(packet: Packet, instances: Iterable[SpokenInstance]) -> ValidAdvert | None:
    """The instance that keepalived takes this advert for; None when it would take it for none."""
    for instance in instances:
        if _is_of(packet, instance):
            is_near = packet.hops == UNROUTED or (instance.ip_version == 6 and packet.hops == UNROUTED_IPV6)
            return ValidAdvert(instance, packet.source, is_goodbye=packet.body[2] == 0, is_near=is_near)
    return None


def _is_of(packet: Packet, instance: SpokenInstance) -> bool:
    body, version = packet.body, instance.vrrp_version
    if len(body) < 8 or body[0] != version << 4 | 1 or body[1] != instance.vrid:
        return False
    if (":" in packet.source) != (instance.ip_version == 6) or packet.destination != instance.source:
        return False
    if version == 2:
        password = (instance.password or "").encode()
        ending = body[-PASSWORD_LENGTH:]
        if body[4] != (PASSWORD if password else 0) or (password and ending != password.ljust(PASSWORD_LENGTH, b"\0")):
            return False
    return is_whole(packet, with_addresses=version == 3)

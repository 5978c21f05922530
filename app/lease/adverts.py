"""This node's own adverts, as they leave it: packet sockets with a filter in the kernel (packet(7))."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

from app.contract.socket_filter import attach_filter

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The protocol's number, and what is read of a packet: the longer of the IP headers and the beginning of VRRP.
VRRP, ENOUGH = 112, 64

#: Adverts that are read before other work is done.
AT_ONCE = 64

#: Of linux/if_ether.h, linux/if_packet.h and asm-generic/socket.h, for which Python has no names.
ETH_P_ALL, PACKET_OUTGOING, SO_TIMESTAMPNS = 3, 4, 35

_TIME = struct.Struct("=qq")

#: Only VRRP that goes out, and no more of it than is read. Code, jump if true, jump if not, value: linux/filter.h.
_FILTER = (
    (0x28, 0, 0, 0xFFFFF004),  # the type of the packet
    (0x15, 0, 8, PACKET_OUTGOING),
    (0x28, 0, 0, 0xFFFFF000),  # its protocol
    (0x15, 0, 2, 0x0800),
    (0x30, 0, 0, 9),  # that of what is in IPv4
    (0x15, 3, 4, VRRP),
    (0x15, 0, 3, 0x86DD),
    (0x30, 0, 0, 6),  # and in IPv6
    (0x15, 0, 1, VRRP),
    (0x06, 0, 0, ENOUGH),
    (0x06, 0, 0, 0),
)


class OwnAdvert(NamedTuple):
    """An advert that has left; ``age``: how many seconds ago. ``source`` are the bytes of its address; ``priority`` is
    0 when the master is going."""

    ip_version: int
    source: bytes
    vrid: int
    priority: int
    age: float


def listen(link: str) -> socket.socket:
    """A socket that has the adverts which leave by ``link``. Raises OSError."""
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        attach_filter(heard, _FILTER)
        heard.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        # Its protocol comes last: nothing is received that the filter has not seen. Of one link, for every packet of
        # what is listened to is copied by the kernel before the filter sees it.
        heard.bind((link, ETH_P_ALL))
    except OSError:
        heard.close()
        raise
    return heard


def adverts(heard: socket.socket) -> Iterator[OwnAdvert]:
    """What waits there, up to a limit."""
    for _ in range(AT_ONCE):
        try:
            packet, ancillary, _, _ = heard.recvmsg(ENOUGH, socket.CMSG_SPACE(_TIME.size))
        except OSError:  # nothing waits, or the link is down
            return
        advert = parse(packet, _age(ancillary))
        if advert:
            yield advert


def _age(ancillary: list[tuple[int, int, bytes]]) -> float:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIME.unpack(data[: _TIME.size])
            # A clock that was put back meanwhile says nothing: then it is just now.
            age: float = time.time() - seconds - nanoseconds / 1e9
            return max(0.0, age)
    return 0.0


def parse(packet: bytes, age: float = 0.0) -> OwnAdvert | None:
    """The advert in an IP packet; None when it is none."""
    version = packet[0] >> 4 if packet else 0
    start = (packet[0] & 15) * 4 if version == 4 else 40
    if len(packet) < start + 3 or packet[start] & 15 != 1:
        return None
    source = packet[12:16] if version == 4 else packet[8:24]
    return OwnAdvert(version, source, packet[start + 1], packet[start + 2], age)

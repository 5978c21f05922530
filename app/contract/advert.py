"""An advert of VRRP taken apart, as it arrives (RFC 3768 §5, RFC 5798 §5)."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

#: The protocol's number, which a checksum is also made of.
VRRP = 112

#: The hops left to a packet that no router has passed on (RFC 5798, 5.1.1.3, 5.1.2.3), and what keepalived 2.2.7 gives
#: its unicast adverts over IPv6 instead.
UNROUTED, UNROUTED_IPV6 = 255, 64

#: The group that adverts go to, by IP version.
GROUPS = {4: "224.0.0.18", 6: "ff02::12"}

#: The type of authentication that is a password, which ends the advert (RFC 2338 §5.3.6.1), and its bytes.
PASSWORD, PASSWORD_LENGTH = 1, 8


class Packet(NamedTuple):
    """What came in: two addresses, VRRP without the IP header, and the hops that were left to it."""

    source: str
    destination: str
    body: bytes
    hops: int


class ParsedAdvert(NamedTuple):
    """What an advert says. ``interval`` in seconds; ``password`` is what version 2 carries, None when it has none."""

    source: str
    destination: str
    version: int
    vrid: int
    priority: int
    interval: float
    password: bytes | None
    addresses: tuple[str, ...]


def packet_of(data: bytes) -> Packet | None:
    """VRRP in an IP packet, which begins with its header; None when it holds something else."""
    if len(data) >= 20 and data[0] >> 4 == 4 and data[9] == VRRP:
        # What a link adds to make a frame long enough is none of the packet's.
        end = int.from_bytes(data[2:4], "big")
        body = data[(data[0] & 15) * 4 : end]
        return Packet(socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20]), body, data[8])
    if len(data) >= 40 and data[0] >> 4 == 6 and data[6] == VRRP:
        source, destination = (socket.inet_ntop(socket.AF_INET6, data[start : start + 16]) for start in (8, 24))
        return Packet(source, destination, data[40 : 40 + int.from_bytes(data[4:6], "big")], data[7])
    return None


def parsed(packet: Packet) -> ParsedAdvert | None:
    """What a whole advert says; None for what is none."""
    body = packet.body
    if len(body) < 8 or body[0] & 15 != 1 or body[0] >> 4 not in {2, 3}:
        return None
    version, vrid, priority, count = body[0] >> 4, *body[1:4]
    family, length = (socket.AF_INET6, 16) if ":" in packet.source else (socket.AF_INET, 4)
    end = 8 + count * length
    if len(body) < end or not is_whole(packet, with_addresses=version == 3):
        return None
    is_protected = version == 2 and body[4] == PASSWORD
    return ParsedAdvert(
        packet.source,
        packet.destination,
        version,
        vrid,
        priority,
        # Version 2: the type of authentication, then whole seconds; version 3: twelve bits of hundredths.
        float(body[5]) if version == 2 else (int.from_bytes(body[4:6], "big") & 0xFFF) / 100,
        body[end : end + PASSWORD_LENGTH] if is_protected else None,
        tuple(socket.inet_ntop(family, body[start : start + length]) for start in range(8, end, length)),
    )


def is_whole(packet: Packet, *, with_addresses: bool) -> bool:
    """Whether the checksum is right: version 3's is also of the addresses, but not everybody's over IPv4."""
    if checksum(packet.body) == 0:
        return True
    return with_addresses and checksum(_ends(packet) + packet.body) == 0


def unheeded(source: str, destination: str, version: int) -> bytes:
    """An advert that no router takes for its own, for VRID 0 is nobody's; to see whether adverts get through."""
    body = struct.pack("!BBBBHH", version << 4 | 1, 0, 0, 0, 1, 0) + bytes(PASSWORD_LENGTH * (version == 2))
    ends = _ends(Packet(source, destination, body, UNROUTED)) if ":" in destination else b""
    return body[:6] + struct.pack("!H", checksum(ends + body)) + body[8:]


def _ends(packet: Packet) -> bytes:
    """The pseudo header (RFC 2460 §8.1)."""
    family = socket.AF_INET6 if ":" in packet.source else socket.AF_INET
    ends = b"".join(socket.inet_pton(family, address) for address in packet[:2])
    return ends + struct.pack("!II", len(packet.body), VRRP)


def checksum(data: bytes) -> int:
    """The internet's checksum (RFC 1071), which is 0 of data that has its checksum in it."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total

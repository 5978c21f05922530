"""Who has an address on a link: questions and answers of ARP (RFC 5227) and of ND (RFC 4861 §4.3, §4.4); pure."""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

from app.contract.advert import checksum

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 = 0x0800, 0x0806, 0x86DD

_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET, _REQUEST, _REPLY = 1, 1, 2
_ICMPV6, _SOLICITATION, _ADVERTISEMENT, _TARGET_MAC = 58, 135, 136, 2
_EVERYBODY, _HOPS = b"\xff" * 6, 255


class Question(NamedTuple):
    """What goes on the wire, without its Ethernet header."""

    protocol: int
    to: bytes
    payload: bytes


class NeighbourAnswer(NamedTuple):
    """A machine that says that it has ``address``."""

    address: IPAddress
    mac: str


def question(address: IPAddress, own_mac: bytes) -> Question:
    """Who has it? It comes from no address, so nobody learns a wrong one by it: the probe before an address is used."""
    if isinstance(address, ipaddress.IPv4Address):
        body = _ARP.pack(_ETHERNET, ETH_P_IP, 6, 4, _REQUEST, own_mac, bytes(4), bytes(6), address.packed)
        return Question(ETH_P_ARP, _EVERYBODY, body)
    group = ipaddress.IPv6Address(int(ipaddress.IPv6Address("ff02::1:ff00:0")) | int(address) & 0xFFFFFF)
    body = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + address.packed
    pseudo = bytes(16) + group.packed + struct.pack("!II", len(body), _ICMPV6)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), _ICMPV6, _HOPS) + bytes(16) + group.packed
    return Question(ETH_P_IPV6, b"\x33\x33" + group.packed[-4:], header + body)


def answer(protocol: int, payload: bytes, sender: bytes) -> NeighbourAnswer | None:
    """What a packet of the link says of who has an address; ``sender`` is the MAC that it came from."""
    if protocol == ETH_P_ARP and len(payload) >= _ARP.size:
        *_, kind, mac, address, _, _ = _ARP.unpack(payload[: _ARP.size])
        # A probe has no sender's address, and an announcement is as good as a reply.
        if kind in {_REQUEST, _REPLY} and any(address):
            return NeighbourAnswer(ipaddress.IPv4Address(address), written(mac))
    elif protocol == ETH_P_IPV6 and len(payload) >= 64 and payload[6] == _ICMPV6 and payload[40] == _ADVERTISEMENT:
        options = payload[64:72]
        mac = options[2:8] if options[:1] == bytes([_TARGET_MAC]) else sender
        return NeighbourAnswer(ipaddress.IPv6Address(payload[48:64]), written(mac))
    return None


def written(mac: bytes) -> str:
    """A MAC as people write it."""
    return mac.hex(":")


def packed(mac: str) -> bytes:
    """The bytes of a MAC; six zeros for a link that has none."""
    return bytes.fromhex(mac.replace(":", "")).ljust(6, b"\0")[:6]

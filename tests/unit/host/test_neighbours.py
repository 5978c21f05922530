"""Questions and answers of ARP and ND, byte for byte as the documents have them."""

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest

from app.contract.advert import checksum
from app.host.neighbours import ETH_P_ARP, ETH_P_IPV6, NeighbourAnswer, answer, packed, question, written

OWN, THEIRS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
VIP, VIP6 = ipaddress.IPv4Address("203.0.113.10"), ipaddress.IPv6Address("2001:db8::abcd:1234")


def test_arp_asks_without_an_address_of_its_own() -> None:
    """The probe of RFC 5227 §2.1.1: nobody learns an address by it."""
    asked = question(VIP, OWN)
    assert (asked.protocol, asked.to) == (ETH_P_ARP, b"\xff" * 6)
    assert asked.payload.hex() == "0001080006040001" + OWN.hex() + "00000000" + "000000000000" + "cb00710a"


def test_nd_asks_the_group_of_the_address() -> None:
    """RFC 4861 §4.3 and RFC 4862 §5.4.2: from no address, to the solicited-node group, with 255 hops."""
    asked = question(VIP6, OWN)
    assert (asked.protocol, asked.to.hex()) == (ETH_P_IPV6, "3333ffcd1234")
    header, body = asked.payload[:40], asked.payload[40:]
    group = socket.inet_pton(socket.AF_INET6, "ff02::1:ffcd:1234")
    assert header == bytes.fromhex("60000000" + "0018" + "3a" + "ff") + bytes(16) + group
    assert (body[:2], body[8:]) == (b"\x87\0", VIP6.packed)
    assert checksum(header[8:] + struct.pack("!II", len(body), 58) + body) == 0


def arp(kind: int, sender: str) -> bytes:
    """A packet of THEIRS."""
    return struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, kind, THEIRS, socket.inet_aton(sender), OWN, bytes(4))


@pytest.mark.parametrize("kind", [1, 2])
def test_arp_answers_and_announcements_tell_who_has_it(kind: int) -> None:
    assert answer(ETH_P_ARP, arp(kind, str(VIP)) + bytes(18), OWN) == NeighbourAnswer(VIP, written(THEIRS))


def test_another_ones_probe_tells_nothing() -> None:
    assert answer(ETH_P_ARP, arp(1, "0.0.0.0"), OWN) is None
    assert answer(ETH_P_ARP, arp(2, str(VIP))[:20], OWN) is None


@pytest.mark.parametrize("with_option", [True, False])
def test_nd_answers_tell_who_has_it(*, with_option: bool) -> None:
    body = b"\x88" + bytes(7) + VIP6.packed + (b"\x02\x01" + THEIRS if with_option else b"")
    header = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + bytes(32)
    assert answer(ETH_P_IPV6, header + body, THEIRS) == NeighbourAnswer(VIP6, written(THEIRS))


def test_macs() -> None:
    assert packed(written(OWN)) == OWN
    assert packed("") == bytes(6)

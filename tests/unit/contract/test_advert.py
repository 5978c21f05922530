"""Adverts taken apart: what both versions say, over both families, and what is no advert."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.advert import UNROUTED, VRRP, Packet, ParsedAdvert, checksum, packet_of, parsed, unheeded

HERE, THERE, VIPS = "203.0.113.11", "203.0.113.12", ("203.0.113.10", "203.0.113.20")
THERE6, GROUP6, VIP6 = "fe80::2", "ff02::12", "2001:db8::10"


def version_2(password: bytes | None = None) -> bytes:
    """One with two VIPs."""
    head = struct.pack("!BBBBBB", 2 << 4 | 1, 51, 100, len(VIPS), int(password is not None), 3)
    tail = b"".join(map(socket.inet_aton, VIPS)) + (password or b"").ljust(8, b"\0")
    return head + struct.pack("!H", checksum(head + bytes(2) + tail)) + tail


def ip(body: bytes) -> bytes:
    """In its IPv4 packet, and with what fills a short frame up."""
    header = struct.pack("!BBHIBBH", 0x45, 0, 20 + len(body), 0, 255, VRRP, 0)
    return header + socket.inet_aton(THERE) + socket.inet_aton(HERE) + body + bytes(10)


def test_version_2() -> None:
    packet = packet_of(ip(version_2()))
    assert packet is not None
    assert parsed(packet) == ParsedAdvert(THERE, HERE, 2, 51, 100, 3.0, None, VIPS)
    packet = packet_of(ip(version_2(b"secret")))
    assert packet is not None
    assert parsed(packet) == ParsedAdvert(THERE, HERE, 2, 51, 100, 3.0, b"secret\0\0", VIPS)


def test_version_3_over_ipv6() -> None:
    head = struct.pack("!BBBBH", 3 << 4 | 1, 7, 254, 1, 25)
    tail = socket.inet_pton(socket.AF_INET6, VIP6)
    ends = socket.inet_pton(socket.AF_INET6, THERE6) + socket.inet_pton(socket.AF_INET6, GROUP6)
    whole = ends + struct.pack("!II", 24, VRRP) + head + bytes(2) + tail
    body = head + struct.pack("!H", checksum(whole)) + tail
    header = struct.pack("!IHBB", 6 << 28, len(body), VRRP, 255) + ends
    packet = packet_of(header + body)
    assert packet is not None
    assert parsed(packet) == ParsedAdvert(THERE6, GROUP6, 3, 7, 254, 0.25, None, (VIP6,))


@pytest.mark.parametrize(
    ("version", "source", "to"), [(2, HERE, "224.0.0.18"), (3, HERE, "224.0.0.18"), (3, THERE6, GROUP6)]
)
def test_an_advert_that_nobody_heeds_is_whole_and_nobodys(version: int, source: str, to: str) -> None:
    said = parsed(Packet(source, to, unheeded(source, to, version), UNROUTED))
    assert said is not None
    assert (said.vrid, said.priority, said.addresses, said.password) == (0, 0, (), None)


def test_what_is_cut_or_spoilt_is_none() -> None:
    body = version_2(b"secret12")
    for length in range(len(body)):
        assert parsed(Packet(THERE, HERE, body[:length], UNROUTED)) is None
    assert parsed(Packet(THERE, HERE, body[:2] + b"\x01" + body[3:], UNROUTED)) is None


@given(st.binary(max_size=80))
def test_anything_may_come_in(data: bytes) -> None:
    packet = packet_of(data)
    if packet is not None:
        parsed(packet)

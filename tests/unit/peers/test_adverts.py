"""Which adverts count: those that keepalived itself would take for one of its instances."""

from __future__ import annotations

import socket
import struct

import pytest

from app.contract.advert import UNROUTED, UNROUTED_IPV6, VRRP, Packet
from app.contract.peers_config import SpokenInstance
from app.peers.adverts import ValidAdvert, heard

HERE, THERE, VIP = "203.0.113.11", "203.0.113.12", "203.0.113.10"
HERE6, THERE6, VIP6 = "2001:db8::11", "2001:db8::12", "2001:db8::10"
TWO = SpokenInstance("two", 4, 2, 51, 1.0, "secret", HERE, ())
PLAIN = TWO._replace(name="plain", vrid=52, password=None)
THREE = TWO._replace(name="three", vrrp_version=3, vrid=53, password=None)
SIX = SpokenInstance("six", 6, 3, 51, 0.1, None, HERE6, ())
ALL = (TWO, PLAIN, THREE, SIX)


def checksum(data: bytes) -> int:
    """As RFC 1071 has it, by another way than the code's."""
    total = sum(data[0::2]) * 256 + sum(data[1::2])
    return 0xFFFF - (total % 0xFFFF or 0xFFFF)


def packet(its: SpokenInstance, *, priority: int = 100, pseudo: bool = True, spoil: int | None = None) -> Packet:
    """The advert of such an instance on another node; the byte ``spoil`` of it is changed after the checksum was."""
    family, source, vip = (socket.AF_INET, THERE, VIP) if its.ip_version == 4 else (socket.AF_INET6, THERE6, VIP6)
    head = struct.pack("!BBBB", its.vrrp_version << 4 | 1, its.vrid, priority, 1)
    tail = socket.inet_pton(family, vip)
    if its.vrrp_version == 2:
        middle = bytes([int(its.password is not None), 1])
        tail += (its.password or "").encode().ljust(8, b"\0")
    else:
        middle = struct.pack("!H", round(its.interval * 100))
    covered = head + middle + b"\0\0" + tail
    destination = its.source or ""
    if its.vrrp_version == 3 and pseudo:
        ends = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
        covered = ends + struct.pack("!II", len(covered), VRRP) + covered
    body = bytearray(head + middle + struct.pack("!H", checksum(covered)) + tail)
    if spoil is not None:
        body[spoil] ^= 1
    return Packet(source, destination, bytes(body), UNROUTED)


@pytest.mark.parametrize("its", ALL, ids=lambda its: its.name)
def test_a_good_one_is_of_its_instance(its: SpokenInstance) -> None:
    there = THERE if its.ip_version == 4 else THERE6
    assert heard(packet(its), ALL) == ValidAdvert(its, there, is_goodbye=False, is_near=True)
    found = heard(packet(its, priority=0), ALL)
    assert found is not None
    assert found.is_goodbye


@pytest.mark.parametrize(
    ("its", "hops", "is_near"),
    [(TWO, 254, False), (TWO, UNROUTED_IPV6, False), (SIX, UNROUTED_IPV6, True), (SIX, 254, False), (SIX, 63, False)],
)
def test_one_that_a_router_has_passed_on_is_heard_but_not_near(its: SpokenInstance, hops: int, is_near: bool) -> None:
    found = heard(packet(its)._replace(hops=hops), ALL)
    assert found is not None
    assert found.is_near == is_near


def test_version_3_without_the_addresses_in_its_checksum() -> None:
    assert heard(packet(THREE, pseudo=False), ALL) is not None


@pytest.mark.parametrize("its", ALL, ids=lambda its: its.name)
def test_any_wrong_bit(its: SpokenInstance) -> None:
    for place in range(len(packet(its).body)):
        assert heard(packet(its, spoil=place), ALL) is None, place


@pytest.mark.parametrize(
    "other",
    [
        TWO._replace(password="Secret"),
        TWO._replace(password=None),
        TWO._replace(vrid=50),
        TWO._replace(vrrp_version=3),
        TWO._replace(source="203.0.113.99"),
        PLAIN._replace(password="secret"),
        SIX._replace(source=None),
        SIX._replace(ip_version=4, source=HERE),
    ],
)
def test_one_of_another_instance(other: SpokenInstance) -> None:
    mine = next(its for its in ALL if its.ip_version == other.ip_version or its.source != other.source)
    assert heard(packet(PLAIN if other.vrid == 52 else mine if other.source != HERE else TWO), [other]) is None


def test_what_is_cut_off() -> None:
    good = packet(TWO)
    for length in range(len(good.body)):
        assert heard(good._replace(body=good.body[:length]), ALL) is None

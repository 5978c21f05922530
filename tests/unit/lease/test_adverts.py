"""What is taken for an advert of this node's."""

from __future__ import annotations

import pytest

from app.lease.adverts import OwnAdvert, parse

#: Version 2, VRID 51, priority 254; then what the lease does not look at.
BODY = bytes([0x21, 51, 254, 1, 0, 1, 0, 0])
IPV4 = bytes([0x45, *range(1, 12), 203, 0, 113, 11, 224, 0, 0, 18])
IPV6 = bytes([0x60, *range(1, 8), *range(16), *range(16)])


def test_ipv4() -> None:
    assert parse(IPV4 + BODY, 0.5) == OwnAdvert(4, bytes([203, 0, 113, 11]), 51, 254, 0.5)


def test_options_of_ipv4_are_passed_over() -> None:
    assert parse(bytes([0x46]) + IPV4[1:] + bytes(4) + BODY) == OwnAdvert(4, bytes([203, 0, 113, 11]), 51, 254, 0.0)


def test_ipv6() -> None:
    assert parse(IPV6 + bytes([0x31, 7, 0]) + BODY[3:]) == OwnAdvert(6, bytes(range(16)), 7, 0, 0.0)


@pytest.mark.parametrize("packet", [b"", b"\x45", IPV4, IPV4 + b"\x21\x33", IPV4 + b"\x22" + BODY[1:], IPV6 + b"\x31"])
def test_what_is_none(packet: bytes) -> None:
    assert parse(packet) is None

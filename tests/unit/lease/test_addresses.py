"""Lifetimes in a kernel: a renewal adds nothing, and takes nothing from an address but its time."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from app.lease.addresses import FOR_EVER, KEEPALIVED_PROTOCOL, AddressTable, HeldHere, Key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.conftest import Network

VIPS = {"203.0.113.60": 24, "203.0.113.61": 32, "2001:db8::60": 64, "2001:db8::61": 128}


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def key(vip: str) -> Key:
    family = socket.AF_INET6 if ":" in vip else socket.AF_INET
    return family, socket.if_nametoindex("eth0"), socket.inet_pton(family, vip)


def add(vip: str) -> None:
    """As keepalived does."""
    more = ["nodad"] if ":" in vip else []
    more += ["preferred_lft", "0"] if VIPS[vip] == 128 else []
    ip("address", "add", f"{vip}/{VIPS[vip]}", "dev", "eth0", *more)


@pytest.fixture
def table(network: Network) -> Iterator[AddressTable]:
    """With the VIPs, of which the kernel has told."""

    def made() -> AddressTable:
        table = AddressTable()
        for vip in VIPS:
            add(vip)
        table.load()
        return table

    def remove() -> None:
        for vip, prefix in VIPS.items():
            subprocess.run(["ip", "address", "del", f"{vip}/{prefix}", "dev", "eth0"], check=False, capture_output=True)

    table = network.call(made)
    yield table
    network.call(remove)
    table.close()


@pytest.mark.parametrize("vip", VIPS)
def test_a_lifetime_is_all_that_changes(network: Network, table: AddressTable, vip: str) -> None:
    def once() -> tuple[dict[str, Any], HeldHere]:
        table.set_lifetimes([(key(vip), 100, True)])
        table.told()
        (link,) = json.loads(ip("-json", "address", "show", "dev", "eth0"))
        (info,) = [info for info in link["addr_info"] if info.get("local") == vip]
        return info, table.entries[key(vip)]

    info, entry = network.call(once)
    assert 90 < info["valid_life_time"] <= 100
    assert info["preferred_life_time"] == (0 if VIPS[vip] == 128 else info["valid_life_time"])
    assert info["prefixlen"] == VIPS[vip]
    assert ":" not in vip or info["nodad"]
    assert (entry.is_leased, entry.protocol) == (True, KEEPALIVED_PROTOCOL)


@pytest.mark.parametrize("vip", VIPS)
def test_for_ever(network: Network, table: AddressTable, vip: str) -> None:
    def once() -> HeldHere:
        table.set_lifetimes([(key(vip), 100, False)])
        table.set_lifetimes([(key(vip), FOR_EVER, False)])
        table.told()
        return table.entries[key(vip)]

    assert not network.call(once).has_lifetime


@pytest.mark.parametrize("vip", VIPS)
def test_a_renewal_adds_nothing(network: Network, table: AddressTable, vip: str) -> None:
    """keepalived may have given the address up a moment ago: the table does not know it yet."""

    def once() -> list[Any]:
        ip("address", "del", f"{vip}/{VIPS[vip]}", "dev", "eth0")
        table.set_lifetimes([(key(vip), 100, True)])
        (link,) = json.loads(ip("-json", "address", "show", "dev", "eth0"))
        return [info["local"] for info in link["addr_info"]]

    assert vip not in network.call(once)


def test_what_comes_and_goes_is_told(network: Network, table: AddressTable) -> None:
    vip = "203.0.113.60"

    def once() -> tuple[bool, bool, tuple[Key, ...]]:
        ip("address", "del", f"{vip}/24", "dev", "eth0")
        table.told()
        gone = key(vip) not in table.entries and socket.inet_aton(vip) not in table.local
        add(vip)
        # A link that is new tells of its IPv6 address a second time, when it is sure of it.
        told = tuple(its for its in table.told().addresses if its[0] == socket.AF_INET)
        return gone, socket.inet_aton(vip) in table.local, told

    gone, is_back, told = network.call(once)
    assert (gone, is_back, told) == (True, True, (network.call(lambda: key(vip)),))


def test_what_is_not_let_is_said(network: Network, table: AddressTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container without NET_ADMIN."""
    refusal = (
        (36).to_bytes(4, "little") + (2).to_bytes(2, "little") + bytes(10) + (-1).to_bytes(4, "little", signed=True)
    )
    vip = network.call(lambda: key("203.0.113.60"))
    with monkeypatch.context() as patch:
        patch.setattr(table, "_asking", _Refusing([refusal + bytes(16)]))
        with pytest.raises(OSError, match="does not let"):
            table.set_lifetimes([(vip, 2, False)])


class _Refusing:
    """A kernel that refuses: as root nothing is refused."""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = answers

    def send(self, data: bytes) -> int:
        return len(data)

    def recv(self, _size: int) -> bytes:
        if not self._answers:
            raise BlockingIOError
        return self._answers.pop()

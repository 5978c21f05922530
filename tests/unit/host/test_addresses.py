"""What `ip -json address` says of links and addresses."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING

from app.host import addresses
from app.host.addresses import Held, Link

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.unit.conftest import Network

#: As `ip -Numeric -json address show` of iproute2 6.15 has it; what it does not say of an address is not set.
SHOWN = [
    {
        "ifname": "lo",
        "flags": ["LOOPBACK", "UP"],
        "addr_info": [{"family": "inet6", "local": "2001:db8::11", "prefixlen": 64, "protocol": "0x12"}],
    },
    {
        "ifname": "eth0",
        "flags": ["BROADCAST"],
        "addr_info": [
            {"family": "inet", "local": "203.0.113.7", "prefixlen": 24, "scope": "0", "valid_life_time": 3600},
            {"family": "inet", "local": "203.0.113.11", "prefixlen": 24, "valid_life_time": 4294967295},
            {"family": "inet", "local": "203.0.113.12", "prefixlen": 24, "broadcast": "203.0.113.255"},
            {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "protocol": "0x3", "scope": "253"},
            {"family": "inet6", "local": "2001:db8::12", "prefixlen": 64, "nodad": True},
        ],
    },
    {},
    {"ifname": "eth1", "addr_info": [{}]},
    {"ifname": "eth2"},
]


def test_what_ip_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in = tmp_path / "ip"
    stand_in.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(SHOWN)}\nEND\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    leased = Held(ip_address("203.0.113.7"), 24, "eth0")
    marked = Held(ip_address("2001:db8::11"), 64, "lo", is_marked=True)
    found = addresses.links()
    assert found == (
        Link("lo", is_loopback=True, addresses=(marked,)),
        Link(
            "eth0",
            is_loopback=False,
            addresses=(
                leased,
                Held(ip_address("203.0.113.11"), 24, "eth0"),
                Held(ip_address("203.0.113.12"), 24, "eth0"),
                Held(ip_address("fe80::1"), 64, "eth0"),
                Held(ip_address("2001:db8::12"), 64, "eth0"),
            ),
        ),
        Link("eth1", is_loopback=False),
        Link("eth2", is_loopback=False),
    )
    assert [held.scope for held in found[1].addresses] == [0, 0, 0, 253, 0]
    assert [held.is_configured for held in found[1].addresses] == [True, False, True, True, False]


def test_what_ip_does_not_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in = tmp_path / "ip"
    stand_in.write_text("#!/bin/sh\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert addresses.held_addresses() == []


def test_this_kernel(network: Network) -> None:
    here = network.call(addresses.held_addresses)
    assert Held(ip_address("203.0.113.11"), 24, "eth0") in here
    assert {held.scope for held in here if held.link == "lo"} <= {254}

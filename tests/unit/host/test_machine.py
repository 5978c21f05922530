"""What this machine is, asked of the real one."""

from __future__ import annotations

import ipaddress
import os
import pwd
import socket
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.contract.errors import ConfigError
from app.host import machine
from app.host.addresses import Held
from tests.unit.machine import HOST, link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.conftest import Network


def test_this_machine() -> None:
    found = machine.observe()
    loopback = found.link("lo")
    assert loopback is not None
    assert loopback.is_loopback
    assert {link.name for link in found.links} == {name for _, name in socket.if_nameindex()}
    assert found.name == socket.gethostname()
    assert set(found.default_links) <= {4, 6}
    own = pwd.getpwuid(os.getuid())
    assert found.accounts[own.pw_name] == machine.Account(own.pw_name, own.pw_uid, own.pw_gid)


def test_another_network(network: Network) -> None:
    found = network.call(machine.observe)
    assert {link.name for link in found.links} == {"lo", "eth0", "eth1"}
    eth0 = found.link("eth0")
    assert eth0 is not None
    assert not eth0.is_loopback
    assert Held(ipaddress.ip_address("203.0.113.11"), 24, "eth0") in eth0.addresses
    assert found.default_links[4] == "eth0"
    assert found.link("eth9") is None


VIP, VIP6 = ipaddress.ip_address("203.0.113.10"), ipaddress.ip_address("2001:db8::10")
PEER, PEER6 = ipaddress.ip_address("203.0.113.12"), ipaddress.ip_address("2001:db8::12")


class TestWhatMoves:
    """VIPs that are here are no facts of this machine, but for those that are its own."""

    @pytest.fixture
    def ip(self, network: Network) -> Iterator[Callable[..., None]]:
        """Runs ``ip`` for each line; what these add is taken away at the end."""

        def run(*lines: str) -> None:
            text = "".join(f"{line}\n" for line in lines)
            network.call(lambda: subprocess.run(["ip", "-batch", "-"], input=text, text=True, check=True))

        run(f"address add {VIP}/24 dev eth0", f"address add {VIP6}/64 dev eth0 nodad")
        yield run
        run(f"address del {VIP}/24 dev eth0", f"address del {VIP6}/64 dev eth0")

    @pytest.mark.usefixtures("ip")
    def test_is_in_no_fact(self, network: Network) -> None:
        found = network.call(lambda: machine.observe([PEER, PEER6], {}, [VIP, VIP6]))
        assert {held.address for held in found.moving} == {VIP, VIP6}
        assert not found.own_addresses & {VIP, VIP6}
        assert {str(source) for source in found.sources.values()} == {"203.0.113.11", "2001:db8::11"}
        assert not any(found.is_own(held, "eth0") for held in found.moving)

    def test_what_routes_rest_on_is_its_own(self, network: Network, ip: Callable[..., None]) -> None:
        ip(f"route add 192.0.2.0/24 via 203.0.113.1 dev eth0 src {VIP}")
        found = network.call(lambda: machine.observe((), {}, [VIP]))
        assert found.leaned_on == {VIP}
        (held,) = found.moving
        assert found.is_own(held, None)
        assert not replace(found, ours=frozenset({held.place})).is_own(held, None)
        assert not found.is_own(replace(held, is_marked=True), None)
        ip("route del 192.0.2.0/24")

    def test_what_somebody_else_configured_is_its_own_whoever_put_it_there_before(self) -> None:
        held = Held(VIP, 24, "eth0", is_configured=True)
        assert replace(HOST, moving=(held,), ours=frozenset({held.place})).is_own(held, None)

    def test_the_only_address_to_speak_from_is_its_own(self) -> None:
        alone = replace(HOST, links=(link("eth0", "2001:db8::11/64"),))
        assert alone.is_own(Held(VIP, 24, "eth0"), "eth0")
        assert not alone.is_own(Held(VIP, 24, "eth0"), "eth1")
        assert not alone.is_own(Held(VIP6, 64, "eth0"), "eth0")
        assert not HOST.is_own(Held(VIP, 24, "eth0"), "eth0")


def test_without_iproute2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"^ip: is not installed; install the package iproute2$"):
        machine.observe()


def test_an_ip_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in = tmp_path / "ip"
    stand_in.write_text("#!/bin/sh\necho 'Cannot open netlink socket: Operation not permitted' >&2\nexit 1\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ConfigError) as caught:
        machine.observe()
    assert str(caught.value) == (
        "ip: cannot say what this machine has: Cannot open netlink socket: Operation not permitted"
    )


def test_missing_capabilities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    status = tmp_path / "status"
    # As docker run gives them with --cap-drop ALL --cap-add NET_ADMIN --cap-add SETUID.
    status.write_text("Name:\tka\nCapPrm:\t0000000000001080\nCapEff:\t0000000000001080\n")
    monkeypatch.setattr(machine, "Path", lambda _: status)
    assert [name for name, *_ in machine.missing_capabilities()] == ["CHOWN", "KILL", "NET_RAW", "SETGID"]

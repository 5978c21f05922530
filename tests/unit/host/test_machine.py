"""What this machine is, asked of the real one."""

from __future__ import annotations

import ipaddress
import os
import pwd
import socket
from typing import TYPE_CHECKING

import pytest

from app.contract.errors import ConfigError
from app.host import machine
from app.host.addresses import Held

if TYPE_CHECKING:
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

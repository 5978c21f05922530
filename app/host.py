"""Facts of this machine: links, addresses, default routes, names, accounts. The only place that asks the kernel."""

from __future__ import annotations

import ipaddress
import json
import pwd
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import ConfigError, Problem

IPInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

#: Bits of the capability sets, from linux/capability.h.
CAPABILITIES = {"CHOWN": 0, "KILL": 5, "SETGID": 6, "SETUID": 7, "NET_BROADCAST": 11, "NET_ADMIN": 12, "NET_RAW": 13}


@dataclass(frozen=True)
class Link:
    """A network link and the addresses it has now."""

    name: str
    is_loopback: bool
    addresses: tuple[IPInterface, ...] = ()


@dataclass(frozen=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Host:
    """What this machine is. ``default_links``: the link of the default route, by IP version."""

    name: str
    links: tuple[Link, ...]
    default_links: dict[int, str]
    accounts: dict[str, Account]

    def link(self, name: str) -> Link | None:
        """The link of that name."""
        return next((link for link in self.links if link.name == name), None)


def observe() -> Host:
    """Asks the machine. Raises ConfigError when iproute2 is not there."""
    shown = _ip("address", "show")
    links = tuple(
        Link(
            name=entry["ifname"],
            is_loopback="LOOPBACK" in entry["flags"],
            addresses=tuple(
                ipaddress.ip_interface(f"{info['local']}/{info['prefixlen']}")
                for info in entry.get("addr_info", ())
                if "local" in info
            ),
        )
        for entry in shown
        if "ifname" in entry
    )
    default_links = {
        version: routes[0]["dev"]
        for version in (4, 6)
        if (routes := [route for route in _ip(f"-{version}", "route", "show", "default") if "dev" in route])
    }
    accounts = {entry.pw_name: Account(entry.pw_name, entry.pw_uid, entry.pw_gid) for entry in pwd.getpwall()}
    return Host(socket.gethostname(), links, default_links, accounts)


def missing_capabilities(needed: tuple[str, ...]) -> list[str]:
    """Which of the ``needed`` capabilities (names as in CAPABILITIES) this process does not have."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    return [name for name in needed if not effective >> CAPABILITIES[name] & 1]


def _ip(*arguments: str) -> list[dict[str, Any]]:
    """What ``ip -json`` says."""
    try:
        done = subprocess.run(["ip", "-json", *arguments], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise ConfigError(Problem("ip", "is not installed; install the package iproute2")) from None
    except subprocess.CalledProcessError as error:
        raise ConfigError(Problem("ip", f"cannot say what this machine has: {error.stderr.strip()}")) from None
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found

"""Facts of this machine: links, default routes, names, accounts, capabilities; files for who asks."""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import os
import pwd
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.contract.capabilities import CAPABILITIES, Capability
from app.contract.errors import ConfigError, Problem
from app.host.addresses import Link, ask_ip, links
from app.host.files import Files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Host:
    """What this machine is.

    ``default_links``: the link of the default route, by IP version. ``names``: the addresses of the DNS names that were
    asked for; one that has none is not in it. ``sources``: the address that this host speaks to another one from.
    ``files``: asked when they are needed, for only the settings say which.
    """

    name: str
    links: tuple[Link, ...]
    default_links: dict[int, str]
    accounts: dict[str, Account]
    names: dict[str, tuple[IPAddress, ...]] = field(default_factory=dict)
    sources: dict[IPAddress, IPAddress] = field(default_factory=dict)
    files: Files = field(default_factory=Files)

    @property
    def own_addresses(self) -> frozenset[IPAddress]:
        """Every address that some link has."""
        return frozenset(held.address for link in self.links for held in link.addresses)

    def link(self, name: str) -> Link | None:
        """The link of that name."""
        return next((link for link in self.links if link.name == name), None)


def observe(
    peers: Iterable[IPAddress | str] = (), known_names: Mapping[str, tuple[IPAddress, ...]] | None = None
) -> Host:
    """Asks the machine, and DNS for the names among ``peers``; ``known_names`` are what they keep standing for.

    Raises ConfigError when iproute2 is not there.
    """
    try:
        here = links()
        default_links = {
            version: routes[0]["dev"]
            for version in (4, 6)
            if (routes := [route for route in ask_ip(f"-{version}", "route", "show", "default") if "dev" in route])
        }
    except FileNotFoundError:
        raise ConfigError(Problem("ip", "is not installed; install the package iproute2")) from None
    except subprocess.CalledProcessError as error:
        raise ConfigError(Problem("ip", f"cannot say what this machine has: {error.stderr.strip()}")) from None
    accounts = {entry.pw_name: Account(entry.pw_name, entry.pw_uid, entry.pw_gid) for entry in pwd.getpwall()}
    known: dict[str, tuple[IPAddress, ...]] = {}
    asked: set[IPAddress] = set()
    for peer in peers:
        if not isinstance(peer, str):
            asked.add(peer)
        else:
            answers = (resolve(peer), (known_names or {}).get(peer))
            found = {address for answer in answers for address in answer or ()}
            if answers != (None, None):
                known[peer] = tuple(sorted(found, key=lambda address: (address.version, int(address))))
            asked.update(found)
    own = {held.address for link in here for held in link.addresses}
    sources = {peer: source for peer in sorted(asked - own, key=str) if (source := _source(peer))}
    return Host(socket.gethostname(), here, default_links, accounts, known, sources)


def resolve(name: str) -> set[IPAddress] | None:
    """The addresses of a DNS name, IPv4 and IPv6; None when it has none or nobody answers, and nothing in it when it is
    only a name of this machine itself."""
    found: list[Any] = []

    def look_up() -> None:
        with contextlib.suppress(OSError):
            found.extend(socket.getaddrinfo(name, None, type=socket.SOCK_RAW))

    # A signal gets through to who waits for a thread, but not to a look-up that waits for its answer.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join()
    if not found:
        return None
    # No peer on another host can use a loopback address (Debian's /etc/hosts gives 127.0.1.1 for the host's own name),
    # nor a link-local one with our scope.
    addresses = {ipaddress.ip_address(str(entry[4][0])) for entry in found}
    return {address for address in addresses if not (address.is_loopback or address.is_link_local)}


def _source(peer: IPAddress) -> IPAddress | None:
    """The address that the route to ``peer`` makes this host speak from; None without a route."""
    try:
        routes = ask_ip("route", "get", str(peer))
    except (OSError, subprocess.CalledProcessError):
        return None
    source = routes[0].get("prefsrc") if routes else None
    return ipaddress.ip_address(source) if source else None


def missing_capabilities() -> list[Capability]:
    """Which of the capabilities that a node needs this process does not have."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    return [capability for capability in CAPABILITIES if not effective >> capability.bit & 1]


def can_track_files() -> bool:
    """Whether root has an inotify instance left (fs.inotify.max_user_instances is all containers' of the machine)."""
    libc = ctypes.CDLL(None)
    handle = libc.inotify_init1(os.O_CLOEXEC)
    if handle < 0:
        return False
    os.close(handle)
    return True

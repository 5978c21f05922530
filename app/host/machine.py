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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.contract.capabilities import CAPABILITIES, Capability
from app.contract.errors import ConfigError, Problem
from app.host.addresses import KEEPALIVED_PROTOCOL, ask_ip, links
from app.host.files import Files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from app.host.addresses import Held, Link, Place

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: What marks the kernel's own routes (RTPROT_KERNEL, linux/rtnetlink.h).
KERNEL_PROTOCOL = "2"


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
    ``moving``: VIPs that are here now, and what some keepalived marked as its own; no fact above knows of them, for
    they may be gone the next moment. ``ours``: where an earlier start or reload of this node put them. ``leaned_on``:
    those of them that this machine's own routes rest on.
    ``files``: asked when they are needed, for only the settings say which.
    """

    name: str
    links: tuple[Link, ...]
    default_links: dict[int, str]
    accounts: dict[str, Account]
    names: dict[str, tuple[IPAddress, ...]] = field(default_factory=dict)
    sources: dict[IPAddress, IPAddress] = field(default_factory=dict)
    files: Files = field(default_factory=Files)
    moving: tuple[Held, ...] = ()
    ours: frozenset[Place] = frozenset()
    leaned_on: frozenset[IPAddress] = frozenset()

    def is_own(self, held: Held, carrier: str | None) -> bool:
        """Whether one of ``moving`` is this machine's own address, and none that a keepalived left or holds.

        ``carrier``: the link that the adverts go over (docs/decisions/0006-own-addresses.md).
        """
        if held.is_marked:
            return False
        if held.is_configured:
            return True
        if held.place in self.ours:
            return False
        # VRRP over IPv4 had another address to speak from, when keepalived added this one.
        link = self.link(held.link)
        is_only_one = link is not None and all(other.address.version != 4 for other in link.addresses)
        return held.address in self.leaned_on or (held.link == carrier and held.address.version == 4 and is_only_one)

    @property
    def own_addresses(self) -> frozenset[IPAddress]:
        """Every address that some link has and keeps."""
        return frozenset(held.address for link in self.links for held in link.addresses)

    def link(self, name: str) -> Link | None:
        """The link of that name."""
        return next((link for link in self.links if link.name == name), None)


def observe(
    peers: Iterable[IPAddress | str] = (),
    known_names: Mapping[str, tuple[IPAddress, ...]] | None = None,
    vips: Iterable[IPAddress] = (),
    ours: Iterable[Place] = (),
) -> Host:
    """Asks the machine, and DNS for the names among ``peers``; ``known_names`` are what they keep standing for.

    ``vips`` are addresses that move, and ``ours`` those that this node put somewhere, planned or not: what they come to
    is in ``moving``. Raises ConfigError when iproute2 is not there.
    """
    ours = frozenset(ours)
    wanted = {*vips, *(address for address, _ in ours)}
    try:
        here, moving = _apart(links(), wanted)
        default_links = {version: link for version in (4, 6) if (link := _default_link(version))}
        leaned_on = _leaned_on(here, moving)
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
    avoided = {held.address for held in moving}
    sources = {peer: source for peer in sorted(asked - own, key=str) if (source := _source(peer, here, avoided))}
    return Host(
        socket.gethostname(),
        here,
        default_links,
        accounts,
        known,
        sources,
        moving=moving,
        ours=ours,
        leaned_on=leaned_on,
    )


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


def _apart(here: Iterable[Link], vips: Collection[IPAddress]) -> tuple[tuple[Link, ...], tuple[Held, ...]]:
    """The links with the addresses that stay, and the addresses that move."""
    moving = {held for link in here for held in link.addresses if held.is_marked or held.address in vips}
    stays = tuple(
        replace(link, addresses=tuple(held for held in link.addresses if held not in moving)) for link in here
    )
    return stays, tuple(sorted(moving, key=str))


def _default_link(version: int) -> str | None:
    """The link of the default route of one IP version, the first of several; None without one."""
    for route in ask_ip(f"-{version}", "route", "show", "default"):
        for way in route.get("nexthops", (route,)):
            # A route that moves with VIPs may be gone the next moment.
            if "dev" in way and route.get("protocol") != str(KEEPALIVED_PROTOCOL):
                return str(way["dev"])
    return None


def _leaned_on(here: Iterable[Link], moving: Iterable[Held]) -> frozenset[IPAddress]:
    """The addresses of ``moving`` that routes rest on which neither the kernel made nor keepalived: a route speaks from
    it, or no address that stays reaches its gateway."""
    found: set[IPAddress] = set()
    in_doubt = [held for held in moving if not held.is_marked]
    staying = [held for link in here for held in link.addresses]
    # Few machines have a reason to be asked: a router of the Internet's has a million routes.
    for version in sorted({held.address.version for held in in_doubt}):
        for route in ask_ip(f"-{version}", "route", "show", "table", "all"):
            if route.get("protocol") in {KERNEL_PROTOCOL, str(KEEPALIVED_PROTOCOL)}:
                continue
            for way in route.get("nexthops", (route,)):
                gateway = ipaddress.ip_address(way["gateway"]) if "gateway" in way else None
                reached_by = [
                    [held for held in some if held.link == way.get("dev") and gateway in held.network]
                    for some in (staying, in_doubt)
                    if gateway
                ]
                if reached_by and not reached_by[0]:
                    found.update(held.address for held in reached_by[1])
            found.update(held.address for held in in_doubt if route.get("prefsrc") == str(held.address))
    return frozenset(found)


def _source(peer: IPAddress, here: Iterable[Link], avoided: Collection[IPAddress]) -> IPAddress | None:
    """The address that the route to ``peer`` makes this host speak from, but none of ``avoided``: in its place another
    one of that link, of the peer's subnet if there is one. None without a route."""
    try:
        routes = ask_ip("route", "get", str(peer))
    except (OSError, subprocess.CalledProcessError):
        return None
    if not routes or "prefsrc" not in routes[0]:
        return None
    source = ipaddress.ip_address(routes[0]["prefsrc"])
    if source not in avoided:
        return source
    others = [
        held
        for link in here
        for held in link.addresses
        if link.name == routes[0].get("dev") and held.address.version == peer.version and held.scope == 0
    ]
    near = [held.address for held in others if peer in held.network]
    return next(iter(near or [held.address for held in others]), None)


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

"""Removes VIPs that a keepalived which died left on this host.

keepalived removes at its start what it finds with the same prefix length; this finds an address whatever its prefix,
and at the start of a node also those that its environment no longer names (docs/decisions/0004-ledger.md).
PID 1 does this within milliseconds of a death, so nothing heavy is imported here.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.host.addresses import held_addresses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from app.host.addresses import Held, Place

    IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: The raw sockets of this network namespace, those of programs in other containers included (proc_net_raw(5)).
RAW_SOCKETS = (Path("/proc/net/raw"), Path("/proc/net/raw6"))

#: VRRP's IP protocol number as those tables have it: after the colon of the local address.
VRRP = f"{112:04X}"

#: The protocol of the sockets by which a node claims its VIPs (IPPROTO_RAW), in the same form. It gets no packets.
CLAIM = f"{socket.IPPROTO_RAW:04X}"

#: VIPs that a node claims at most, for each is a descriptor; and the least of these: supervisord closes those below.
CLAIMS, FIRST_CLAIM_FD = 256, 256

#: Options that let a socket have an address that is not here (linux/in.h, linux/in6.h).
IP_FREEBIND, IPV6_FREEBIND = 15, 78

#: Numbers of linux/netlink.h, linux/rtnetlink.h, linux/if_link.h and linux/ip.h.
NLM_F_REQUEST, NLM_F_ACK = 0x1, 0x4
RTM_SETLINK, IFLA_AF_SPEC, IFLA_INET_CONF, PROMOTE_SECONDARIES = 19, 26, 1, 20


@dataclass(frozen=True)
class Swept:
    """What a sweep removed, and what it left alone because it may belong to somebody who is alive."""

    removed: tuple[Held, ...]
    left: tuple[Held, ...]


def written_down(ledger: Path) -> frozenset[Place]:
    """What a start or reload wrote into ``ledger``: every place where its keepalived may have left an address."""
    lines = (line.split() for line in ledger.read_text(encoding="ascii").splitlines())
    return frozenset((ipaddress.ip_address(words[0]), words[1]) for words in lines if len(words) == 2)


def remove_leftovers(places: Collection[Place]) -> list[Held]:
    """Takes the addresses of ``places`` off their links; gives what was removed.

    Raises OSError when iproute2 is not there and subprocess.CalledProcessError when the kernel refuses.
    """
    found = [held for held in held_addresses() if held.place in places] if places else []
    _remove(found)
    return found


def claim(vips: Iterable[IPAddress]) -> list[int]:
    """Tells every other node of this network namespace that this one lives and looks after ``vips``; gives the
    descriptors that say so as long as they are open.

    They are raw sockets, which not everybody may have: no other program can keep an address here by a lie.
    """
    found = []
    for vip in sorted(vips, key=lambda vip: (vip.version, int(vip)))[:CLAIMS]:
        family, level, option = (
            (socket.AF_INET, socket.SOL_IP, IP_FREEBIND)
            if vip.version == 4
            else (socket.AF_INET6, socket.IPPROTO_IPV6, IPV6_FREEBIND)
        )
        # Without it all is as it was before there were claims.
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as said:
            said.setsockopt(level, option, 1)
            said.bind((str(vip), 0))
            found.append(fcntl.fcntl(said, fcntl.F_DUPFD_CLOEXEC, FIRST_CLAIM_FD))
    return found


def claimed_by_others() -> set[IPAddress]:
    """The VIPs that other nodes of this network namespace claim, in other containers too."""
    mine = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the directory itself
            mine.add(str(descriptor.readlink()))
    return {address for table in _raw_tables() for address, socket_name in claims_in(table) if socket_name not in mine}


def claims_in(table: str) -> Iterator[tuple[IPAddress, str]]:
    """Each claim in the text of a table of raw sockets, and the name of its socket as /proc/PID/fd has it."""
    for line in table.splitlines()[1:]:
        words = line.split()
        local, _, protocol = words[1].partition(":")
        if protocol == CLAIM:
            # Words of four bytes, each in this machine's order.
            content = b"".join(struct.pack("=I", int(local[i : i + 8], 16)) for i in range(0, len(local), 8))
            yield ipaddress.ip_address(content), f"socket:[{words[9]}]"


def sweep(places: Collection[Place]) -> Swept:
    """Before any keepalived of this node runs: takes the addresses of ``places`` off their links, and off every link
    those of any keepalived that is dead.

    A marked address is a dead one's when no VRRP router is alive in this network namespace. Raises as remove_leftovers.
    """
    # In this order: whoever holds an address had its sockets before, so a router that starts just now is not robbed.
    addresses = held_addresses()
    somebody_lives = _vrrp_is_spoken()
    of_others = tuple(held for held in addresses if held.is_marked and held.place not in places)
    removed = [held for held in addresses if held.place in places]
    if not somebody_lives:
        removed += of_others
    _remove(removed)
    return Swept(tuple(removed), of_others if somebody_lives else ())


def has_vrrp_socket(table: str) -> bool:
    """Whether the text of a table of raw sockets has one of VRRP."""
    return any(line.split()[1].endswith(f":{VRRP}") for line in table.splitlines()[1:])


def _vrrp_is_spoken() -> bool:
    return any(map(has_vrrp_socket, _raw_tables()))


def _raw_tables() -> list[str]:
    # Without IPv6 there is no raw6.
    return [path.read_text(encoding="ascii") for path in RAW_SOCKETS if path.exists()]


def _remove(addresses: Iterable[Held]) -> None:
    """Removes ``addresses`` and nothing else. Raises subprocess.CalledProcessError when one of them stays."""
    gone = set(addresses)
    if not gone:
        return
    with contextlib.ExitStack() as promoting:
        for link in sorted({held.link for held in gone if held.address.version == 4}):
            promoting.enter_context(_promotion(link))
        commands = "".join(f"address del {held}\n" for held in sorted(gone, key=str))
        # -force: one that is gone already does not keep the others.
        subprocess.run(["ip", "-force", "-batch", "-"], input=commands, check=False, capture_output=True, text=True)
    if stayed := gone & set(held_addresses()):
        names = ", ".join(sorted(map(str, stayed)))
        raise subprocess.CalledProcessError(1, "ip", stderr=f"{names} cannot be removed")


@contextlib.contextmanager
def _promotion(link: str) -> Iterator[None]:
    """While it lasts, the second address of an IPv4 subnet of ``link`` becomes the first when that is removed.

    Else all of the subnet would go along, and with the last address of a link all of its routes.
    """
    is_on = Path(f"/proc/sys/net/ipv4/conf/{link}/promote_secondaries")
    if not is_on.exists() or is_on.read_text(encoding="ascii").strip() != "0":
        yield
        return
    with contextlib.suppress(OSError):  # The link has gone just now.
        _set_promotion(link, on=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            _set_promotion(link, on=False)


def _set_promotion(link: str, *, on: bool) -> None:
    """Sets promote_secondaries by rtnetlink(7), for /proc/sys is read-only in a container. Raises OSError."""
    message = struct.pack("=BxHiII", 0, 0, socket.if_nametoindex(link), 0, 0)
    value = _attribute(PROMOTE_SECONDARIES, struct.pack("=I", on))
    message += _attribute(IFLA_AF_SPEC, _attribute(socket.AF_INET, _attribute(IFLA_INET_CONF, value)))
    header = struct.pack("=IHHII", 16 + len(message), RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(header + message)
        (error,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    if error:
        raise OSError(-error, f"cannot set promote_secondaries of {link}")


def _attribute(kind: int, content: bytes) -> bytes:
    """An attribute of a netlink message; all that is sent here is a multiple of four bytes long."""
    return struct.pack("=HH", 4 + len(content), kind) + content

"""Address and link changes of one namespace, as the kernel tells them (rtnetlink(7))."""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RTM_NEWLINK, _RTM_NEWADDR, _RTM_DELADDR = 16, 20, 21
_GROUPS = 0x1 | 0x10 | 0x100  # RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR
_IFA_ADDRESS, _IFA_LOCAL, _IFLA_IFNAME = 1, 2, 3
_IFF_LOWER_UP = 0x10000

_MESSAGE = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, link index
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, link index, flags, change mask
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type


@dataclass(frozen=True, slots=True)
class AddressChange:
    """An address was added to a link, or confirmed there, or removed."""

    index: int
    address: str
    prefix: int
    added: bool


@dataclass(frozen=True, slots=True)
class LinkChange:
    """A link was made or changed; `carrier` says whether its far end is up."""

    name: str
    carrier: bool


def open_socket() -> socket.socket:
    """A non-blocking socket that receives the address and link changes of the calling thread's namespace."""
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # a flood of changes must not be lost
        listener.bind((0, _GROUPS))
    except BaseException:
        listener.close()
        raise
    return listener


def changes(packet: bytes) -> Iterator[AddressChange | LinkChange]:
    """The changes that one received packet tells of, in order."""
    start = 0
    while start + _MESSAGE.size <= len(packet):
        length, kind, *_ = _MESSAGE.unpack_from(packet, start)
        body = packet[start + _MESSAGE.size : start + length]
        if kind in {_RTM_NEWADDR, _RTM_DELADDR}:
            _, prefix, _, _, index = _ADDRESS.unpack_from(body)
            found = _attributes(body[_ADDRESS.size :])
            # On a point-to-point link IFA_ADDRESS is the far end; IFA_LOCAL, where there is one, is always ours.
            raw = found.get(_IFA_LOCAL) or found[_IFA_ADDRESS]
            yield AddressChange(index, str(ipaddress.ip_address(raw)), prefix, kind == _RTM_NEWADDR)
        elif kind == _RTM_NEWLINK:
            _, _, _, flags, _ = _LINK.unpack_from(body)
            name = _attributes(body[_LINK.size :])[_IFLA_IFNAME].rstrip(b"\0").decode()
            yield LinkChange(name, bool(flags & _IFF_LOWER_UP))
        start += _aligned(length)


def _attributes(raw: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    start = 0
    while start + _ATTRIBUTE.size <= len(raw):
        length, kind = _ATTRIBUTE.unpack_from(raw, start)
        found[kind] = raw[start + _ATTRIBUTE.size : start + length]
        start += _aligned(length)
    return found


def _aligned(length: int) -> int:
    return (max(length, 4) + 3) & ~3

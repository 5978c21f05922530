"""Sockets that listen in this network namespace, as the kernel tells of them: NETLINK_SOCK_DIAG, see sock_diag(7).

It needs no privilege. A socket that listens has no far end: a listener of TCP, or one of UDP that has not connected.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from app.contract.socket_filter import attach_filter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP

SAMPLE = 64
"""One of so many events that nobody asked for comes through all the same; it must be a power of two."""

MOST_PORTS = 1000
"""A classic BPF program has 4096 instructions at most, and each port takes two."""

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_NLMSG_ERROR, _NLMSG_DONE = 2, 3

# SKNLGRP_INET_TCP_DESTROY and its three brothers, as bits of an address.
_GROUPS = {1: TCP, 2: UDP, 4: TCP, 8: UDP}
_STATES = {TCP: 1 << 10, UDP: 1 << 7}  # TCP_LISTEN; TCP_CLOSE, which is what UDP has without a far end

_MESSAGE = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_REQUEST = struct.Struct("=BBBxI2s46x")  # inet_diag_req_v2: family, protocol, extensions, states; source port
_SOCKET = struct.Struct("=BBxx2s2s16s16sI8s")  # inet_diag_msg: family, state; ports, addresses, link, cookie

_NUMBER = struct.Struct("=i")

_NO_PORT = b"\0\0"
_BUFFER = 1 << 16


class Listener(NamedTuple):
    """One listening socket. `address` is packed, all zeros for any; `cookie` tells it from others at the same place."""

    protocol: int
    port: int
    address: bytes
    cookie: bytes

    @property
    def takes_any(self) -> bool:
        """Whether it listens on every address."""
        return not any(self.address)


def listeners(protocol: int, port: int = 0) -> Iterator[Listener]:
    """Those that there are now, on one port or (0) on all. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as asking:
        for family in (socket.AF_INET, socket.AF_INET6):
            request = _REQUEST.pack(family, protocol, 0, _STATES[protocol], port.to_bytes(2, "big"))
            header = _MESSAGE.pack(_MESSAGE.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 0, 0)
            asking.send(header + request)
            yield from _answers(asking, protocol)


def open_deaths(ports: Collection[int]) -> socket.socket:
    """A non-blocking socket that hears of the end of every listener on these ports, and of SAMPLE's share of others.

    While it is open each socket that is closed in the namespace costs the kernel some 13 µs. Raises OSError.
    """
    hearing = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETLINK_SOCK_DIAG
    )
    try:
        _filter(hearing, sorted(ports)[:MOST_PORTS])
        hearing.bind((0, sum(_GROUPS)))
    except BaseException:
        hearing.close()
        raise
    return hearing


def next_death(hearing: socket.socket) -> Listener | None:
    """The next socket that has ended; None when there is none for now. One with a far end has port 0.

    Raises OSError, ENOBUFS when some went by unheard.
    """
    try:
        packet, (_sender, groups) = hearing.recvfrom(_BUFFER)
    except BlockingIOError:
        return None
    return _listener(packet, _MESSAGE.size, _GROUPS.get(groups, 0))


def _listener(packet: bytes, at: int, protocol: int) -> Listener:
    family, _state, port, far_port, address, _far, _link, cookie = _SOCKET.unpack_from(packet, at)
    return Listener(
        protocol,
        int.from_bytes(port, "big") if far_port == _NO_PORT else 0,
        address[:4] if family == socket.AF_INET else address,
        cookie,
    )


def _answers(asking: socket.socket, protocol: int) -> Iterator[Listener]:
    while True:
        packet = asking.recv(_BUFFER)
        at = 0
        while at < len(packet):
            length, kind, *_ = _MESSAGE.unpack_from(packet, at)
            if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                # Both begin with what went wrong, below 0, or 0.
                (number,) = _NUMBER.unpack_from(packet, at + _MESSAGE.size)
                if number < 0:
                    raise OSError(-number, os.strerror(-number))
                return
            if kind == _SOCK_DIAG_BY_FAMILY:
                yield _listener(packet, at + _MESSAGE.size, protocol)
            at += (length + 3) & ~3
        if not packet:
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))


def _filter(hearing: socket.socket, ports: Collection[int]) -> None:
    """Has the kernel throw away what is of no use."""
    load_half, load_word, and_, equal, jump, give = 0x28, 0x20, 0x54, 0x15, 0x05, 0x06
    random = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM
    all_of_it = 0xFFFFFFFF
    program = [(load_half, 0, 0, 22), (equal, 1, 0, 0), (jump, 0, 0, 1 + 2 * len(ports)), (load_half, 0, 0, 20)]
    for port in ports:
        program += [(equal, 0, 1, port), (give, 0, 0, all_of_it)]
    program += [(load_word, 0, 0, random), (and_, 0, 0, SAMPLE - 1), (equal, 0, 1, 0), (give, 0, 0, all_of_it)]
    program += [(give, 0, 0, 0)]
    attach_filter(hearing, program)

"""The addresses of this host, as the kernel tells of them, and their lifetimes (rtnetlink(7))."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Where an address is: its family, the number of its link, its bytes.
Key = tuple[int, int, bytes]

#: Of linux/netlink.h and linux/rtnetlink.h; the groups are those of links, IPv4 addresses and IPv6 addresses.
NLM_F_REQUEST, NLM_F_REPLACE, NLM_F_DUMP = 0x1, 0x100, 0x300
NLMSG_ERROR, NLMSG_DONE, RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 2, 3, 16, 17, 20, 21, 22
GROUPS = 0x1 | 0x10 | 0x100

#: Of linux/if_addr.h.
IFA_ADDRESS, IFA_LOCAL, IFA_CACHEINFO, IFA_FLAGS, IFA_PROTO = 1, 2, 6, 8, 11
SECONDARY, NODAD, DEPRECATED, PERMANENT, NOPREFIXROUTE, MCAUTOJOIN = 0x01, 0x02, 0x20, 0x80, 0x200, 0x400
FOR_EVER = 2**32 - 1

#: What keepalived, from 2.3 on, marks its addresses with. A renewal without it would erase it, and with an older
#: keepalived it is what tells a VIP that was left from an address of DHCP's.
KEEPALIVED_PROTOCOL = 18

#: Bytes of events that may wait, and renewals that are sent at once.
ROOM, AT_ONCE = 1 << 20, 64

_HEADER = struct.Struct("=IHHII")
_IFADDR = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_CACHEINFO = struct.Struct("=IIII")


class HeldHere(NamedTuple):
    """An address that is here. ``changed``: when its lifetime was last set, in seconds since the machine started."""

    prefix: int
    scope: int
    flags: int
    protocol: int
    changed: float

    @property
    def has_lifetime(self) -> bool:
        """Whether it goes by itself."""
        return not self.flags & PERMANENT

    @property
    def is_leased(self) -> bool:
        """Whether a keeper, of this node or another one, has given it its lifetime."""
        return self.has_lifetime and self.protocol == KEEPALIVED_PROTOCOL


class Told(NamedTuple):
    """What has changed: addresses that were added or altered, by this program too, those that have gone, and whether
    links have."""

    addresses: tuple[Key, ...]
    gone: tuple[Key, ...] = ()
    links: bool = False


class AddressTable:
    """Every address of this host, kept up to date."""

    def __init__(self) -> None:
        self.entries: dict[Key, HeldHere] = {}
        #: The bytes of every address that is here, on whichever link.
        self.local: set[bytes] = set()
        self._events = _netlink(GROUPS)
        self._events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        self._asking = _netlink(0)

    def close(self) -> None:
        """Is told nothing more."""
        self._events.close()
        self._asking.close()

    def fileno(self) -> int:
        """Is readable when there is something to be told."""
        return self._events.fileno()

    def load(self) -> None:
        """Asks for all of them anew. Raises OSError."""
        self.entries = {}
        with _netlink(0) as asking:
            asking.setblocking(True)
            asking.send(_message(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, _IFADDR.pack(0, 0, 0, 0, 0)))
            is_over = False
            while not is_over:
                for kind, body in _messages(asking.recv(1 << 16)):
                    is_over |= kind in {NLMSG_DONE, NLMSG_ERROR}
                    if kind == RTM_NEWADDR:
                        key, entry = _parsed(body)
                        self.entries[key] = entry
        self.local = {raw for _, _, raw in self.entries}

    def told(self) -> Told:
        """Takes in what has happened since the last call. Raises OSError."""
        found: dict[Key, None] = {}
        gone: dict[Key, None] = {}
        links = is_new = False
        while True:
            try:
                packet = self._events.recv(1 << 16)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.load()  # too much at once: some of it is lost
                return Told(tuple(self.entries), links=True)
            for kind, body in _messages(packet):
                if kind in {RTM_NEWLINK, RTM_DELLINK}:
                    links = True
                elif kind == RTM_NEWADDR:
                    key, entry = _parsed(body)
                    is_new |= key not in self.entries
                    self.entries[key] = entry
                    found[key] = None
                elif kind == RTM_DELADDR:
                    key, _ = _parsed(body)
                    is_new |= self.entries.pop(key, None) is not None
                    found.pop(key, None)
                    gone[key] = None
        if is_new:
            self.local = {raw for _, _, raw in self.entries}
        return Told(tuple(found), tuple(gone), links)

    def set_lifetimes(self, wanted: Iterable[tuple[Key, int, bool]]) -> None:
        """Gives addresses that many seconds from now, FOR_EVER among them; with True the IPv6 route to its subnet is
        left alone. Those that are not here stay away. Raises OSError when the kernel does not let this process."""
        messages = [self._renewal(key, seconds, spares) for key, seconds, spares in wanted if key in self.entries]
        for start in range(0, len(messages), AT_ONCE):
            self._asking.send(b"".join(messages[start : start + AT_ONCE]))
            self._read_errors()

    def _renewal(self, key: Key, seconds: int, spares_route: bool) -> bytes:
        (family, index, raw), entry = key, self.entries[key]
        # With this an address that is absent is an error, for it is no multicast group to join: the kernel would
        # otherwise add it (with or without NLM_F_CREATE), and keepalived may have given it up just now.
        flags = MCAUTOJOIN | entry.flags & NODAD | (NOPREFIXROUTE if spares_route else 0)
        # keepalived wants no connections from a /128, so it prefers it for no second.
        preferred = 0 if entry.flags & DEPRECATED else seconds
        body = _IFADDR.pack(family, entry.prefix, 0, entry.scope, index)
        for kind, content in (
            (IFA_LOCAL, raw),
            (IFA_ADDRESS, raw),
            (IFA_FLAGS, struct.pack("=I", flags)),
            (IFA_CACHEINFO, _CACHEINFO.pack(preferred, seconds, 0, 0)),
            (IFA_PROTO, bytes([KEEPALIVED_PROTOCOL])),
        ):
            attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(content), kind) + content
            body += attribute + bytes(-len(attribute) % 4)
        return _message(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_REPLACE, body)

    def _read_errors(self) -> None:
        while True:
            try:
                packet = self._asking.recv(1 << 16)
            except BlockingIOError:
                return
            for kind, body in _messages(packet):
                (negative,) = struct.unpack_from("=i", body) if kind == NLMSG_ERROR else (0,)
                if -negative in {errno.EPERM, errno.EACCES}:
                    raise OSError(-negative, "the kernel does not let the lifetime of an address be set")


def _netlink(groups: int) -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    made.bind((0, groups))
    return made


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body


def _messages(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """The kind and the body of each message in what was received."""
    start = 0
    while start + _HEADER.size <= len(packet):
        length, kind, *_ = _HEADER.unpack_from(packet, start)
        yield kind, packet[start + _HEADER.size : start + length]
        start += max(length, _HEADER.size) + 3 & ~3


def _parsed(body: bytes) -> tuple[Key, HeldHere]:
    family, prefix, flags, scope, index = _IFADDR.unpack_from(body)
    attributes: dict[int, bytes] = {}
    start = _IFADDR.size
    while start + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, start)
        attributes[kind] = body[start + _ATTRIBUTE.size : start + length]
        start += max(length, _ATTRIBUTE.size) + 3 & ~3
    if IFA_FLAGS in attributes:
        (flags,) = struct.unpack("=I", attributes[IFA_FLAGS])
    protocol = attributes.get(IFA_PROTO, b"\0")[0]
    changed = _CACHEINFO.unpack(attributes[IFA_CACHEINFO])[3] / 100 if IFA_CACHEINFO in attributes else 0.0
    # On a point-to-point link IFA_ADDRESS is the far end; IFA_LOCAL, where there is one, is always ours.
    raw = attributes.get(IFA_LOCAL) or attributes[IFA_ADDRESS]
    return (family, index, raw), HeldHere(prefix, scope, flags, protocol, changed)

"""PID 1's datagram sockets."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING

from app.contract.peers_config import ADVERT_FDS

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes of a datagram: more than a sender's default buffer holds.
LARGEST = 1 << 18

#: RFC 5798; Python has no name for it.
IPPROTO_VRRP = 112

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7), SCM_CREDENTIALS


def bound(path: Path, *, mode: int) -> socket.socket:
    """A new socket at ``path`` that never waits. Raises OSError."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind(str(path))
    path.chmod(mode)
    return made


def hear_adverts() -> None:
    """Called in the process of the watch of peers while it is still root: hands it what it may not open itself."""
    for fd, family in zip(ADVERT_FDS, (socket.AF_INET, socket.AF_INET6), strict=True):
        with contextlib.suppress(OSError):  # a machine without IPv6
            os.dup2(socket.socket(family, socket.SOCK_RAW, IPPROTO_VRRP).detach(), fd)


def receive(source: socket.socket) -> tuple[bytes, int, int]:
    """A datagram with the process and the account that sent it, as the kernel says (SO_PASSCRED).

    Raises BlockingIOError.
    """
    taken, ancillary, _, _ = source.recvmsg(LARGEST, socket.CMSG_SPACE(_CREDENTIALS.size))
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, uid, _ = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
            return taken, pid, uid
    return taken, 0, -1

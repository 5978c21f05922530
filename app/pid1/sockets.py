"""PID 1's datagram sockets."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes of a datagram: more than a sender's default buffer holds.
LARGEST = 1 << 18

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7), SCM_CREDENTIALS


def bound(path: Path, *, mode: int) -> socket.socket:
    """A new socket at ``path`` that never waits. Raises OSError."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind(str(path))
    path.chmod(mode)
    return made


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

"""Filters of classic BPF: the kernel throws away what a socket has no use for, before it wakes anybody (socket(7))."""

from __future__ import annotations

import array
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Of asm-generic/socket.h; Python has no name for it.
_SO_ATTACH_FILTER = 26

#: An instruction: code, jump if true, jump if not, value (linux/filter.h).
Instruction = tuple[int, int, int, int]

_INSTRUCTION = struct.Struct("=HBBI")


def attach_filter(to: socket.socket, program: Sequence[Instruction]) -> None:
    """From now on ``to`` receives what ``program`` lets through. Raises OSError."""
    # An array says where it lies; ctypes would be half a MiB.
    code = array.array("B", b"".join(_INSTRUCTION.pack(*line) for line in program))
    place, _length = code.buffer_info()
    to.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), place))

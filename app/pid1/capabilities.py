"""Capabilities for a program that is not root (capabilities(7)): they are kept while the account changes."""

from __future__ import annotations

import ctypes
import os
import pwd
from typing import TYPE_CHECKING

from app.contract.capabilities import CAPABILITIES

if TYPE_CHECKING:
    from collections.abc import Collection

#: Of linux/prctl.h and linux/capability.h.
PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 8, 47, 2
VERSION_3 = 0x20080522


def become(account: str, names: Collection[str]) -> None:
    """Called in a process that is still root: makes it one of ``account`` that has these capabilities and no others,
    and keeps them when it executes a program. Raises OSError.

    An account has no way to get them otherwise: they cannot be given to a file of a read-only image, and root would own
    every file of the run directory.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    bits = [capability.bit for capability in CAPABILITIES if capability.name in names]
    user = pwd.getpwnam(account)
    _check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([user.pw_gid])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    mask = sum(1 << bit for bit in bits)
    # Effective, permitted and inheritable; then the same of the bits from 32 on.
    _check(libc.capset((ctypes.c_uint32 * 2)(VERSION_3, 0), (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)))
    for bit in bits:
        _check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

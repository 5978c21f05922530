"""What keepalived says of itself, and whether the kernel agrees."""

from __future__ import annotations

import contextlib
import enum
import ipaddress
import json
import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.host.addresses import held_addresses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.paths import Layout

#: The signal that makes keepalived dump its state as JSON (keepalived(8), SIGNALS; ``keepalived --signum=JSON``).
DUMP_SIGNAL = signal.SIGRTMIN + 2

#: What a dump may take; it takes 3 ms.
DUMP_LIMIT_SECONDS = 1.0


class VrrpState(enum.IntEnum):
    """The states of a VRRP instance, as the dump numbers them."""

    INIT = 0
    BACKUP = 1
    MASTER = 2
    FAULT = 3
    DELETED = 97
    STOP = 98


@dataclass(frozen=True)
class Claim:
    """What keepalived says of one instance: its state, and the addresses that go with it."""

    instance: str
    state: VrrpState
    priority: int
    addresses: tuple[Carried, ...]


@dataclass(frozen=True, order=True)
class Carried:
    """An address and the link that keepalived would put it on; on another one it is none of its business."""

    address: str
    link: str

    def __str__(self) -> str:
        return self.address


class NoAnswerError(Exception):
    """keepalived does not run or does not answer; the message says which."""


def ask(layout: Layout) -> list[Claim]:
    """Has keepalived dump its state. Raises NoAnswerError."""
    try:
        pid = int(layout.keepalived_pid_files[0].read_text(encoding="ascii"))
        layout.dump.unlink(missing_ok=True)
        os.kill(pid, DUMP_SIGNAL)
    except (OSError, ValueError):
        raise NoAnswerError("keepalived does not run") from None
    deadline = time.monotonic() + DUMP_LIMIT_SECONDS
    while time.monotonic() < deadline:
        try:
            # The dump is not written atomically: half of one does not parse.
            dump = json.loads(layout.dump.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            time.sleep(0.001)
        else:
            keep_room(layout)
            return [_claim(entry["data"]) for entry in dump]
    raise NoAnswerError(f"keepalived does not answer within {DUMP_LIMIT_SECONDS:g} s")


def keep_room(layout: Layout) -> None:
    """Overwrites the dump, for the password is in it; as a file of nothing it keeps room for the next one."""
    with contextlib.suppress(FileNotFoundError), layout.dump.open("r+b", buffering=0) as file:
        blank = bytes(max(layout.DUMP_ROOM, os.fstat(file.fileno()).st_size))
        with contextlib.suppress(OSError):
            file.write(blank)


def held(addresses: Sequence[Carried]) -> set[Carried]:
    """Those of ``addresses`` that are on their link. Raises OSError or subprocess.CalledProcessError."""
    here = {held.place for held in held_addresses()}
    return {carried for carried in addresses if (ipaddress.ip_address(carried.address), carried.link) in here}


def contradiction(claim: Claim, here: set[Carried]) -> str | None:
    """Why the kernel does not bear out ``claim``, in one sentence; ``here`` are those that are on their link."""
    missing = [address for address in claim.addresses if address not in here]
    if claim.state is VrrpState.MASTER and missing:
        return f"{claim.instance} claims MASTER but this host does not hold {', '.join(map(str, missing))}"
    left = [address for address in claim.addresses if address in here]
    if claim.state is not VrrpState.MASTER and left:
        return f"{claim.instance} claims {claim.state.name} but this host holds {', '.join(map(str, left))}"
    return None


def _claim(data: dict[str, Any]) -> Claim:
    carried = [*data.get("vips", ()), *data.get("evips", ())]
    return Claim(
        instance=data["iname"],
        state=VrrpState(data["state"]),
        priority=data["effective_priority"],
        addresses=tuple(map(_carried, carried)),
    )


def _carried(entry: str) -> Carried:
    """Of ``ADDRESS/PREFIX dev LINK scope SCOPE …``."""
    words = entry.split()
    return Carried(words[0].split("/")[0], words[words.index("dev") + 1])

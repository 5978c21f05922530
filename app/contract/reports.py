"""What programs report to PID 1: datagrams in the words of sd_notify(3), those with X_ being ours."""

from __future__ import annotations

import socket

from app.contract import programs
from app.contract.programs import GUARD, LOG_FORWARDER, PEERS

#: What a report is about, and what its ``text`` says: nothing; a sentence that begins with the program's name; the
#: gates that are open; the addresses of peers to drop; the programs whose file has changed; an instance and the address
#: of a node whose adverts for it come in, and that it does not send to.
READY, FAILED, OPENED, RELOAD, CHANGED, HEARD = "READY", "STOPPING", "X_OPEN", "X_RELOAD", "X_RESTART", "X_HEARD"

#: Whose report each is. Of others PID 1 believes only root.
SENDERS = {READY: LOG_FORWARDER, FAILED: GUARD, OPENED: PEERS, RELOAD: PEERS, HEARD: PEERS, CHANGED: programs.RELOAD}


class Report:
    """A report and, once it was received, who sent it. The guard, which is to stay small, has no dataclass."""

    __slots__ = ("kind", "pid", "text", "uid")

    def __init__(self, kind: str, text: str, pid: int = 0, uid: int = -1) -> None:
        self.kind, self.text, self.pid, self.uid = kind, text, pid, uid


def send(kind: str, text: str, pid_1: str) -> None:
    """Reports to the socket ``pid_1``. Raises OSError when nobody listens there."""
    written = {
        FAILED: f"STOPPING=1\nSTATUS={text}\n",
        RELOAD: f"X_GONE={text}\nX_RELOAD=1\n",
    }.get(kind, f"{kind}={text}\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(written.encode(), pid_1)


def parse(datagram: bytes, pid: int, uid: int) -> Report | None:
    """The report that the process ``pid`` of the account ``uid`` sent; None when it says nothing of interest."""
    said = dict(line.split("=", 1) for line in datagram.decode(errors="replace").splitlines() if "=" in line)
    if said.get("STOPPING") == "1" and "STATUS" in said:
        return Report(FAILED, said["STATUS"], pid, uid)
    if said.get("READY") == "1":
        return Report(READY, "", pid, uid)
    if "X_RELOAD" in said:
        return Report(RELOAD, said.get("X_GONE", ""), pid, uid)
    return next((Report(kind, said[kind], pid, uid) for kind in (OPENED, CHANGED, HEARD) if kind in said), None)

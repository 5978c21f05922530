"""What root in the container may do beyond an unprivileged account (capabilities(7)), and what for: no more.

``ka run`` refuses to start without one of them, and the lab grants no other. Documents and manifests are made from this
table by ``make generate``.
"""

from __future__ import annotations

from typing import NamedTuple


class Capability(NamedTuple):
    """``bit`` as in linux/capability.h; ``needed`` goes on from "needed", ``breaks`` says what happens without it."""

    name: str
    bit: int
    needed: str
    breaks: str


CAPABILITIES = (
    Capability(
        "CHOWN",
        0,
        "to give the siblings their directories",
        "the siblings' account cannot be given the directories it writes to",
    ),
    Capability("KILL", 5, "to stop the siblings", "PID 1 cannot stop the programs that run as that account"),
    Capability(
        "NET_ADMIN",
        12,
        "to put the VIP on a link",
        "keepalived cannot put the VIP on a link; it would call itself MASTER without an address",
    ),
    Capability("NET_RAW", 13, "to send and receive VRRP", "keepalived cannot send or receive VRRP"),
    Capability(
        "SETGID",
        6,
        "to run the siblings and scripts as unprivileged accounts",
        "the checker, the log forwarder and scripts cannot leave root's group",
    ),
    Capability(
        "SETUID",
        7,
        "to run the siblings and scripts as unprivileged accounts",
        "the checker, the log forwarder and scripts cannot run as an unprivileged account",
    ),
)

#: What the lease keeper needs, which is not root: to set lifetimes of addresses, and to see adverts leave.
LEASE_CAPABILITIES = "NET_ADMIN", "NET_RAW"

#: Their names, in the order of documents and manifests.
NAMES = tuple(capability.name for capability in CAPABILITIES)

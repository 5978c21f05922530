"""What listens on this host, by the kernel's tables, and whether a DNS service answers from where it was asked."""

from __future__ import annotations

import ipaddress
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The state of a socket that listens, and of one of UDP without a peer (linux/tcp_states.h).
_STATES = {"tcp": "0A", "udp": "07"}

#: The name servers of the root, asked for: the shortest question that every DNS service has an answer to.
_QUESTION = struct.pack("!6H", 0x6B61, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack("!2H", 2, 1)

#: An address of this host that no VIP can be, to ask from: what asks from the VIP is answered by it in any case.
_ASKER = "127.0.0.2"

ANSWER_SECONDS = 0.5


class LocalService(NamedTuple):
    """A socket that others can reach; ``protocol`` is tcp or udp."""

    protocol: str
    address: str
    port: int


def local_services() -> list[LocalService]:
    """Everything that listens in this network namespace."""
    found: list[LocalService] = []
    for protocol, state in _STATES.items():
        for table in (Path(f"/proc/net/{protocol}"), Path(f"/proc/net/{protocol}6")):
            if table.exists():
                found += _services(protocol, state, table.read_text(encoding="ascii"))
    return found


def _services(protocol: str, state: str, table: str) -> Iterator[LocalService]:
    for line in table.splitlines()[1:]:
        words = line.split()
        if words[3] == state:
            written, _, port = words[1].partition(":")
            # Words of four bytes, each in this machine's order.
            content = b"".join(struct.pack("=I", int(written[i : i + 8], 16)) for i in range(0, len(written), 8))
            yield LocalService(protocol, str(ipaddress.ip_address(content)), int(port, 16))


def answers_dns_from(vip: str, port: int) -> str | None:
    """The address that a DNS service of this host answers from when it is asked at the IPv4 address ``vip``; None when
    nobody answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(ANSWER_SECONDS)
        try:
            asking.bind((_ASKER, 0))
            asking.sendto(_QUESTION, (vip, port))
            return str(asking.recvfrom(512)[1][0])
        except OSError:
            return None

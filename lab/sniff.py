"""What VRRP says on the wire: the adverts that reach the switch, by the port they come in at."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.host import BRIDGE
from lab.namespace import LoopInside
from lab.patience import LIMIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.errors import LabError
    from lab.host import Host

_ETH_P_ALL = 0x0003
_PACKET_OUTGOING = 4
_PROTOCOL = 112


@dataclass(frozen=True, slots=True)
class Advert:
    """One VRRP advert (RFC 3768 §5, RFC 5798 §5).

    `time` is seconds since the epoch on receipt, `node` who sent it, `interval` its advert interval in seconds.
    """

    time: float
    node: str
    source: str
    destination: str
    version: int
    vrid: int
    priority: int
    interval: float


class Sniffer:
    """Records every advert that a host sends while its port is on the switch."""

    def __init__(self, switch: str, explain: Callable[[str], LabError]) -> None:
        self._explain = explain
        self._adverts: list[Advert] = []
        self._changed = threading.Condition()
        self._loop = LoopInside(switch)
        try:
            self._socket = self._loop.call(self._listen())
        except BaseException:
            self._loop.close()
            raise

    @property
    def adverts(self) -> tuple[Advert, ...]:
        """Every advert so far, in order."""
        with self._changed:
            return tuple(self._adverts)

    def wait_advert(
        self,
        node: Host,
        *,
        priority: int | None = None,
        destination: str | None = None,
        since: float = 0.0,
        timeout: float = LIMIT_SECONDS,
    ) -> Advert:
        """The first advert of `node`, of that priority and to that address if they are named, at or after `since`
        (seconds since the epoch).

        Raises LabError after `timeout` seconds.
        """

        def find() -> Advert | None:
            for advert in self._adverts:
                if advert.node != node.name or advert.time < since:
                    continue
                if priority in {None, advert.priority} and destination in {None, advert.destination}:
                    return advert
            return None

        with self._changed:
            found = self._changed.wait_for(find, timeout)
        if found is not None:
            return found
        wanted = "no advert" if priority is None else f"no advert of priority {priority}"
        raise self._explain(f"{node.name} sent {wanted} within {timeout:g} s.")

    def stop(self) -> None:
        """Stop recording. May be called again."""
        if not self._loop.closed:
            self._loop.call(self._unlisten())
            self._loop.close()

    async def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(_ETH_P_ALL))
        asyncio.get_running_loop().add_reader(listener, self._receive, listener)
        return listener

    async def _unlisten(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _receive(self, listener: socket.socket) -> None:
        packet, (port, _, direction, *_) = listener.recvfrom(2048)
        now = time.time()
        if direction == _PACKET_OUTGOING or port == BRIDGE:
            return  # the same frame again, on its way to the others
        advert = _parse(packet, now, port)
        if advert is not None:
            with self._changed:
                self._adverts.append(advert)
                self._changed.notify_all()


def _parse(packet: bytes, now: float, node: str) -> Advert | None:
    """The advert in an IP packet; None when it holds something else."""
    if packet[:1] and packet[0] >> 4 == 4 and packet[9] == _PROTOCOL:
        source, destination, body = packet[12:16], packet[16:20], packet[(packet[0] & 15) * 4 :]
    elif packet[:1] and packet[0] >> 4 == 6 and packet[6] == _PROTOCOL:
        source, destination, body = packet[8:24], packet[24:40], packet[40:]
    else:
        return None
    kind, vrid, priority, _, timing = struct.unpack_from("!BBBBH", body)
    version = kind >> 4
    return Advert(
        time=now,
        node=node,
        source=str(ipaddress.ip_address(source)),
        destination=str(ipaddress.ip_address(destination)),
        version=version,
        vrid=vrid,
        priority=priority,
        # Version 2: authentication type, then whole seconds; version 3: twelve bits of hundredths.
        interval=float(timing & 0xFF) if version == 2 else (timing & 0xFFF) / 100,
    )

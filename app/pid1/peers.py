"""Peers that this node has heard of by their adverts, put into the keepalived.conf that runs: a reload takes half a
second, and may be refused for something else."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import signal
from typing import TYPE_CHECKING

from app.contract.peers_config import Learned

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from app.contract.paths import Layout

#: How many peers are learned: anybody on the link can send adverts.
MOST_LEARNED = 8

#: Between two times that keepalived is told of such.
LEARN_AGAIN_SECONDS = 1.0


class Learning:
    """Which peers this node has learned: a node that is not sent to would never hear of this one, and there could be
    two masters for ever."""

    def __init__(self) -> None:
        self.peers: tuple[Learned, ...] = ()
        self._waiting: tuple[Learned, ...] = ()
        self._learned_at = float("-inf")

    def hear(self, text: str) -> None:
        """A report that adverts come in: an instance and an address. What cannot be a peer is passed over."""
        peer = _peer(text)
        if peer and peer not in self.peers + self._waiting and len(self.peers + self._waiting) < MOST_LEARNED:
            self._waiting += (peer,)

    def due(self, now: float) -> tuple[Learned, ...]:
        """Those to send to from now on, which are among ``peers`` then. ``now`` in monotonic seconds."""
        if now - self._learned_at < LEARN_AGAIN_SECONDS or not self._waiting:
            return ()
        new, self._waiting, self._learned_at = self._waiting, (), now
        self.peers += new
        return new

    def forget(self, addresses: Collection[str]) -> bool:
        """Sends to these no more; gives whether one of them was learned."""
        before = self.peers
        self.peers = tuple(peer for peer in before if peer.address not in addresses)
        return self.peers != before


def _peer(text: str) -> Learned | None:
    instance, _, written = text.partition(" ")
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return None
    is_one = not (address.is_multicast or address.is_loopback or address.is_unspecified or address.is_link_local)
    return Learned(instance, str(address)) if is_one else None


def with_peer(text: str, peer: Learned) -> str | None:
    """The keepalived.conf ``text`` with ``peer`` among those that its instance sends to; None when the instance has no
    such block, as in a template of the operator's."""
    instance = rf"^vrrp_instance {re.escape(peer.instance)} \{{\n(?:(?!^\}}).*\n)*?"
    block = re.search(rf"{instance}\s*unicast_peer \{{\n((?:\s*[0-9a-f.:]+\n)*)", text, re.MULTILINE)
    if block is None:
        return None
    if peer.address in block[1].split():
        return text
    return f"{text[: block.end()]}        {peer.address}\n{text[block.end() :]}"


def send_to(layout: Layout, peers: Iterable[Learned]) -> list[Learned]:
    """Has keepalived send to ``peers`` as well; gives those for which there is no place. Raises OSError."""
    before = text = layout.keepalived_conf.read_text(encoding="utf-8")
    without_place = []
    for peer in peers:
        more = with_peer(text, peer)
        if more is None:
            without_place.append(peer)
        else:
            text = more
    if text != before:
        fresh = layout.keepalived_conf.with_name(".keepalived.conf.learned")
        fresh.unlink(missing_ok=True)
        # Only root reads it: the password is in it.
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor, not a path
            stream.write(text)
        fresh.replace(layout.keepalived_conf)
        # One that has just died reads the new file when it is started again.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(layout.keepalived_pid_files[0].read_text(encoding="ascii")), signal.SIGHUP)
    return without_place

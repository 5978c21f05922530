"""What the watch of peers is told and what it finds out: peers.json, and the file of learned peers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: The descriptors of the raw sockets that hear adverts, over IPv4 and over IPv6: PID 1 hands them over.
ADVERT_FDS = 10, 11

#: PID 1 writes here which peers this node sends to because it has heard them.
LEARNED_FILE = "learned-peers"


class SpokenInstance(NamedTuple):
    """A VRRP instance that speaks by unicast. ``interval``: seconds between two adverts; ``source``: where its adverts
    come from and go to; ``peers``: where it sends them."""

    name: str
    ip_version: int
    vrrp_version: int
    vrid: int
    interval: float
    password: str | None
    source: str | None
    peers: tuple[str, ...]


class PeersConfig(NamedTuple):
    """The addresses that each name stands for now, the seconds between two look-ups, and what to hear."""

    refresh: float
    names: dict[str, tuple[str, ...]]
    instances: tuple[SpokenInstance, ...] = ()


class Learned(NamedTuple):
    """An address that ``instance`` sends to because it was heard from there."""

    instance: str
    address: str


def learned_text(peers: Iterable[Learned]) -> str:
    """What the file of learned peers says."""
    return "".join(f"{peer.instance} {peer.address}\n" for peer in peers)


def read_learned(directory: Path) -> tuple[Learned, ...]:
    """The learned peers of the node in that run directory, in the order in which they were heard."""
    path = directory / LEARNED_FILE
    if not path.exists():
        return ()
    return tuple(Learned(*line.split(" ", 1)) for line in path.read_text(encoding="ascii").splitlines())

"""What the watch of peers' names is told: peers.json."""

from __future__ import annotations

from typing import NamedTuple


class PeersConfig(NamedTuple):
    """The addresses that each name stands for now, and the seconds between two look-ups."""

    refresh: float
    names: dict[str, tuple[str, ...]]

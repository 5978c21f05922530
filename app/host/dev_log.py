"""Whether the place where programs look for the log is another logger's, because the host's /dev is mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class OtherLogger(NamedTuple):
    """What is said of it after the name of the place. ``is_lost``: nobody reads there."""

    sentence: str
    is_lost: bool


def other_logger(place: Path, ours: Path) -> OtherLogger | None:
    """Who has ``place``, which should lead to ``ours``; None when it does, or nobody has it."""
    if place.is_symlink():
        leads_to = place.readlink()
        if leads_to == ours:
            return None
        if not place.exists():
            sentence = f"belongs to another logger of this machine and leads to {leads_to}, which is not here"
            return OtherLogger(f"{sentence}: keepalived's log is lost; leave the host's /dev out", is_lost=True)
    if place.exists():
        return OtherLogger("belongs to another logger of this machine, the log goes there", is_lost=False)
    return None

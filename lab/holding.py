"""How many nodes held an address at once, from the kernel's own events: none and two are what must be short."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lab.watch import AddressEvent


def counts(events: Iterable[AddressEvent], since: float, until: float) -> Iterator[tuple[float, float, int]]:
    """Each span between `since` and `until` (seconds since the epoch) with the number of its holders: start, end,
    number. `events` are those of one address from the beginning."""
    holders: set[str] = set()
    start = since
    for event in events:
        if event.time > since and event.time < until:
            if event.time > start:
                yield start, event.time, len(holders)
            start = event.time
        if event.time < until:
            (holders.add if event.added else holders.discard)(event.node)
    yield start, until, len(holders)


def seconds_of_two(events: Iterable[AddressEvent], since: float, until: float) -> float:
    """For how many seconds more than one node held it."""
    return sum(end - start for start, end, number in counts(events, since, until) if number > 1)


def longest_without(events: Iterable[AddressEvent], since: float, until: float) -> float:
    """The most seconds in a row that nobody held it."""
    longest, current = 0.0, 0.0
    for start, end, number in counts(events, since, until):
        current = 0.0 if number else current + end - start
        longest = max(longest, current)
    return longest

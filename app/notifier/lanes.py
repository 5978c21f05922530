"""Transitions that wait for a hook."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.notifier.transition import Transition


class Lanes:
    """In order within each lane, and at most `bound` altogether. `lane` names the lane of a transition."""

    def __init__(self, bound: int, lane: Callable[[Transition], str]) -> None:
        self._bound = bound
        self._lane = lane
        self._lanes: dict[str, deque[Transition]] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Transition]:
        for lane in self._lanes.values():
            yield from lane

    def put(self, transition: Transition) -> Transition | None:
        """Adds it; gives the one that had to go for it: the oldest of the longest lane, so that an instance that
        flaps while its hook hangs takes nothing from the others."""
        dropped = None
        if self._length == self._bound:
            dropped = self.take(max(self._lanes, key=lambda name: len(self._lanes[name])))
        self._lanes.setdefault(self._lane(transition), deque()).append(transition)
        self._length += 1
        return dropped

    def lanes(self) -> list[str]:
        """Those in which something waits, the longest wait first."""
        return sorted(self._lanes, key=lambda name: self._lanes[name][0].number)

    def take(self, lane: str) -> Transition:
        """Removes and gives the oldest of `lane`."""
        waiting = self._lanes[lane]
        taken = waiting.popleft()
        self._length -= 1
        if not waiting:
            del self._lanes[lane]
        return taken

"""Says a message that comes again and again once, and then how often: the first one always, and at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.pid1.log.message import Message
    from app.pid1.log.transitions import About

#: Seconds after which repetitions are mentioned, at first; it doubles up to the other.
SOON, AT_LAST = 2.0, 60.0

#: Programs that are remembered; a node has a dozen.
_PROGRAMS = 64


#: A message, what it is about, and how many repetitions it stands for (0: itself).
Told = tuple["Message", "About", int]


@dataclass
class _Last:
    message: Message
    about: About
    since: float
    repeats: int = 0
    patience: float = SOON


class Folding:
    """Per program, so that programs that take turns do not hide each other's repetitions."""

    def __init__(self) -> None:
        self._last: dict[str, _Last] = {}

    def take(self, message: Message, about: About) -> Iterator[Told]:
        """What is to be logged now that ``message`` came."""
        last = self._last.pop(message.program, None)
        if last is not None and (last.message.text, last.message.severity) == (message.text, message.severity):
            if not last.repeats:
                last.since = message.time
            last.repeats += 1
            self._last[message.program] = last
            yield from self._due(last, message.time)
            return
        if last is not None and last.repeats:
            yield _folded(last, message.time)
        if len(self._last) >= _PROGRAMS:
            oldest = self._last.pop(next(iter(self._last)))
            if oldest.repeats:
                yield _folded(oldest, message.time)
        self._last[message.program] = _Last(message, about, message.time)
        yield message, about, 0

    def tick(self, now: float) -> Iterator[Told]:
        """Repetitions that were to be mentioned by ``now`` (seconds since the epoch)."""
        for last in self._last.values():
            yield from self._due(last, now)

    @staticmethod
    def _due(last: _Last, now: float) -> Iterator[Told]:
        # abs: a clock that was set back must not silence anything for long.
        if last.repeats and abs(now - last.since) >= last.patience:
            last.patience = min(2 * last.patience, AT_LAST)
            yield _folded(last, now)


def _folded(last: _Last, now: float) -> Told:
    repeats, last.repeats = last.repeats, 0
    times = "once" if repeats == 1 else f"{repeats} times"
    text = f"last message repeated {times}: {last.message.text}"
    # A transition happens once.
    return replace(last.message, time=now, text=text), replace(last.about, transition=None), repeats

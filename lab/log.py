"""What a node prints: lines with the time they came, and waiting for one of them."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from lab.patience import LIMIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.errors import LabError


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, without its newline; `time` is when the lab read it, in seconds since the epoch."""

    time: float
    text: str


class NodeLog:
    """One output stream of a node, over all its runs: kept in memory and read by a thread as it comes."""

    def __init__(self, title: str, explain: Callable[[str], LabError]) -> None:
        self._title = title
        self._explain = explain
        self._lines: list[LogLine] = []
        self._readers: list[threading.Thread] = []
        self._open = 0
        self._changed = threading.Condition()

    @property
    def lines(self) -> tuple[LogLine, ...]:
        """All lines so far, in order."""
        with self._changed:
            return tuple(self._lines)

    @property
    def text(self) -> str:
        """All lines so far as one text."""
        return "".join(f"{line.text}\n" for line in self.lines)

    def mark(self) -> int:
        """The present end of the log, for the `since` of wait_for."""
        with self._changed:
            return len(self._lines)

    def wait_for(self, pattern: str, timeout: float = LIMIT_SECONDS, since: int = 0) -> LogLine:
        """The first line from the mark `since` on that `pattern` (a regular expression) is found in.

        Raises LabError when there is none within `timeout` seconds, or when the stream has ended without one.
        """
        expression = re.compile(pattern)
        deadline = time.monotonic() + timeout
        position = since
        with self._changed:
            while True:
                for line in self._lines[position:]:
                    if expression.search(line.text):
                        return line
                position = max(position, len(self._lines))
                if not self._open:
                    problem = "ended without a line"
                    break
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    problem = f"had no line within {timeout:g} s"
                    break
        raise self._explain(f"{self._title} {problem} that matches {pattern!r}.")

    def tail(self, count: int) -> str:
        """The last `count` lines with their times, indented, for a report."""
        lines = self.lines[-count:]
        return "".join(f"    {clock(line.time)} {line.text}\n" for line in lines) or "    (nothing)\n"

    def follow(self, stream: IO[bytes]) -> None:
        """Read `stream` to its end on a thread."""
        reader = threading.Thread(target=self._read, args=(stream,), name=self._title, daemon=True)
        with self._changed:
            self._readers.append(reader)
            self._open += 1
        reader.start()

    def join(self, timeout: float = LIMIT_SECONDS) -> None:
        """Wait until all that was written is here: the streams have ended, or `timeout` seconds have passed."""
        deadline = time.monotonic() + timeout
        for reader in self._readers:
            reader.join(max(0.0, deadline - time.monotonic()))
        self._readers = [reader for reader in self._readers if reader.is_alive()]

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for raw in stream:
                line = LogLine(time.time(), raw.decode("utf-8", errors="replace").rstrip("\r\n"))
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._open -= 1
            self._changed.notify_all()


def clock(moment: float) -> str:
    """Local time of day of `moment` (seconds since the epoch), to the millisecond."""
    return time.strftime("%H:%M:%S", time.localtime(moment)) + f".{int(moment * 1000) % 1000:03d}"

"""What a notifier that was killed leaves to the next: the transitions that wait, and the scripts that run.

The file holds one JSON array a line, and keepalived's own lines as they came. It is appended to at every step and
emptied when nothing waits.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from app.notifier.transition import Transition

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable

#: Bytes at which the file is written anew although something still waits.
LARGE = 1 << 20


class RunningScript(NamedTuple):
    """A script that runs. `started` is field 22 of /proc/PID/stat, `deadline` is in CLOCK_MONOTONIC seconds."""

    instance: str
    pid: int
    started: int
    deadline: float


class Picture(NamedTuple):
    """All that there is to know: each instance's last state, what waits for which hook, and what runs. `unheard` are
    keepalived's lines of which nothing was made yet."""

    next_number: int
    states: dict[str, str]
    waiting: dict[str, list[Transition]]
    running: list[RunningScript]
    unheard: bytes = b""


class Journal:
    """The file exists: this process can write it, but not its directory. It is on a tmpfs as a rule: it outlives this
    process, not the host. Without it the hooks would still be run, so it is no error when it cannot be written.
    """

    def __init__(self, path: str, log: logging.Logger) -> None:
        """Raises OSError when there is no such file."""
        self._path = path
        self._log = log
        self._is_told = False
        # No O_APPEND: splice(2) refuses it.
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._size = os.fstat(self._fd).st_size

    @property
    def is_large(self) -> bool:
        """Whether it is time for `rewrite`."""
        return self._size > LARGE

    def receive(self, pipe: int) -> bytes:
        """What is in the pipe, which must not block. The kernel moves it to the file first: there is no moment at which
        it is in neither. Raises BlockingIOError when there is nothing."""
        try:
            count = os.splice(pipe, self._fd, 1 << 16, offset_dst=self._size, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            raise
        except OSError as error:
            self._complain(error)
            return os.read(pipe, 1 << 16)
        data = os.pread(self._fd, count, self._size)
        self._size += count
        return data

    def add(self, transitions: Iterable[Transition], hooks: Iterable[str]) -> None:
        """What was made of all that was received: these wait for `hooks`."""
        records: list[list[object]] = [["waits", transition, list(hooks)] for transition in transitions]
        self._write(*records, ["heard"])

    def drop(self, hook: str, transition: Transition) -> None:
        """It waits no more."""
        self._write(["gone", hook, transition.number])

    def runs(self, running: RunningScript) -> None:
        """A script has been started."""
        self._write(["runs", running])

    def ended(self, pid: int) -> None:
        """It has ended."""
        self._write(["ended", pid])

    def rewrite(self, picture: Picture) -> None:
        """Replaces everything; for the few microseconds that it takes nothing is kept."""
        lines: list[list[object]] = [["states", picture.next_number, picture.states]]
        lines += [["waits", transition, [hook]] for hook, queue in picture.waiting.items() for transition in queue]
        lines += [["runs", running] for running in picture.running]
        os.ftruncate(self._fd, 0)
        self._size = 0
        self._write(*lines)

    def _write(self, *records: list[object]) -> None:
        text = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
        try:
            self._size += os.pwrite(self._fd, text.encode(), self._size)
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self._is_told:
            self._log.warning("%s: cannot be written: %s", self._path, error.strerror)
            self._is_told = True

    def read(self) -> Picture:
        """What the notifier before this one knew at its end. Lines that cannot be read, such as a last one that was
        cut short, are passed over."""
        next_number = 1
        states: dict[str, str] = {}
        waiting: dict[str, dict[int, Transition]] = {}
        running: dict[int, RunningScript] = {}
        unheard = b""
        content = os.pread(self._fd, self._size, 0)
        if content and not content.endswith(b"\n"):
            self._size += os.pwrite(self._fd, b"\n", self._size)
        for line in content.splitlines():
            if not line.startswith(b"["):
                unheard += line + b"\n"
                continue
            try:
                record: list[Any] = json.loads(line)
                match record:
                    case ["states", int(number), dict(said)]:
                        next_number, states = number, said
                    case ["waits", fields, list(hooks)]:
                        transition = Transition(*fields)
                        next_number = max(next_number, transition.number + 1)
                        states[transition.instance] = transition.state
                        for hook in hooks:
                            waiting.setdefault(hook, {})[transition.number] = transition
                    case ["heard"]:
                        unheard = b""
                    case ["gone", hook, number]:
                        waiting.get(hook, {}).pop(number, None)
                    case ["runs", fields]:
                        running[fields[1]] = RunningScript(*fields)
                    case ["ended", pid]:
                        running.pop(pid, None)
            except (ValueError, TypeError, LookupError):
                continue
        in_order = {hook: [queue[number] for number in sorted(queue)] for hook, queue in waiting.items()}
        return Picture(next_number, states, in_order, list(running.values()), unheard)

"""The notifier's loop: reads transitions at once, whatever the hooks do, and starts what may start."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import TYPE_CHECKING

from app.notifier.journal import Journal, Picture
from app.notifier.lanes import Lanes
from app.notifier.post import Poster
from app.notifier.script import Orphan, Run
from app.notifier.transition import Lines, Transition, parse

if TYPE_CHECKING:
    import logging

    from app.contract.notifier_config import NotifierConfig

SCRIPT, URL = "script", "url"


class Notifier:
    """Raises OSError when its FIFO or its journal is not there."""

    def __init__(self, config: NotifierConfig, log: logging.Logger) -> None:
        self._config = config
        self._limits = config.limits
        self._log = log
        # Never without a writer, so that it never looks as if it had ended; keepalived does the same and so keeps what
        # it wrote while there is no notifier.
        self._fifo = os.open(config.transitions, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._lines = Lines()
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        for fd in (self._fifo, self._woken):
            self._poll.register(fd, select.POLLIN)
        self._end: float | None = None
        self._dropped: dict[str, int] = {}
        self._waiting: dict[str, Lanes] = {}
        self._poster: Poster | None = None
        if config.script is not None:
            self._waiting[SCRIPT] = Lanes(self._limits.waiting, lambda transition: transition.instance)
        if config.url is not None:
            self._waiting[URL] = Lanes(self._limits.waiting, lambda _: URL)
            self._poster = Poster(config, config.url, log, self.wake)
        self._runs: dict[int, Run] = {}  # by the descriptor of its output
        self._orphans: list[Orphan] = []
        self._states: dict[str, str] = {}
        self._next_number = 1
        self._journal = Journal(config.journal, log)
        self._take_over(self._journal.read())

    @property
    def wake_fd(self) -> int:
        """For signal.set_wakeup_fd: whoever writes a byte here wakes the loop."""
        return self._wake

    def wake(self) -> None:
        """From any thread."""
        with contextlib.suppress(BlockingIOError):  # enough bytes are waiting already
            os.write(self._wake, b"\0")

    def stop(self) -> None:
        """Ends the loop when nothing waits or runs any more, and after the drain limit at the latest."""
        if self._end is None:
            self._end = time.monotonic() + self._limits.drain

    def run(self) -> None:
        """Until `stop`."""
        while True:
            is_quiet = not self._hear()
            self._reap()
            self._start()
            if self._end is not None and ((is_quiet and self._is_idle) or time.monotonic() >= self._end):
                break
            self._sleep(self._enforce())
        if not self._is_idle:
            left = sum(len(lanes) for lanes in self._waiting.values())
            self._log.warning("stopped with %d transitions untold and %d scripts running", left, len(self._runs))

    def _take_over(self, picture: Picture) -> None:
        """Goes on where the notifier before this one was."""
        self._next_number, self._states = picture.next_number, dict(picture.states)
        for hook, waiting in picture.waiting.items():
            for transition in waiting:
                self._put(hook, transition)
        self._orphans = [Orphan(running, self._limits.grace) for running in picture.running]
        if picture.unheard:
            self._accept(picture.unheard)
        self._tidy()

    @property
    def _is_idle(self) -> bool:
        is_posting = self._poster is not None and self._poster.current is not None
        return not (any(self._waiting.values()) or self._runs or self._orphans or is_posting)

    def _sleep(self, until: float | None) -> None:
        now = time.monotonic()
        moments = [moment for moment in (until, self._end) if moment is not None]
        timeout = max(0, int((min(moments) - now) * 1000) + 1) if moments else None
        for fd, _events in self._poll.poll(timeout):
            if fd in self._runs and not self._runs[fd].read():
                # It may go on without its output.
                self._poll.unregister(fd)
            elif fd == self._woken:
                os.read(self._woken, 4096)

    # What comes in

    def _hear(self) -> bool:
        """Whether there was anything to hear."""
        try:
            data = self._journal.receive(self._fifo)
        except BlockingIOError:
            return False
        self._accept(data)
        return True

    def _accept(self, data: bytes) -> None:
        now, clock = time.time(), time.monotonic()
        transitions = []
        for line in self._lines.feed(data):
            change = parse(line)
            # keepalived tells the state of an instance again when it starts again: no transition.
            if change is None or self._states.get(change.instance) == change.state:
                continue
            previous = self._states.get(change.instance)
            self._states[change.instance] = change.state
            transition = Transition(
                self._next_number, now, clock, change.instance, change.state, previous, change.priority
            )
            self._next_number += 1
            transitions.append(transition)
        self._journal.add(transitions, self._waiting)
        for transition in transitions:
            for hook in self._waiting:
                self._put(hook, transition)

    def _put(self, hook: str, transition: Transition) -> None:
        lanes = self._waiting.get(hook)
        dropped = lanes.put(transition) if lanes is not None else None
        if dropped is None:
            return
        self._journal.drop(hook, dropped)
        if hook not in self._dropped:
            limit = self._limits.waiting
            self._log.error("%s: %d transitions wait, so the oldest are dropped: %s", self._name(hook), limit, dropped)
        self._dropped[hook] = self._dropped.get(hook, 0) + 1

    # What goes out

    def _start(self) -> None:
        """All that may start now: one script for each instance, one POST."""
        scripts = self._waiting.get(SCRIPT)
        if scripts:
            busy = {process.running.instance for process in (*self._runs.values(), *self._orphans)}
            for instance in scripts.lanes():
                if len(busy) >= self._limits.at_once:
                    break
                if instance not in busy:
                    busy.add(instance)
                    self._run(scripts.take(instance))
        told = self._waiting.get(URL)
        if told and self._poster is not None and self._poster.current is None:
            self._poster.post(told.take(URL))

    def _run(self, transition: Transition) -> None:
        script = self._config.script
        if script is None:
            return
        # Before it is started: a script that may have run is not run again.
        self._journal.drop(SCRIPT, transition)
        try:
            run = Run(script, transition, self._limits)
        except OSError as error:
            self._log.error("%s %s: cannot be run: %s", script, transition, error.strerror)
            self.wake()
            return
        self._journal.runs(run.running)
        self._runs[run.output_fd] = run
        self._poll.register(run.output_fd, select.POLLIN)

    def _reap(self) -> None:
        """Looks for what has ended."""
        before = len(self._runs), len(self._orphans)
        for fd, run in list(self._runs.items()):
            if run.reap():
                run.close()
                del self._runs[fd]
                self._journal.ended(run.running.pid)
                say = self._log.warning if run.is_failure else self._log.info
                say("%s %s: %s", self._config.script, run.transition, run.outcome())
        for orphan in [orphan for orphan in self._orphans if orphan.has_ended()]:
            self._orphans.remove(orphan)
            self._journal.ended(orphan.running.pid)
        told = self._poster.finished() if self._poster else None
        if told is not None:
            self._journal.drop(URL, told)
        if told is not None or before != (len(self._runs), len(self._orphans)):
            self._tidy()

    def _enforce(self) -> float | None:
        """Holds processes to their limits; gives when to look again."""
        now = time.monotonic()
        return min((process.enforce(now) for process in (*self._runs.values(), *self._orphans)), default=None)

    def _tidy(self) -> None:
        """Makes the journal short again."""
        if not (self._is_idle or self._journal.is_large):
            return
        waiting = {hook: list(lanes) for hook, lanes in self._waiting.items()}
        if self._poster and self._poster.current:
            waiting[URL].insert(0, self._poster.current)
        running = [process.running for process in (*self._runs.values(), *self._orphans)]
        self._journal.rewrite(Picture(self._next_number, self._states, waiting, running))
        for hook, lanes in self._waiting.items():
            if hook in self._dropped and not lanes:
                self._log.error("%s: %d transitions were dropped in all", self._name(hook), self._dropped.pop(hook))

    def _name(self, hook: str) -> str | None:
        """What people know it by."""
        return self._poster.label if hook == URL and self._poster else self._config.script

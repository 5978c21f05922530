"""What PID 1 does about what happens: events in, actions out. It knows neither supervisord nor the kernel.

supervisord itself starts again what has ended, and gives up what cannot be started; this is the life of a node on top.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from app.contract import reports
from app.contract.programs import (
    AFTER_THE_LOG,
    BY_NAME,
    GO_ON,
    GUARD,
    KEEPALIVED,
    LOG_FORWARDER,
    PROGRAMS,
    RELOAD,
    TRY_AGAIN,
)
from app.pid1.events import (
    Action,
    Broken,
    CleanUp,
    DropPeers,
    EndContainer,
    Ended,
    EndHung,
    Event,
    GivenUp,
    Log,
    Moment,
    OpenGates,
    Printed,
    RememberPeers,
    Restart,
    Running,
    SayOpening,
    SendTo,
    Start,
    Started,
    Stop,
    TakeBack,
)
from app.pid1.peers import Learning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


#: Seconds between two attempts to start a program that supervisord has given up.
RETRY_SECONDS = 10.0

#: A log forwarder that dies so many seconds after it was ready may have printed nothing of what had waited for it.
YOUNG_SECONDS = 0.25

#: A keepalived that hangs in the kernel for so many seconds, three of the default adverts, is ended.
HUNG_SECONDS = 3.0

#: How rsyslogd ends its complaints when there are many.
_NO_WORDS = re.compile(r"max number of error messages|Consider adjusting|errorMessagesToStderr|if you want more")


class Policy:
    """Remembers what it has to, and decides.

    ``has_file``: whether the run directory has a file of that name; ``pid``: the process of a program, 0 for none;
    ``states``: the letters of keepalived's processes in /proc/PID/stat.
    """

    def __init__(self, has_file: Callable[[str], bool], pid: Callable[[str], int], states: Callable[[], str]) -> None:
        self._has_file = has_file
        self._pid = pid
        self._states = states
        #: Since when keepalived has hung in the kernel at every look.
        self._hangs_since: float | None = None
        self._alive: set[str] = set()
        self._started: set[str] = set()
        self._last_words: dict[str, str] = {}
        self._is_heard = False
        self._is_stopping = False
        self._reload_is_due = False
        #: When programs that supervisord has given up are to be started again.
        self._due: dict[str, float] = {}
        #: Since when the log forwarder has been ready.
        self._ready_at: float | None = None
        self._failure: str | None = None
        self._learning = Learning()

    def decide(self, event: Event, now: float) -> list[Action]:
        """What to do about ``event``, in this order, at ``now`` (monotonic seconds)."""
        return list(self._decide(event, now))

    def _decide(self, event: Event, now: float) -> Iterator[Action]:
        match event:
            case Started(program):
                self._alive.add(program)
                self._started.add(program)
                if program == LOG_FORWARDER:
                    self._ready_at = None
            case Running(program) if program == LOG_FORWARDER:
                yield from self._start_the_rest()
            case Ended():
                yield from self._ended(event, now)
            case GivenUp(program) if program == GUARD:  # which cannot say so itself
                yield from self._fail(f"{GUARD} could not be started")
            case Printed():
                yield from self._printed(event)
            case reports.Report() if self._may_say(event):
                yield from self._reported(event, now)
            case reports.Report(kind=kind, pid=pid, uid=uid):
                sentence = f"ignored a report {kind} of process {pid}, account {uid}"
                yield Log(logging.WARNING, f"{sentence}; only {reports.SENDERS[kind]} and root may send it")
            case Moment.HUNG_UP:
                self._reload_is_due = True
                yield from self._reload_if_due()
            case Moment.STOPPING:
                self._is_stopping = True
            case Broken(why, trace):
                yield Log(logging.DEBUG, f"the supervisor has failed\n{trace}")
                yield from self._fail(f"the supervisor has failed: {why}")
            case Moment.TIME_PASSED:
                yield from self._time_passed(now)

    def _may_say(self, report: reports.Report) -> bool:
        """Whether the kernel bears out that the report is from whom it should be."""
        sender = reports.SENDERS[report.kind]
        return report.uid == 0 or (report.pid != 0 and report.pid == self._pid(sender))

    def _ended(self, event: Ended, now: float) -> Iterator[Action]:
        self._alive.discard(event.program)
        if event.why:
            self._last_words[event.program] = event.why  # it has said nothing itself
        if event.program == LOG_FORWARDER:
            is_young = self._ready_at is None or now - self._ready_at < YOUNG_SECONDS
            yield TakeBack(not event.is_orderly, is_young)
        elif event.program == KEEPALIVED:
            yield CleanUp(event.leader)

    def _printed(self, event: Printed) -> Iterator[Action]:
        if not _NO_WORDS.search(event.line):
            self._last_words[event.program] = event.words
        # Of what is no logger itself: a plain word on one channel, a complaint on the other.
        yield Log(logging.WARNING if event.is_complaint else logging.INFO, event.line, event.program)

    def _reported(self, report: reports.Report, now: float) -> Iterator[Action]:
        if report.kind == reports.FAILED:
            yield from self._give_up(report.text, now)
        elif report.kind == reports.READY:
            self._ready_at = now
            yield from self._start_the_rest()
        elif report.kind == reports.OPENED:
            yield OpenGates(tuple(report.text.split()))
        elif report.kind == reports.RELOAD:
            yield DropPeers(report.text)
            if self._learning.forget(report.text.split()):
                yield RememberPeers(self._learning.peers)
            self._reload_is_due = True
            yield from self._reload_if_due()
        elif report.kind == reports.CHANGED:
            for name in report.text.split():
                if name in BY_NAME:
                    yield from self._file_changed(name)
        elif report.kind == reports.HEARD:
            self._learning.hear(report.text)
            yield from self._learn_if_due(now)

    def _learn_if_due(self, now: float) -> Iterator[Action]:
        new = self._learning.due(now)
        if not new:
            return
        yield RememberPeers(self._learning.peers)
        yield SendTo(new)
        for peer in new:
            what = f"{peer.instance}: {peer.address} sends adverts and is no peer of this node"
            yield Log(logging.WARNING, f"{what}: sending to it from now on")
        # A reload that runs now may have read the old list; the next one writes it once more.
        self._reload_is_due |= RELOAD in self._alive

    def _start_the_rest(self) -> Iterator[Action]:
        """What waited for the log. Again and again does no harm."""
        if not self._is_heard:
            self._is_heard = True
            yield SayOpening()
        if self._is_stopping:
            return
        for name, file in ((program.name, program.file) for program in PROGRAMS if program.start == AFTER_THE_LOG):
            if self._has_file(file) and name not in self._started:
                yield Start(name)

    def _file_changed(self, name: str) -> Iterator[Action]:
        """Ends what runs, and starts what has a file to read."""
        file = BY_NAME[name].file
        is_wanted = file is None or self._has_file(file)
        if name in self._alive:
            yield Restart(name) if is_wanted else Stop(name)
        elif is_wanted and not self._is_stopping:
            yield Start(name)

    def _reload_if_due(self) -> Iterator[Action]:
        """One that is due while another runs comes after it."""
        if self._reload_is_due and RELOAD not in self._alive and not self._is_stopping:
            self._reload_is_due = False
            yield Start(RELOAD)

    def _end_hung(self, now: float) -> Iterator[Action]:
        """A keepalived that is stopped, or hangs in the kernel, holds VIPs that a peer takes too."""
        states = self._states()
        if "D" not in states:  # which is nothing odd for a moment
            self._hangs_since = None
        elif self._hangs_since is None:
            self._hangs_since = now
        if "T" in states or (self._hangs_since is not None and now - self._hangs_since >= HUNG_SECONDS):
            self._hangs_since = None
            yield Log(logging.CRITICAL, f"{KEEPALIVED} does nothing any more (process state {states}); ending it")
            yield EndHung()

    def _time_passed(self, now: float) -> Iterator[Action]:
        yield from self._end_hung(now)
        for name in [name for name, due in self._due.items() if now >= due]:
            del self._due[name]
            # A reload may have found that there is nothing to do for it any more.
            if not self._is_stopping and self._has_file(BY_NAME[name].file):
                yield Start(name)
        yield from self._learn_if_due(now)
        yield from self._reload_if_due()

    def _give_up(self, why: str, now: float) -> Iterator[Action]:
        """What the guard says of a program; only one that the VIP depends on ends the container."""
        name = why.split(" ", 1)[0]
        on_failure = BY_NAME[name].on_failure if name in BY_NAME else None
        if on_failure == GO_ON:
            yield Log(logging.CRITICAL, f"{why}; the node goes on without it")
        elif on_failure == TRY_AGAIN and self._is_heard:
            again = f"trying again in {RETRY_SECONDS:.0f} s, the node goes on"
            yield Log(logging.CRITICAL, f"{self._with_last_words(why)}; {again}")
            self._due[name] = now + RETRY_SECONDS
        else:
            yield from self._fail(why)

    def _with_last_words(self, why: str) -> str:
        last_words = self._last_words.get(why.split(" ", 1)[0])
        return f"{why}: {last_words}" if last_words else why

    def _fail(self, why: str) -> Iterator[Action]:
        if self._failure is None and self._is_stopping:
            return  # it was told to end, and that it does
        if self._failure is None:
            self._failure = self._with_last_words(why)
            yield Log(logging.CRITICAL, f"{self._failure}; ending the container")
        self._is_stopping = True
        yield EndContainer(self._failure)

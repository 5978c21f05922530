"""supervisord in-process (docs/decisions/0001-supervisord-in-process.md): all that is private to it is in this file.

On its own it sleeps up to a second before it starts, stops or misses anything. tests/unit/pid1/test_supervisor.py holds
that each name of its that is used here exists.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor import events, loggers
from supervisor.medusa import asyncore_25 as asyncore
from supervisor.options import ServerOptions
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

from app.contract.paths import SUPERVISORD_CONF
from app.contract.programs import PROGRAMS, Program
from app.contract.syslog import open_log
from app.pid1.events import Broken, Ended, Event, GivenUp, Moment, Printed, Running, Started

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: supervisord's levels; what it says of every start and stop is for who looks for it (debug).
_LEVELS = {
    loggers.LevelsByName.CRIT: logging.CRITICAL,
    loggers.LevelsByName.ERRO: logging.ERROR,
    loggers.LevelsByName.WARN: logging.WARNING,
}


class _ToLog(loggers.Handler):  # type: ignore[misc]  # supervisor has no types
    """supervisord's own messages, handed to our log."""

    def __init__(self, log: logging.Logger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: Any) -> None:
        """One message."""
        message = record.asdict()["message"].rstrip()
        # supervisord warns of every signal; an end that was asked for is no reason to.
        level = logging.INFO if message.startswith("received SIG") else _LEVELS.get(record.level, logging.DEBUG)
        self._log.log(level, "%s", message)


#: The signals that supervisord has handlers for.
_HANDLED = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD),
)


class _Options(ServerOptions):  # type: ignore[misc]  # supervisor has no types
    """supervisord's options, with our log in place of a log file."""

    def make_logger(self) -> None:
        """Called by supervisord once, when it has read its configuration."""
        self.logger = loggers.getLogger(self.loglevel)
        self.logger.addHandler(_ToLog(open_log("supervisord", os.environ["LOG_LEVEL"])))

    def fork(self) -> int:
        """Called by supervisord to start a program, which may be told to stop before it is executed.

        PID 1's handlers, which the child has until then, would take the signal for one of PID 1's own.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        try:
            pid: int = super().fork()
            if pid == 0:
                for number in _HANDLED:
                    signal.signal(number, signal.SIG_DFL)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid


class Readable:
    """Something for supervisord's poll loop to watch: calls ``act`` whenever ``fd`` is readable."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def readable(self) -> bool:
        """Always of interest."""
        return True

    def writable(self) -> bool:
        """Never."""
        return False

    def handle_read_event(self) -> None:
        """The descriptor is readable."""
        self._act()

    def handle_write_event(self) -> None:
        """The descriptor is writable."""
        self._act()

    def handle_error(self) -> None:
        """supervisord's loop calls this in an except clause; an error of ours is a defect, so it must be seen."""
        error = sys.exception()
        if error is not None:
            raise error


class Writable(Readable):
    """The same for a descriptor that is written to while ``is_wanted``."""

    def __init__(self, act: Callable[[], None], is_wanted: Callable[[], bool]) -> None:
        super().__init__(act)
        self._is_wanted = is_wanted

    def readable(self) -> bool:
        """Never."""
        return False

    def writable(self) -> bool:
        """Only while there is something to write: a descriptor that is writable would end every poll at once."""
        return self._is_wanted()


#: Its words for what failed before a program was executed, and the line that says no more than the one before it.
_ITS_WORD, _SAYS_NOTHING = "supervisor: ", "supervisor: child process was not spawned"

#: What the kernel takes at most.
_OOM_SCORE_MAX = 1000


def _offer_to_the_oom_killer(more: int) -> None:
    """Has the kernel end this process sooner than PID 1; raising the score needs no privilege."""
    score = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError):  # it is no reason not to run
        score.write_text(str(min(int(score.read_text(encoding="ascii")) + more, _OOM_SCORE_MAX)), encoding="ascii")


_ENDED = (events.ProcessStateExitedEvent, events.ProcessStateBackoffEvent, events.ProcessStateStoppedEvent)


class Programs(Supervisor):  # type: ignore[misc]  # supervisor has no types
    """supervisord with a loop that wakes up at once. It says what happens, and does what it is told.

    ``tell`` hears of every event, ``each_round`` is called at least once a second; ``prepare`` has, for a program, what
    its process does before it is executed.
    """

    def __init__(
        self,
        tell: Callable[[Event], None],
        each_round: Callable[[], None],
        prepare: Mapping[str, Callable[[], None]],
    ) -> None:
        options = _Options()
        options.realize(["--configuration", str(SUPERVISORD_CONF)])
        options.first, options.test = True, False  # as supervisord's own main() says
        super().__init__(options)
        self._tell = tell
        self._each_round = each_round
        self._prepare = prepare
        self._was_hung_up = self._is_told_to_stop = False
        self._wake_up, self._woken = socket.socketpair()

    def watch(self, fd: int, dispatcher: Readable) -> None:
        """Has the loop watch a descriptor."""
        self.options.get_socket_map()[fd] = dispatcher

    def until_stopped(self) -> None:
        """Runs the programs of supervisord.conf until all have stopped."""
        with contextlib.suppress(asyncore.ExitNow):
            self.main()

    def pid(self, name: str) -> int:
        """The process of a program, 0 while it has none."""
        return int(self._process(name).pid)

    def start_program(self, name: str) -> None:
        """Starts a program that does not run."""
        self._process(name).spawn()
        self._wake()

    def restart_program(self, name: str) -> None:
        """Asks a program to end, which is then started again."""
        self._process(name).signal(signal.SIGTERM)
        self._wake()

    def stop_program(self, name: str) -> None:
        """Stops a program, which then stays so."""
        self._process(name).stop()
        self._wake()

    def stop_all(self) -> None:
        """Stops everything, in order; then ``until_stopped`` returns."""
        self.options.mood = SupervisorStates.SHUTDOWN
        self._wake()

    def _process(self, name: str) -> Any:
        return self.process_groups[name].processes[name]

    def runforever(self) -> None:
        """supervisord's loop. Raises asyncore.ExitNow when everything has stopped."""
        for program in PROGRAMS:
            self._prepare_child(program)
        # A signal that comes while the loop polls is only looked at when the poll ends: this byte ends it.
        for end in (self._wake_up, self._woken):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_up.fileno(), warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # blocked by app.lifecycle.start
        # supervisord would start everything anew.
        signal.signal(signal.SIGHUP, self._on_hangup)
        self.watch(self._woken.fileno(), Readable(self._on_wake_up))
        self._wake()
        events.subscribe(events.ProcessLogEvent, self._on_output)
        events.subscribe(events.ProcessStateEvent, self._on_state)
        try:
            super().runforever()
        except asyncore.ExitNow:
            raise
        except Exception as error:  # noqa: BLE001 - a PID 1 that dies leaves the VIP on the host: stop in order first
            self._tell(Broken(repr(error), traceback.format_exc().rstrip()))
            super().runforever()

    def _prepare_child(self, program: Program) -> None:
        # supervisord has no other place for it.
        process = self._process(program.name)
        prepare_fds = process._prepare_child_fds
        prepare = self._prepare.get(program.name)

        def prepare_more() -> None:
            prepare_fds()
            _offer_to_the_oom_killer(program.oom_score)
            if prepare:
                prepare()

        process._prepare_child_fds = prepare_more

    def handle_signal(self) -> None:
        """Says when the node is told to stop."""
        super().handle_signal()
        if self.options.mood < SupervisorStates.RUNNING and not self._is_told_to_stop:
            self._is_told_to_stop = True
            self._tell(Moment.STOPPING)

    def tick(self, now: float | None = None) -> None:
        """Once in each round of the loop, which takes a second at the most."""
        super().tick(now)
        if self._was_hung_up:
            self._was_hung_up = False
            self._tell(Moment.HUNG_UP)
        self._each_round()

    def reap(self, once: bool = False, recursionguard: int = 0) -> None:
        """Collects ended programs; what was ended is started again in the loop's next round, which is now."""
        before = len(self.options.pidhistory)
        super().reap(once, recursionguard)
        if len(self.options.pidhistory) < before:
            self._wake()

    def ordered_stop_groups_phase_2(self) -> None:
        """Goes on to the next program as soon as one has stopped."""
        before = len(self.stop_groups or ())
        super().ordered_stop_groups_phase_2()
        if len(self.stop_groups or ()) < before:
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # enough bytes are waiting already
            self._wake_up.send(b"\0")

    def _on_wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(512):
                pass

    def _on_hangup(self, *_: object) -> None:
        self._was_hung_up = True

    def _on_output(self, event: Any) -> None:
        """Something that a program printed; what it logs goes to the log forwarder by itself."""
        for line in event.data.decode(errors="replace").splitlines():
            if line.strip() and line != _SAYS_NOTHING:
                words = line.removeprefix(_ITS_WORD).strip()
                self._tell(Printed(event.process.config.name, line.rstrip(), words, event.channel != "stdout"))

    def _on_state(self, event: Any) -> None:
        process, name = event.process, event.process.config.name
        if isinstance(event, events.ProcessStateStartingEvent):
            self._tell(Started(name))
        elif isinstance(event, events.ProcessStateRunningEvent):
            self._tell(Running(name))
        elif isinstance(event, events.ProcessStateFatalEvent):
            self._tell(GivenUp(name))
        elif isinstance(event, _ENDED):
            # Every event says that it was expected, but only an exit knows.
            is_exit = isinstance(event, events.ProcessStateExitedEvent)
            is_orderly = isinstance(event, events.ProcessStateStoppedEvent) or (is_exit and event.expected)
            is_unborn = isinstance(event, events.ProcessStateBackoffEvent) and not process.pid
            self._tell(Ended(name, process.pid, is_orderly, process.spawnerr if is_unborn else None))

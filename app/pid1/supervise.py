"""PID 1: runs supervisord in-process, wakes its loop in time, and chooses the exit status.

supervisord on its own sleeps up to a second before it starts, stops or misses anything, ends with 0 whatever happened,
and knows nothing of VIPs that a killed keepalived leaves behind (docs/decisions/0001-supervisord-in-process.md).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor import events
from supervisor.medusa import asyncore_25 as asyncore
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

from app.contract import reports
from app.contract.errors import EXIT_FAILED, EXIT_STOPPED
from app.contract.gates import GONE_FILE, MEMORY, OPEN, SHUT
from app.contract.paths import STREAM_FD, SUPERVISORD_CONF, Layout
from app.contract.programs import AFTER_THE_LOG, BY_NAME, GO_ON, PROGRAMS
from app.contract.syslog import flush, open_log
from app.contract.verdict import write_atomically
from app.host.leftovers import remove_leftovers
from app.pid1.log.intake import Intake
from app.pid1.log.unprinted_lines import print_lines
from app.pid1.supervisord import Options, Readable, Writable

if TYPE_CHECKING:
    from supervisor.options import ServerOptions

PROGRAM = "ka"
#: Seconds between two attempts to start a log forwarder that supervisord has given up.
FORWARDER_RETRY = 10.0
#: Seconds that what is left of a keepalived gets to say goodbye before it is killed.
GOODBYE = 0.1

#: How rsyslogd ends its complaints when there are many.
_NO_WORDS = re.compile(r"max number of error messages|Consider adjusting|errorMessagesToStderr|if you want more")

_ENDED = (events.ProcessStateExitedEvent, events.ProcessStateBackoffEvent, events.ProcessStateStoppedEvent)


class SupervisedNode(Supervisor):  # type: ignore[misc]  # supervisor has no types
    """supervisord with a loop that wakes up at once, and the life of a node on top of it."""

    def __init__(self, options: ServerOptions, layout: Layout, intake: Intake) -> None:
        super().__init__(options)
        self._intake = intake
        self.failure: str | None = None
        self._reload_is_due = False
        #: When the log forwarder is to be started again after supervisord has given it up (monotonic seconds).
        self._forwarder_due: float | None = None
        self._layout = layout
        self._log = open_log(PROGRAM, os.environ["LOG_LEVEL"])
        self._output: dict[str, logging.Logger] = {}
        self._last_words: dict[str, str] = {}
        self._reports = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._wake_up, self._woken = socket.socketpair()

    def runforever(self) -> None:
        """supervisord's loop. Raises asyncore.ExitNow when everything has stopped."""
        self._listen()
        self._take_in_the_log()
        # A signal that comes while the loop polls is only looked at when the poll ends: this byte ends it.
        for end in (self._wake_up, self._woken):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_up.fileno(), warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # blocked by app.lifecycle.start
        # supervisord would start everything anew.
        signal.signal(signal.SIGHUP, self._on_hangup)
        self.options.get_socket_map()[self._woken.fileno()] = Readable(self._on_wake_up)
        self._wake()
        events.subscribe(events.ProcessLogEvent, self._on_output)
        events.subscribe(events.ProcessStateEvent, self._on_state)
        try:
            super().runforever()
        except asyncore.ExitNow:
            raise
        except Exception as error:  # noqa: BLE001 - a PID 1 that dies leaves the VIP on the host: stop in order first
            self._log.debug("the supervisor has failed", exc_info=error)
            self._fail(f"the supervisor has failed: {error!r}")
            super().runforever()

    def _take_in_the_log(self) -> None:
        """Watches the intake's sockets, and has the log forwarder inherit its end of them."""
        watched = self.options.get_socket_map()
        watched[self._intake.listener.fileno()] = Readable(self._intake.read)
        watched[self._intake.output.fileno()] = Writable(self._intake.hand_on, lambda: self._intake.waits)
        forwarder = self.process_groups["log-forwarder"].processes["log-forwarder"]
        self._intake.forwarder_pid = lambda: forwarder.pid
        # supervisord has no other place for it.
        prepare = forwarder._prepare_child_fds

        def prepare_with_socket() -> None:
            prepare()
            self._intake.prepare_child()

        forwarder._prepare_child_fds = prepare_with_socket

    def tick(self, now: float | None = None) -> None:
        """Once in each round of the loop, which takes a second at the most."""
        super().tick(now)
        flush()
        self._intake.tick()
        if self._forwarder_due is not None and time.monotonic() >= self._forwarder_due:
            self._forwarder_due = None
            if self.options.mood >= SupervisorStates.RUNNING:
                self.process_groups["log-forwarder"].processes["log-forwarder"].spawn()

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
        self._reload_if_due()

    def _on_hangup(self, *_: object) -> None:
        self._reload_is_due = True

    def _reload_if_due(self) -> None:
        """Starts ``ka reload``; one that is due while another runs comes after it."""
        process = self.process_groups["reload"].processes["reload"]
        if self._reload_is_due and not process.pid and self.options.mood >= SupervisorStates.RUNNING:
            self._reload_is_due = False
            process.spawn()

    def _listen(self) -> None:
        self._open_gates([])
        (self._layout.run_dir / GONE_FILE).unlink(missing_ok=True)
        self._reports.bind(str(self._layout.ready_socket))
        # The siblings report here; none of them is root.
        self._layout.ready_socket.chmod(0o666)
        self.options.get_socket_map()[self._reports.fileno()] = Readable(self._on_report)

    def _on_report(self) -> None:
        """A datagram in the form of sd_notify(3): the forwarder is ready, the guard wants an end, a reload is due."""
        try:
            report = reports.parse(self._reports.recv(4096), pid=0, uid=-1)
        except BlockingIOError:
            return
        if report is None:
            return
        if report.kind == reports.FAILED:
            self._give_up(report.text)
        elif report.kind == reports.READY:
            self._start_the_rest()
        elif report.kind == reports.OPENED:
            self._open_gates(report.text.split())
        elif report.kind == reports.RELOAD:
            write_atomically(self._layout.run_dir / GONE_FILE, f"{report.text}\n")
            self._reload_is_due = True
            self._reload_if_due()
        elif report.kind == reports.CHANGED:
            self._restart(report.text.split())

    def _open_gates(self, names: list[str]) -> None:
        """What app.peers.watch says of this node's part; keepalived tracks these files where they matter."""
        for name in MEMORY:
            write_atomically(self._layout.run_dir / name, OPEN if name in names else SHUT)

    def _start_the_rest(self) -> None:
        """Logs what was to say before there was a log, and starts what waited for it. Again and again does no harm."""
        if self._layout.opening.exists():
            for line in self._layout.opening.read_text(encoding="utf-8").splitlines():
                level, _, message = line.partition(" ")
                self._log.log(int(level), "%s", message)
            self._layout.opening.unlink()
        if self.options.mood < SupervisorStates.RUNNING:
            return
        for name, file in ((program.name, program.file) for program in PROGRAMS if program.start == AFTER_THE_LOG):
            process = self.process_groups[name].processes[name]
            if (self._layout.run_dir / file).exists() and not process.laststart:
                process.spawn()
        self._wake()

    def _restart(self, names: list[str]) -> None:
        """What a reload changed the file of: stops what runs, and starts what has a file to read."""
        for name in names:
            process = self.process_groups[name].processes[name]
            file = BY_NAME[name].file
            is_wanted = file is None or (self._layout.run_dir / file).exists()
            if process.pid and is_wanted:
                process.signal(signal.SIGTERM)  # supervisord starts it again
            elif process.pid:
                process.stop()
            elif is_wanted:
                process.spawn()
        self._wake()

    def _on_output(self, event: Any) -> None:
        """Something that a program printed; what it logs goes to the log forwarder by itself."""
        name = event.process.config.name
        log = self._output.setdefault(name, open_log(name, os.environ["LOG_LEVEL"]))
        for line in event.data.decode(errors="replace").splitlines():
            if line.strip() and line != "supervisor: child process was not spawned":  # the line before it says why
                if not _NO_WORDS.search(line):
                    self._last_words[name] = line.removeprefix("supervisor: ").strip()
                # Of what is no logger itself: a plain word on one channel, a complaint on the other.
                log.log(logging.INFO if event.channel == "stdout" else logging.WARNING, "%s", line.rstrip())

    def _on_state(self, event: Any) -> None:
        name = event.process.config.name
        if isinstance(event, events.ProcessStateBackoffEvent) and not event.process.pid:
            # It could not even be forked, so it has said nothing itself.
            self._last_words[name] = event.process.spawnerr
        if name == "log-forwarder":
            self._on_forwarder(event)
        elif name == "keepalived" and isinstance(event, _ENDED):
            _end_group(event.process.pid)
            self._remove_leftovers()
            for stale in self._layout.keepalived_pid_files:
                stale.unlink(missing_ok=True)
        elif name == "guard" and isinstance(event, events.ProcessStateFatalEvent):
            self._fail("guard could not be started")
        elif name == "reload" and isinstance(event, _ENDED):
            self._wake()  # another may be due

    def _on_forwarder(self, event: Any) -> None:
        if isinstance(event, events.ProcessStateRunningEvent):
            self._start_the_rest()
        elif isinstance(event, _ENDED):
            # Every event says that it was expected, but only an exit knows.
            is_exit = isinstance(event, events.ProcessStateExitedEvent)
            is_orderly = isinstance(event, events.ProcessStateStoppedEvent) or (is_exit and event.expected)
            self._intake.forwarder_ended(was_killed=not is_orderly)

    def _remove_leftovers(self) -> None:
        vips = self._layout.vips.read_text(encoding="ascii").split()
        try:
            for address in remove_leftovers(vips):
                self._log.warning("removed %s, which keepalived left behind", address)
        except (OSError, subprocess.CalledProcessError) as error:
            self._log.error("cannot look for VIPs that keepalived left behind: %s", error)

    def _give_up(self, why: str) -> None:
        """What the guard says of a program; only one that the VIP depends on ends the container."""
        program = why.split(" ", 1)[0]
        if program in BY_NAME and BY_NAME[program].on_failure == GO_ON:
            self._log.critical("%s; the node goes on without it", why)
        elif program == "log-forwarder" and not self._layout.opening.exists():
            # It has run before: a node that cannot be heard still serves, and PID 1 keeps its lines.
            why = self._with_last_words(why)
            self._log.critical("%s; trying again in %.0f s, the node goes on", why, FORWARDER_RETRY)
            self._forwarder_due = time.monotonic() + FORWARDER_RETRY
        else:
            self._fail(why)

    def _with_last_words(self, why: str) -> str:
        last_words = self._last_words.get(why.split(" ", 1)[0])
        return f"{why}: {last_words}" if last_words else why

    def _fail(self, why: str) -> None:
        """Ends the container with a status that makes its restart policy act."""
        if self.failure is None:
            self.failure = self._with_last_words(why)
            self._log.critical("%s; ending the container", self.failure)
        self.options.mood = SupervisorStates.SHUTDOWN
        self._wake()


def _end_group(leader: int) -> None:
    """Ends what is left of a program whose first process has ended.

    keepalived's VRRP process sends priority 0 and removes its VIPs when it is asked to; only one that hangs is killed.
    """
    if not leader:
        return  # It could not even be forked, and group 0 is our own.
    deadline = time.monotonic() + GOODBYE
    try:
        os.killpg(leader, signal.SIGTERM)
        while os.waitpid(-leader, os.WNOHANG)[0] or time.monotonic() < deadline:
            time.sleep(0.001)
        os.killpg(leader, signal.SIGKILL)
        os.waitpid(-leader, 0)
    except (ProcessLookupError, ChildProcessError):
        return  # Nothing is left.


def main(run_dir: str) -> int:
    """Runs a node until it is told to stop or a program fails for good; gives the exit status."""
    os.dup2(sys.stdout.fileno(), STREAM_FD)
    # supervisord asks for a directory of temporary files, and a read-only root file system has none.
    tempfile.tempdir = run_dir
    layout = Layout(Path(run_dir))
    # Before anything is logged.
    intake = Intake(layout)
    options = Options()
    options.realize(["--configuration", str(SUPERVISORD_CONF)])
    options.first, options.test = True, False  # as supervisord's own main() says
    node = SupervisedNode(options, layout, intake)
    with contextlib.suppress(asyncore.ExitNow):
        node.main()
    flush()
    print_lines(STREAM_FD, intake.rest())
    if node.failure is None:
        return EXIT_STOPPED
    # The log forwarder may be what failed: this goes straight to the operator.
    print(f"ka: {intake.pipeline.masked(node.failure)}", file=sys.stderr)
    return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

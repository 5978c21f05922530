"""A node: tells the policy what happens, and carries out what it decides."""

from __future__ import annotations

import logging
import os
import socket
import time
from functools import partial
from typing import TYPE_CHECKING

from app.contract import reports
from app.contract.capabilities import LEASE_CAPABILITIES
from app.contract.gates import GONE_FILE, MEMORY, OPEN, SHUT
from app.contract.peers_config import LEARNED_FILE, Learned, learned_text
from app.contract.programs import KEEPALIVED, LEASE, LOG_FORWARDER, PEERS
from app.contract.syslog import flush, open_log
from app.contract.verdict import write_atomically, write_in_place
from app.pid1 import aftermath, capabilities, events
from app.pid1.log.intake import Intake
from app.pid1.peers import send_to
from app.pid1.policy import Policy
from app.pid1.script_checks import ScriptWatch
from app.pid1.sockets import bound, hear_adverts, receive
from app.pid1.supervisor import Programs, Readable, Writable

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.contract.paths import Layout


class Node:
    """The programs, the log on its way to the forwarder, and the reports of the programs."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._logs: dict[str, logging.Logger] = {}
        self.intake = Intake(layout)  # before anything is logged
        #: Why the node has failed, if it has.
        self.failure: str | None = None
        self._scripts, self._look_again = ScriptWatch(layout), 0.0
        self._open_gates(())
        for file in (GONE_FILE, LEARNED_FILE):
            (layout.run_dir / file).unlink(missing_ok=True)
        # The siblings report here; none of them is root.
        self._reports = bound(layout.ready_socket, mode=0o666)
        self._reports.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        prepare: dict[str, Callable[[], None]] = {
            LOG_FORWARDER: self.intake.prepare_child,
            PEERS: hear_adverts,
            LEASE: partial(capabilities.become, os.environ["SIBLINGS"], LEASE_CAPABILITIES),
        }
        self._programs = Programs(self.tell, self._each_round, prepare)
        states = aftermath.States(layout)
        self._policy = Policy(
            has_file=lambda name: (layout.run_dir / name).exists(),
            pid=self._programs.pid,
            states=lambda: states.look(self._programs.pid(KEEPALIVED)),
        )
        self._programs.watch(self._reports.fileno(), Readable(self._on_report))
        self._programs.watch(self.intake.listener.fileno(), Readable(self.intake.read))
        handing_on = Writable(self.intake.hand_on, lambda: self.intake.waits)
        self._programs.watch(self.intake.output.fileno(), handing_on)
        self.intake.forwarder_pid = lambda: self._programs.pid(LOG_FORWARDER)

    def run(self) -> None:
        """Until it was told to stop or a program has failed for good, and everything has stopped."""
        self._programs.until_stopped()

    def tell(self, event: events.Event) -> None:
        """Does what is to be done about ``event``."""
        for action in self._policy.decide(event, time.monotonic()):
            self._do(action)

    def _do(self, action: events.Action) -> None:  # noqa: PLR0912 - one branch for each kind of action
        match action:
            case events.Start(program):
                self._programs.start_program(program)
            case events.Restart(program):
                self._programs.restart_program(program)
            case events.Stop(program):
                self._programs.stop_program(program)
            case events.Log(level, text, program):
                self._log(program).log(level, "%s", text)
            case events.SayOpening():
                self._say_opening()
            case events.TakeBack(was_killed, is_young):
                self.intake.forwarder_ended(was_killed=was_killed, is_young=is_young)
            case events.CleanUp(leader):
                aftermath.clean_up(leader, self._layout, self._log(events.PROGRAM))
            case events.EndHung():
                aftermath.end_hung(self._programs.pid(KEEPALIVED), self._layout, self._log(events.PROGRAM))
            case events.OpenGates(names):
                self._open_gates(names)
            case events.DropPeers(addresses):
                write_atomically(self._layout.run_dir / GONE_FILE, f"{addresses}\n")
            case events.RememberPeers(peers):
                write_atomically(self._layout.run_dir / LEARNED_FILE, learned_text(peers))
            case events.SendTo(peers):
                self._send_to(peers)
            case events.EndContainer(why):
                self.failure = why
                self._programs.stop_all()

    def _send_to(self, peers: tuple[Learned, ...]) -> None:
        log, conf = self._log(events.PROGRAM), self._layout.keepalived_conf
        try:
            for peer in send_to(self._layout, peers):
                log.error("%s has no unicast_peer block of %s to put %s into", conf, peer.instance, peer.address)
        except OSError as error:
            log.log(logging.ERROR, "cannot write %s: %s", conf, error.strerror)

    def _each_round(self) -> None:
        flush()
        self.intake.tick()
        self.tell(events.Moment.TIME_PASSED)
        self._look_at_scripts()

    def _look_at_scripts(self) -> None:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if now < self._look_again:
            return
        self._look_again = now + 1
        try:
            said = self._scripts.look(now)
        except OSError as error:
            said = f"{self._layout.script_gate}: cannot be written: {error.strerror}"
        if said:
            self._log(events.PROGRAM).warning("%s", said)

    def _on_report(self) -> None:
        try:
            report = reports.parse(*receive(self._reports))
        except BlockingIOError:
            return
        if report:
            self.tell(report)

    def _log(self, program: str) -> logging.Logger:
        if program not in self._logs:  # opening a log again would lose what waits in it
            self._logs[program] = open_log(program, os.environ["LOG_LEVEL"])
        return self._logs[program]

    def _say_opening(self) -> None:
        # Not splitlines: it breaks at more than the end of a line.
        for line in self._layout.opening.read_text(encoding="utf-8").removesuffix("\n").split("\n"):
            level, _, message = line.partition(" ")
            self._log(events.PROGRAM).log(int(level), "%s", message)
        self._layout.opening.unlink()

    def _open_gates(self, names: tuple[str, ...]) -> None:
        """What app.peers.watch says of this node's part; keepalived tracks these files where they matter."""
        for name in MEMORY:
            write_in_place(self._layout.run_dir / name, OPEN if name in names else SHUT)

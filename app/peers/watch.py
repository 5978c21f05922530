"""The sibling of unicast nodes: it looks up ``dns:`` peers again and again, and hears the adverts of others.

It asks PID 1 for a reload when names have changed, and says when this node may take part: nobody hears of a unicast
peer that he does not know, so a node that the others do not send to would become a second master (docs/fleet.md). Of
one that sends adverts and is not sent to it tells PID 1 at once. Run with ``-S`` it has 6 MiB of its own. What it
prints is logged by PID 1.
"""

from __future__ import annotations

import _thread
import math
import os
import select
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from app.contract import reports
from app.contract.errors import ConfigError
from app.contract.gates import JOINED, KNOWN, LISTED, MEMORY, OPEN
from app.contract.json_file import read_json
from app.contract.peers_config import Learned, PeersConfig, read_learned
from app.peers import adverts
from app.peers.rule import HOLD_ROUNDS, HOLD_SECONDS, LookUp, NamesWatch, Strangers

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Seconds after which a stranger that is still none of the peers is reported again.
REPORT_AGAIN_SECONDS = 1.0

#: Between two look-ups of a node that no answer has listed yet: a pod starts a moment before its name lists it.
EARLY_SECONDS = 1.0

#: What to say of the two gates.
PART = {
    (True, True): "all others know of this node by now, it takes part",
    (True, False): "all others know of this node by now, it takes part",
    (False, True): "this node is not listed: it takes part with a priority of its own, but not with an automatic one",
    (False, False): "the others do not know of this node any more, it takes no part",
}


def look_up(name: str) -> LookUp | None:
    """The addresses of ``name``; None when it has none or nobody answers."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_RAW)
    except OSError:
        return None
    texts = {str(entry[4][0]) for entry in found}
    # /etc/hosts may give a machine's own name a loopback address; nobody else can use it, nor a link-local one.
    own = {text for text in texts if text == "::1" or text.startswith("127.")}
    addresses = frozenset(text for text in texts - own if not is_link_local(text))
    return LookUp(addresses, bool(own) or any(is_here(text) for text in addresses))


def is_link_local(address: str) -> bool:
    """Whether ``address`` is of fe80::/10. ipaddress would be another MiB."""
    return address[:3].lower() in {"fe8", "fe9", "fea", "feb"}


def is_here(address: str) -> bool:
    """Whether ``address`` is on a link of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # This sends nothing. A machine speaks to itself from the same address; bind would take any address where
            # ip_nonlocal_bind is set, as load balancers have it.
            probe.connect((address, 9))
            return bool(probe.getsockname()[0] == address)
    except OSError:  # no way there, or no IPv6 at all
        return False


def _remembered(directory: Path) -> set[str]:
    """What was so when this program ended and was started again."""
    return {name for name in MEMORY if (directory / name).exists() and (directory / name).read_text() == OPEN}


class Resolver:
    """Looks names up beside the other work: a name server that is silent holds who asks it for many seconds."""

    def __init__(self) -> None:
        self.done, self._tell = os.pipe()
        self._answers: dict[str, LookUp | None] = {}
        self.is_busy = False

    def ask(self, names: Iterable[str]) -> None:
        """Begins; ``done`` is readable when there is an answer for each."""
        self.is_busy = True
        _thread.start_new_thread(self._work, (tuple(names),))

    def _work(self, names: tuple[str, ...]) -> None:
        self._answers = {name: look_up(name) for name in names}
        os.write(self._tell, b"\0")

    def take(self) -> dict[str, LookUp | None]:
        """What they stand for."""
        os.read(self.done, 1)
        self.is_busy = False
        return self._answers


class Watch:
    """The program: what it is told, whom it hears, and what it has reported."""

    def __init__(self, config: Path, pid_1: str) -> None:
        self._path, self._pid_1 = config, pid_1
        self._asked = read_json(config, PeersConfig)
        self._told = _remembered(config.parent)
        self._names = NamesWatch(self._told)
        self._strangers = Strangers()
        self._resolver = Resolver()
        self._listeners = {listener.fileno(): listener for listener in adverts.inherited()}
        self._next_round = self._next_look = time.monotonic()
        self._is_early = False
        #: When each stranger was reported last: PID 1 may have other things to do first.
        self._reported: dict[Learned, float] = {}

    @property
    def _hold(self) -> float:
        return HOLD_ROUNDS * self._asked.refresh + HOLD_SECONDS

    def run(self) -> None:
        """Until there is nothing to watch any more."""
        poll = select.poll()
        for fd in (self._resolver.done, *self._listeners):
            poll.register(fd, select.POLLIN)
        while self._begin_round():
            self._say_part()
            due = min(self._next_look, self._names.next_change(self._hold))
            # A look-up that is not over yet wakes this up when it is.
            wait = (self._names.next_change(self._hold) if self._resolver.is_busy else due) - time.monotonic()
            for fd, _ in poll.poll(min(max(wait, 0.0), self._asked.refresh) * 1000 + 1):
                if fd == self._resolver.done:
                    self._end_round(self._resolver.take())
                else:
                    self._hear(self._listeners[fd])

    def _begin_round(self) -> bool:
        """Asks, if it is time to; False when a reload has found that there is nothing to watch any more."""
        now = time.monotonic()
        if self._resolver.is_busy or now < self._next_look:
            return True
        had_names = bool(self._asked.names)
        try:
            self._asked = read_json(self._path, PeersConfig)
        except ConfigError:
            return False
        if self._asked.names and not had_names:
            self._told = _remembered(self._path.parent)
            self._names = NamesWatch(self._told)
        self._is_early = now < self._next_round
        if not self._is_early:
            self._next_round = now + self._asked.refresh
        is_new = bool(self._asked.names) and not self._names.memory
        self._next_look = min(self._next_round, now + EARLY_SECONDS) if is_new else self._next_round
        if self._asked.names:
            self._resolver.ask(self._asked.names)
        return True

    def _end_round(self, answers: dict[str, LookUp | None]) -> None:
        if self._is_early:
            # Answers are counted by rounds, so only one that lists this node makes this a round.
            if not any(answer and answer.has_this_node for answer in answers.values()):
                return
            self._next_round = self._next_look = time.monotonic() + self._asked.refresh
        known = {name: set(addresses) for name, addresses in self._asked.names.items()}
        spoken = {instance.name for instance in self._asked.instances}
        for line in self._names.judge(known, answers, time.monotonic(), self._hold, spoken):
            print(line, flush=True)
        self._strangers.judge({peer.address for peer in read_learned(self._path.parent)}, answers)
        gone = self._names.gone() | self._strangers.gone()
        if self._names.reload_is_due(known) or self._strangers.gone():
            reports.send(reports.RELOAD, " ".join(sorted(gone)), self._pid_1)

    def _hear(self, listener: socket.socket) -> None:
        now = time.monotonic()
        for packet in adverts.packets(listener):
            heard = adverts.heard(packet, self._asked.instances)
            if heard is None:
                continue
            instance = heard.instance
            self._names.hearing.hear(instance.name, instance.interval, now, is_goodbye=heard.is_goodbye)
            if heard.is_goodbye or not heard.is_near:
                continue
            self._strangers.hear(heard.source)
            peer = Learned(instance.name, heard.source)
            if heard.source in instance.peers or now - self._reported.get(peer, -math.inf) < REPORT_AGAIN_SECONDS:
                continue
            self._reported[peer] = now
            if peer not in read_learned(self._path.parent) and not is_here(heard.source):
                reports.send(reports.HEARD, " ".join(peer), self._pid_1)

    def _say_part(self) -> None:
        """Tells PID 1 and the log when this node may take part and when not."""
        self._names.pass_time(time.monotonic(), self._hold)
        if self._names.memory != self._told:
            gates = self._names.open_gates
            if gates != self._told - {KNOWN}:
                print(PART[LISTED in gates, JOINED in gates], flush=True)
            self._told = self._names.memory
            reports.send(reports.OPENED, " ".join(sorted(self._told)), self._pid_1)


def main(config: str, pid_1: str) -> None:
    """Until it is stopped. ``config`` is written anew by a reload, so it is read anew each time."""
    try:
        Watch(Path(config), pid_1).run()
    except ConfigError:
        return  # A reload has found that there are no unicast peers any more.


if __name__ == "__main__":
    main(*sys.argv[1:])

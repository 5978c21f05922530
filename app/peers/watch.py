"""The sibling that looks up ``dns:`` peers again and again.

It asks PID 1 for a reload when they have changed, and says when this node may take part: nobody hears of a unicast peer
that he does not know, so a node that the others do not send to would become a second master
(docs/fleet.md). Run with ``-S`` it takes 4 MiB. What it prints is logged by PID 1.
"""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from app.contract import reports
from app.contract.errors import ConfigError
from app.contract.gates import GATES, JOINED, KNOWN, LISTED, MEMORY, OPEN
from app.contract.json_file import read_json
from app.contract.peers_config import PeersConfig

#: A node that has just been listed takes part after so many times the time between two look-ups, and so many seconds.
#: The others need one such time to look it up, half of it is for answers that name servers still have in their caches,
#: and the seconds are for their reload.
HOLD_ROUNDS, HOLD_SECONDS = 1.5, 2.0

#: Answers in a row without this node after which it takes no part any more.
ABSENT = 2
#: Answers in a row without another node after which nothing is sent to it any more. More than ABSENT: a node that was
#: taken off the list must have seen that before the others fall silent.
GONE = 4

#: Rounds after which a reload that did not come about is asked for again.
ASK_AGAIN = 6

#: What to say of the two gates.
PART = {
    (True, True): "all others know of this node by now, it takes part",
    (True, False): "all others know of this node by now, it takes part",
    (False, True): "this node is not listed: it takes part with a priority of its own, but not with an automatic one",
    (False, False): "the others do not know of this node any more, it takes no part",
}


@dataclass(frozen=True)
class LookUp:
    """What a look-up gave. ``has_this_node``: one of the addresses is of this machine."""

    addresses: frozenset[str]
    has_this_node: bool


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


@dataclass
class WatchedName:
    """One name: what it stands for, and for how many answers each address has been missing."""

    answer: LookUp | None = None
    missing: dict[str, int] = field(default_factory=dict)
    is_silent: bool = False

    def hear(self, name: str, known: set[str], answer: LookUp | None) -> str | None:
        """Takes an answer in, ``known`` being the addresses that are sent to; gives what there is to log."""
        if answer is None:
            if self.is_silent:
                return None
            self.is_silent = True
            return f"dns:{name} has no answer, keeping {_joined(known)}"
        again = f"dns:{name} answers again" if self.is_silent else None
        before = self.answer.addresses if self.answer else known
        self.is_silent, self.answer = False, answer
        self.missing = {address: self.missing.get(address, 0) + 1 for address in known - answer.addresses}
        if answer.addresses == before:
            return again
        return f"dns:{name} is {_joined(answer.addresses)}, was {_joined(before)}"

    def wanted(self, known: set[str]) -> set[str]:
        """The addresses to send to: those of the answer, and those that are missing for not long enough."""
        if self.answer is None:
            return known
        return set(self.answer.addresses) | {address for address, times in self.missing.items() if times < GONE}

    def gone(self) -> set[str]:
        """The addresses to send to no more."""
        return {address for address, times in self.missing.items() if times >= GONE}


class Gate:
    """Whether this node may take part: open when it has been fit for ``hold`` seconds, closed when it no longer is."""

    def __init__(self, *, is_open: bool) -> None:
        self.is_open = is_open
        self._fit_since: float | None = None
        self._unfit = 0

    def judge(self, *, is_fit: bool, now: float, hold: float, starts_anew: bool = False) -> None:
        """Once a round. ``starts_anew``: the others are only about to learn of this node."""
        self._unfit = 0 if is_fit else self._unfit + 1
        if not is_fit:
            self._fit_since = None
            self.is_open = self.is_open and self._unfit < ABSENT
        elif self._fit_since is None or starts_anew:
            self._fit_since = now
        self.pass_time(now, hold)

    def doubt(self) -> None:
        """Nobody answered in this round: the others may not have heard of this node either, so its time begins anew."""
        self._fit_since = None

    def pass_time(self, now: float, hold: float) -> None:
        """Between two rounds."""
        if self._fit_since is not None and now - self._fit_since >= hold:
            self.is_open = True

    def opens_at(self, hold: float) -> float | None:
        """When it will open if nothing changes; None when it is open or will not."""
        return None if self.is_open or self._fit_since is None else self._fit_since + hold


class NamesWatch:
    """Compares what names stand for with what they stood for; says only what is new."""

    def __init__(self, memory: set[str]) -> None:
        self._names: dict[str, WatchedName] = {}
        self._gates = {gate: Gate(is_open=gate in memory) for gate in GATES}
        self._is_listed: bool | None = None
        self._was_listed = KNOWN in memory
        self._asked_for: dict[str, set[str]] = {}
        self._asked_ago = 0

    @property
    def open_gates(self) -> set[str]:
        """Those through which this node may take part now."""
        return {name for name, gate in self._gates.items() if gate.is_open}

    @property
    def memory(self) -> set[str]:
        """What its successor has to know."""
        return self.open_gates | ({KNOWN} if self._was_listed else set())

    def judge(
        self, known: dict[str, set[str]], answers: dict[str, LookUp | None], now: float, hold: float
    ) -> list[str]:
        """A round: takes the answers in; gives what there is to log. ``now`` and ``hold`` in seconds."""
        self._names = {name: self._names.get(name) or WatchedName() for name in known}
        lines = [line for name, its in self._names.items() if (line := its.hear(name, known[name], answers[name]))]
        if not any(answers.values()):
            for gate in self._gates.values():
                gate.doubt()
            return lines  # nothing is known that was not known before
        heard = [its.answer for its in self._names.values() if its.answer]
        is_listed = any(answer.has_this_node for answer in heard)
        if not is_listed and self._gates[LISTED].is_open and len(heard) < len(self._names):
            return lines  # just started again: what lists this node may be what has not answered yet
        is_new = is_listed and not self._was_listed
        self._was_listed |= is_listed
        self._gates[LISTED].judge(is_fit=is_listed, now=now, hold=hold)
        self._gates[JOINED].judge(is_fit=is_listed or not self._was_listed, now=now, hold=hold, starts_anew=is_new)
        if is_listed != self._is_listed and not (is_listed and self._gates[LISTED].is_open):
            names = ", ".join(f"dns:{name}" for name in known)
            known_soon = f"lists this node; in {hold:g} s all others know of it"
            lines.append(f"{names} {known_soon if is_listed else 'does not list this node'}")
        self._is_listed = is_listed
        return lines

    def pass_time(self, now: float, hold: float) -> None:
        """Between two rounds."""
        for gate in self._gates.values():
            gate.pass_time(now, hold)

    def next_opening(self, hold: float) -> float:
        """When the next gate opens, in the clock of ``now``; infinity when none will."""
        times = [gate.opens_at(hold) for gate in self._gates.values()]
        return min((moment for moment in times if moment is not None), default=float("inf"))

    def reload_is_due(self, known: dict[str, set[str]]) -> bool:
        """Whether to ask for a reload: once for each change, and again when nothing came of it for long."""
        wanted = {name: its.wanted(known[name]) for name, its in self._names.items()}
        self._asked_ago += 1
        if wanted == known:
            self._asked_for = {}
            return False
        if wanted == self._asked_for and self._asked_ago < ASK_AGAIN:
            return False
        self._asked_for, self._asked_ago = wanted, 0
        return True

    def gone(self) -> set[str]:
        """The addresses that a reload is to drop."""
        return {address for its in self._names.values() for address in its.gone()}


def _joined(addresses: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(addresses)) or "this machine"


def _remembered(directory: Path) -> set[str]:
    """What was so when this program ended and was started again."""
    return {name for name in MEMORY if (directory / name).exists() and (directory / name).read_text() == OPEN}


def main(config: str, pid_1: str) -> None:
    """Until it is stopped. ``config`` is written anew by a reload, so it is read anew each time."""
    path = Path(config)
    told = _remembered(path.parent)
    watch = NamesWatch(told)
    while True:
        try:
            asked = read_json(path, PeersConfig)
        except ConfigError:
            return  # A reload has found that there are no names any more.
        known = {name: set(addresses) for name, addresses in asked.names.items()}
        hold = HOLD_ROUNDS * asked.refresh + HOLD_SECONDS
        answers = {name: look_up(name) for name in known}
        next_round = time.monotonic() + asked.refresh
        for line in watch.judge(known, answers, time.monotonic(), hold):
            print(line, flush=True)
        if watch.reload_is_due(known):
            reports.send(reports.RELOAD, " ".join(sorted(watch.gone())), pid_1)
        while True:
            watch.pass_time(time.monotonic(), hold)
            if watch.memory != told:
                if watch.open_gates != told - {KNOWN}:
                    print(PART[LISTED in watch.open_gates, JOINED in watch.open_gates], flush=True)
                told = watch.memory
                reports.send(reports.OPENED, " ".join(sorted(told)), pid_1)
            left = min(next_round, watch.next_opening(hold)) - time.monotonic()
            if left > 0:
                time.sleep(left)
            if time.monotonic() >= next_round:
                break


if __name__ == "__main__":
    main(*sys.argv[1:])

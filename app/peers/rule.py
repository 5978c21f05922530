"""When this node may take part, and whom it sends to: pure functions of answers, adverts and time."""

from __future__ import annotations

from typing import NamedTuple

from app.contract.gates import GATES, JOINED, KNOWN, LISTED

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


class LookUp(NamedTuple):
    """What a look-up gave. ``has_this_node``: one of the addresses is of this machine."""

    addresses: frozenset[str]
    has_this_node: bool


class WatchedName:
    """One name: what it stands for, and for how many answers each address has been missing."""

    def __init__(self) -> None:
        self.answer: LookUp | None = None
        self.missing: dict[str, int] = {}
        self.is_silent = False

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


class Strangers:
    """Which of the learned peers are to be forgotten: those that answers have left out for long, and that are silent.

    One that is learned again after that stays: the answers are wrong about it.
    """

    def __init__(self) -> None:
        self._missing: dict[str, int] = {}
        self._heard: set[str] = set()
        self._forgotten: set[str] = set()

    def hear(self, address: str) -> None:
        """An advert came from there."""
        self._heard.add(address)

    def judge(self, learned: set[str], answers: dict[str, LookUp | None]) -> None:
        """A round. ``learned``: the addresses that are sent to because they were heard."""
        self._forgotten |= self.gone()
        here = [answer.addresses for answer in answers.values() if answer]
        if not here:
            return
        named = self._heard.union(*here)
        self._missing = {one: 0 if one in named else self._missing.get(one, 0) + 1 for one in learned - self._forgotten}
        self._heard = set()

    def gone(self) -> set[str]:
        """The addresses to send to no more."""
        return {address for address, times in self._missing.items() if times >= GONE}


def _joined(addresses: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(addresses)) or "this machine"

"""When this node may take part, and whom it sends to: pure functions of answers, adverts and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from app.contract.gates import GATES, JOINED, KNOWN, LISTED

if TYPE_CHECKING:
    from collections.abc import Set

#: A node that has just been listed takes part after so many times the time between two look-ups, and so many seconds.
#: The others need one such time to look it up, half of it is for answers that name servers still have in their caches,
#: and the seconds are for their reload.
HOLD_ROUNDS, HOLD_SECONDS = 1.5, 2.0

#: Answers in a row without this node after which it leaves as soon as it hears nobody.
ABSENT = 2
#: Equal answers in a row without another node after which nothing is sent to it any more, and without this one after
#: which it leaves although it hears nobody. More than ABSENT: a node that was taken off the list must have seen that
#: before the others fall silent.
GONE = 4

#: Adverts that fail to come before a node is silent. Less than the three after which keepalived becomes master.
SILENT = 2.5

#: Rounds after which a reload that did not come about is asked for again.
ASK_AGAIN = 6


class LookUp(NamedTuple):
    """What a look-up gave. ``has_this_node``: one of the addresses is of this machine."""

    addresses: frozenset[str]
    has_this_node: bool


class WatchedName:
    """One name: what it stands for, for how many equal answers, and how many of them lack an address."""

    def __init__(self) -> None:
        self.answer: LookUp | None = None
        self.missing: dict[str, int] = {}
        self.is_silent = False
        self.equal = 0

    def hear(self, name: str, known: set[str], answer: LookUp | None) -> str | None:
        """Takes an answer in, ``known`` being the addresses that are sent to; gives what there is to log."""
        if answer is None:
            if self.is_silent:
                return None
            self.is_silent = True
            return f"dns:{name} has no answer, keeping {_joined(known)}"
        again = f"dns:{name} answers again" if self.is_silent else None
        before = self.answer.addresses if self.answer else known
        self.equal = self.equal + 1 if answer == self.answer else 1
        self.is_silent, self.answer = False, answer
        self.missing = dict.fromkeys(known - answer.addresses, self.equal)
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


class Hearing:
    """Which instances hear a master now. Times in monotonic seconds."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    @property
    def instances(self) -> set[str]:
        """Those that do."""
        return set(self._until)

    @property
    def next_silence(self) -> float:
        """When one of them will have heard nothing for too long; infinity when none hears anything now."""
        return min(self._until.values(), default=float("inf"))

    def hear(self, instance: str, interval: float, now: float, *, is_goodbye: bool = False) -> None:
        """An advert, one of which should come every ``interval`` seconds. After a goodbye comes none."""
        self._until[instance] = now if is_goodbye else now + SILENT * interval

    def pass_time(self, now: float) -> bool:
        """Whether one has fallen silent."""
        before = len(self._until)
        self._until = {instance: until for instance, until in self._until.items() if until > now}
        return len(self._until) < before


class Gate:
    """Whether this node may take part: open when it has been fit for ``hold`` seconds."""

    def __init__(self, *, is_open: bool) -> None:
        self.is_open = is_open
        self._fit_since: float | None = None
        #: Answers in a row without this node.
        self.unfit = 0

    def judge(
        self, *, is_fit: bool, now: float, hold: float, starts_anew: bool = False, may_stay: bool = False
    ) -> None:
        """Once a round. ``starts_anew``: the others are only about to learn of this node. ``may_stay``: the answers
        differ, or a master is heard."""
        self.unfit = 0 if is_fit else self.unfit + 1
        if not is_fit:
            self._fit_since = None
            self.is_open = self.is_open and (may_stay or self.unfit < GONE)
        elif self._fit_since is None or starts_anew:
            self._fit_since = now
        self.pass_time(now, hold)

    def fall_silent(self) -> None:
        """The master that was heard is heard no more."""
        self.is_open = self.is_open and self.unfit < ABSENT

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
        self.hearing = Hearing()

    @property
    def open_gates(self) -> set[str]:
        """Those through which this node may take part now."""
        return {name for name, gate in self._gates.items() if gate.is_open}

    @property
    def memory(self) -> set[str]:
        """What its successor has to know."""
        return self.open_gates | ({KNOWN} if self._was_listed else set())

    def judge(
        self,
        known: dict[str, set[str]],
        answers: dict[str, LookUp | None],
        now: float,
        hold: float,
        instances: Set[str] = frozenset(),
    ) -> list[str]:
        """A round: takes the answers in; gives what there is to log. ``now`` and ``hold`` in seconds.

        ``instances``: those that speak by unicast.
        """
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
        is_heard = bool(instances) and instances <= self.hearing.instances
        may_stay = is_heard or any(answers[name] and its.equal < GONE for name, its in self._names.items())
        self._gates[LISTED].judge(is_fit=is_listed, now=now, hold=hold, may_stay=may_stay)
        is_fit = is_listed or not self._was_listed
        self._gates[JOINED].judge(is_fit=is_fit, now=now, hold=hold, starts_anew=is_new, may_stay=may_stay)
        if self._gates[LISTED].is_open and self._gates[LISTED].unfit < ABSENT:
            self._is_listed = True  # one answer without it means nothing
            return lines
        if is_listed != self._is_listed:
            names = ", ".join(f"dns:{name}" for name in known)
            known_soon = f"lists this node; in {hold:g} s all others know of it"
            lines.append(f"{names} {known_soon if is_listed else 'does not list this node'}")
        self._is_listed = is_listed
        return lines

    def pass_time(self, now: float, hold: float) -> None:
        """Between two rounds."""
        is_silent = self.hearing.pass_time(now)
        for gate in self._gates.values():
            if is_silent:
                gate.fall_silent()
            gate.pass_time(now, hold)

    def next_change(self, hold: float) -> float:
        """When the next gate may open or close by itself, in the clock of ``now``; infinity when none will."""
        times = [gate.opens_at(hold) for gate in self._gates.values()]
        return min([self.hearing.next_silence, *(moment for moment in times if moment is not None)])

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

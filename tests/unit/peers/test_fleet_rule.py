"""The rule of app.peers in a fleet: three to seven nodes whose name servers lie, know only a part, cache or are silent.

Nodes, adverts and look-ups are simulated, with the real rule in each node. Time is counted in hundredths of a second.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from app.contract.gates import GATES, KNOWN, LISTED
from app.peers.rule import HOLD_ROUNDS, HOLD_SECONDS, LookUp, NamesWatch, Strangers
from app.pid1.peers import Learning

TICK_SECONDS = 0.01
REFRESH_SECONDS = 5.0
HOLD = HOLD_ROUNDS * REFRESH_SECONDS + HOLD_SECONDS
ADVERT_SECONDS = 1.0
#: Until keepalived has the peers that a node has learned, or that a reload has found.
LEARN_SECONDS, RELOAD_SECONDS = 0.05, 0.6
#: Two masters that hear each other may be there for so long.
BOUND_SECONDS = ADVERT_SECONDS + 0.1


@dataclass
class Node:
    """A node with its keepalived, in brief."""

    number: int
    phase: float
    peers: set[int]
    watch: NamesWatch
    strangers: Strangers = field(default_factory=Strangers)
    learning: Learning = field(default_factory=Learning)
    due: list[tuple[float, set[int]]] = field(default_factory=list)
    is_master: bool = False
    heard: float = 0.0
    sends: float = 0.0
    next_round: float = 0.0

    @property
    def takes_part(self) -> bool:
        return LISTED in self.watch.open_gates

    @property
    def priority(self) -> int:
        return 254 - self.number

    @property
    def address(self) -> str:
        return f"203.0.113.{self.number + 1}"


def number_of(address: str) -> int:
    return int(address.rsplit(".", 1)[1]) - 1


class Fleet:
    """All of them on one link; ``answer`` says what the name servers of a node say."""

    def __init__(self, size: int, chosen: random.Random) -> None:
        self.chosen, self.now = chosen, 0.0
        everyone = set(range(size))
        memory = {*GATES, KNOWN}
        self.nodes = [
            Node(n, chosen.uniform(0, REFRESH_SECONDS), everyone - {n}, NamesWatch(memory)) for n in range(size)
        ]
        for node in self.nodes:
            node.next_round = node.phase
        kinds = ["partial", "lying", "silent", "caching", "true"]
        # In every other fleet all of them ask the same name server.
        shared = chosen.choice(kinds) if chosen.random() < 0.5 else None
        self.kinds = {n: shared or chosen.choice(kinds) for n in range(size)}
        self.cached: dict[int, tuple[float, frozenset[int]]] = {}
        self.both_since: float | None = None
        self.none_since: float | None = None

    def answer(self, node: Node) -> LookUp | None:
        """What one look-up gives."""
        everyone, chosen = [its.number for its in self.nodes], self.chosen
        kind = self.kinds[node.number]
        if kind == "silent" or (kind == "lying" and chosen.random() < 0.3):
            return None
        listed = set(everyone)
        if kind == "partial":
            listed = set(chosen.sample(everyone, max(2, len(everyone) * 3 // 5)))
        elif kind == "lying":
            listed = {n for n in everyone if chosen.random() < 0.3} | {chosen.randrange(90, 99)}
        elif kind == "caching":  # of a server that knows only a part
            until, kept = self.cached.get(node.number, (0.0, frozenset()))
            if self.now >= until:
                kept = frozenset(chosen.sample(everyone, len(everyone) - 1))
                self.cached[node.number] = (self.now + 2 * REFRESH_SECONDS, kept)
            listed = set(kept)
        addresses = frozenset(f"203.0.113.{n + 1}" for n in listed - {node.number})
        return LookUp(addresses, has_this_node=node.number in listed)

    def step(self) -> None:
        """A hundredth of a second."""
        self.now += TICK_SECONDS
        for node in self.nodes:
            self._look_up(node)
            for when, peers in node.due:
                if when <= self.now:
                    node.peers = peers
            node.due = [(when, peers) for when, peers in node.due if when > self.now]
            node.watch.pass_time(self.now, HOLD)
            for peer in node.learning.due(self.now):
                node.due.append((self.now + LEARN_SECONDS, node.peers | {number_of(peer.address)}))
        for node in self.nodes:
            self._vrrp(node)
        self._judge()

    def _look_up(self, node: Node) -> None:
        if self.now < node.next_round:
            return
        node.next_round = self.now + REFRESH_SECONDS
        learned = {peer.address for peer in node.learning.peers}
        known = {"nodes": {f"203.0.113.{n + 1}" for n in node.peers} - learned}
        answers = {"nodes": self.answer(node)}
        node.watch.judge(known, answers, self.now, HOLD, {"main"})
        node.strangers.judge(learned, answers)
        if node.watch.reload_is_due(known) or node.strangers.gone():
            gone = node.watch.gone() | node.strangers.gone()
            node.learning.forget(gone)
            named = answers["nodes"].addresses if answers["nodes"] else frozenset()
            peers = known["nodes"] | learned | named
            node.due.append((self.now + RELOAD_SECONDS, {number_of(one) for one in peers - gone}))

    def _vrrp(self, node: Node) -> None:
        if not node.takes_part:
            if node.is_master:
                self._send(node, is_goodbye=True)
            node.is_master = False
            node.heard = self.now
            return
        down = 3 * ADVERT_SECONDS + (256 - node.priority) / 256 * ADVERT_SECONDS
        if not node.is_master and self.now - node.heard >= down:
            node.is_master, node.sends = True, self.now
        if node.is_master and self.now >= node.sends:
            node.sends = self.now + ADVERT_SECONDS
            self._send(node)

    def _send(self, node: Node, *, is_goodbye: bool = False) -> None:
        for number in node.peers & {its.number for its in self.nodes} - {node.number}:
            other = self.nodes[number]
            other.watch.hearing.hear("main", ADVERT_SECONDS, self.now, is_goodbye=is_goodbye)
            if not is_goodbye:
                other.strangers.hear(node.address)
                if node.number not in other.peers:
                    other.learning.hear(f"main {node.address}")
            if is_goodbye:  # the skew is all that is left to wait
                other.heard = self.now - 3 * ADVERT_SECONDS
            elif not other.is_master:
                other.heard = self.now
            elif node.priority > other.priority:
                other.is_master, other.heard = False, self.now
            else:
                other.sends = self.now  # keepalived answers a lower one at once

    def _judge(self) -> None:
        masters = [node for node in self.nodes if node.is_master]
        hear = any(a.number in b.peers or b.number in a.peers for a in masters for b in masters if a is not b)
        self.both_since = (self.both_since or self.now) if hear else None
        self.none_since = None if any(node.takes_part for node in self.nodes) else (self.none_since or self.now)
        assert self.both_since is None or self.now - self.both_since <= BOUND_SECONDS, (self.kinds, masters)
        assert self.none_since is None or self.now - self.none_since <= HOLD + REFRESH_SECONDS, self.kinds


@pytest.mark.parametrize("seed", range(40))
def test_one_master_and_never_nobody(seed: int) -> None:
    chosen = random.Random(seed)  # noqa: S311 - the same each time
    fleet = Fleet(chosen.randrange(3, 8), chosen)
    while fleet.now < 120:
        if chosen.random() < 0.001:
            fleet.kinds[chosen.randrange(len(fleet.nodes))] = chosen.choice(["partial", "lying", "silent", "true"])
        fleet.step()
    assert any(node.is_master for node in fleet.nodes)

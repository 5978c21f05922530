"""What a node makes of the answers to its look-ups: whom it sends to, when it may take part, and what it says."""

from __future__ import annotations

import math
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.gates import JOINED, KNOWN, LISTED
from app.peers.rule import ABSENT, ASK_AGAIN, GONE, Gate, LookUp, NamesWatch, Strangers, WatchedName
from app.peers.watch import _remembered, is_here, look_up

ONE, TWO, THREE = "203.0.113.11", "203.0.113.12", "203.0.113.13"
EVERY, HOLD = 10.0, 17.0
BOTH = {LISTED, JOINED}
HAS_IPV6 = (links := Path("/proc/net/if_inet6")).exists() and f"{1:032x} " in links.read_text()


def listing(*addresses: str) -> LookUp:
    """An answer that has this node in it."""
    return LookUp(frozenset(addresses), has_this_node=True)


#: What is heard in a history: both addresses, with this node among them or not, one of them, three, this machine alone,
#: and silence.
HEARD = {
    "L": listing(ONE, TWO),
    "-": LookUp(frozenset({ONE, TWO}), has_this_node=False),
    "1": listing(ONE),
    "2": listing(TWO),
    "3": listing(ONE, TWO, THREE),
    "0": listing(),
    "?": None,
}
SILENT, AGAIN = f"dns:peers has no answer, keeping {ONE}, {TWO}", "dns:peers answers again"
IN, OUT = "dns:peers lists this node; in 17 s all others know of it", "dns:peers does not list this node"


class Node:
    """The watch of a node that sends to the addresses it knows, a round every ten seconds."""

    def __init__(self, *known: str, opened: set[str] | None = None, also: dict[str, set[str]] | None = None) -> None:
        self.known = {"peers": set(known or (ONE, TWO)), **(also or {})}
        self.watch = NamesWatch(opened or set())
        self.now = -EVERY

    def hear(self, letter: str, spoken: frozenset[str] | set[str] = frozenset(), **others: str) -> list[str]:
        """A round; gives what is logged. ``spoken``: the instances."""
        self.now += EVERY
        answers = {name: HEARD[heard] for name, heard in {"peers": letter, **others}.items()}
        return self.watch.judge(self.known, answers, self.now, HOLD, spoken)

    def opens(self, at: float) -> set[str]:
        """What is open after some time without a round."""
        self.watch.pass_time(at, HOLD)
        return self.watch.open_gates

    def asks(self, letter: str) -> bool:
        """Whether a round asks for a reload."""
        self.hear(letter)
        return self.watch.reload_is_due(self.known)


class TestName:
    KNOWN = frozenset({ONE, TWO})

    def heard(self, name: WatchedName, history: str) -> list[str]:
        """What is logged."""
        return [line for letter in history if (line := name.hear("peers", set(self.KNOWN), HEARD[letter]))]

    @pytest.mark.parametrize(
        ("history", "said"),
        [
            pytest.param("L", [], id="no change"),
            pytest.param("???", [SILENT], id="silence, once"),
            pytest.param("?LL?", [SILENT, AGAIN, SILENT], id="answers again, and may fall silent again"),
            pytest.param("33", [f"dns:peers is {ONE}, {TWO}, {THREE}, was {ONE}, {TWO}"], id="a change, once"),
            pytest.param("?2", [SILENT, f"dns:peers is {TWO}, was {ONE}, {TWO}"], id="a change after a silence"),
            pytest.param("0", [f"dns:peers is this machine, was {ONE}, {TWO}"], id="alone"),
        ],
    )
    def test_what_is_said(self, history: str, said: list[str]) -> None:
        assert self.heard(WatchedName(), history) == said

    @pytest.mark.parametrize(
        ("history", "wanted", "gone"),
        [
            pytest.param("", {ONE, TWO}, set(), id="nothing heard yet"),
            pytest.param("??????", {ONE, TWO}, set(), id="silence keeps what is known"),
            pytest.param("3", {ONE, TWO, THREE}, set(), id="a new one at once"),
            pytest.param("111", {ONE, TWO}, set(), id="missing for not long enough"),
            pytest.param("1111", {ONE}, {TWO}, id="gone"),
            pytest.param("0000", set(), {ONE, TWO}, id="all gone"),
            pytest.param("111L111", {ONE, TWO}, set(), id="back in between"),
            pytest.param("11113", {ONE, TWO, THREE}, set(), id="back after it"),
            pytest.param("111????", {ONE, TWO}, set(), id="silence is no miss"),
            pytest.param("111????1", {ONE}, {TWO}, id="and no answer"),
        ],
    )
    def test_whom_it_sends_to(self, history: str, wanted: set[str], gone: set[str]) -> None:
        name = WatchedName()
        self.heard(name, history)
        assert (name.wanted(set(self.KNOWN)), name.gone()) == (wanted, gone)

    @given(st.text("?L12", max_size=20))
    def test_only_equal_answers_in_a_row_without_it_drop_an_address(self, history: str) -> None:
        name = WatchedName()
        self.heard(name, history)
        last = [answer.addresses for letter in history if (answer := HEARD[letter])][-GONE:]
        kept = {one for one in self.KNOWN if len(last) < GONE or len(set(last)) > 1 or one in last[0]}
        assert name.wanted(set(self.KNOWN)) == kept
        assert name.gone() == self.KNOWN - kept


class TestGate:
    """With a hold of three seconds; rounds are + fit, * fit but the others only learn of it, - not fit."""

    @pytest.mark.parametrize(
        ("rounds", "opened"),
        [
            pytest.param("+++++", "___oo", id="opens when the hold is over"),
            pytest.param("++++-+-+", "___ooooo", id="one miss does not close it"),
            pytest.param("++++----+++++", "___oooo____oo", id="misses in a row do"),
            pytest.param("++-+++++", "______oo", id="a miss starts the hold anew"),
            pytest.param("++*++++", "_____oo", id="so do others that only learn of it"),
            pytest.param("++++*-+", "___oooo", id="but not of an open one"),
        ],
    )
    def test_a_round_each_second(self, rounds: str, opened: str) -> None:
        gate = Gate(is_open=False)
        found = ""
        for now, kind in enumerate(rounds):
            gate.judge(is_fit=kind != "-", now=now, hold=3, starts_anew=kind == "*")
            found += "o" if gate.is_open else "_"
        assert found == opened

    def test_when_it_opens(self) -> None:
        gate = Gate(is_open=False)
        assert gate.opens_at(3) is None
        gate.judge(is_fit=True, now=100, hold=3)
        assert (gate.opens_at(3), gate.opens_at(5)) == (103, 105)
        gate.judge(is_fit=False, now=101, hold=3)
        assert gate.opens_at(3) is None
        gate.judge(is_fit=True, now=102, hold=3)
        gate.pass_time(104.9, 3)
        assert gate.opens_at(3) == 105
        gate.pass_time(105, 3)
        assert (gate.is_open, gate.opens_at(3)) == (True, None)

    @given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("+*-")), max_size=30), st.booleans())
    def test_agrees_with_the_plain_model(self, rounds: list[tuple[int, str]], is_open: bool) -> None:
        """Look back from each round: has it been fit for the hold, or missing once too often?"""
        gate = Gate(is_open=is_open)
        times = list(accumulate(after for after, _ in rounds))
        kinds = "".join(kind for _, kind in rounds)
        for end, (now, kind) in enumerate(zip(times, kinds, strict=True), 1):
            gate.judge(is_fit=kind != "-", now=now, hold=5, starts_anew=kind == "*")
            before = kinds[:end]
            if kind != "-":
                begin = max(before.rfind("*"), before.rfind("-") + 1)
                is_open = is_open or now - times[begin] >= 5
            elif before.endswith("-" * GONE):
                is_open = False
            assert gate.is_open == is_open


class TestTakingPart:
    @pytest.mark.parametrize(
        ("history", "opened", "opens_at", "opened_then"),
        [
            pytest.param("", set(), math.inf, set(), id="before the first round"),
            pytest.param("?", set(), math.inf, set(), id="without any answer"),
            pytest.param("LL", set(), 17, BOTH, id="listed"),
            pytest.param("LLL", BOTH, math.inf, BOTH, id="listed for long"),
            pytest.param("--", set(), 17, {JOINED}, id="never listed"),
            pytest.param("-L", set(), 27, BOTH, id="listed while it waits to join"),
            pytest.param("---L", {JOINED}, 47, BOTH, id="listed after it has joined"),
            pytest.param("L-L", set(), 37, BOTH, id="missing once while it waits"),
            pytest.param("LLL-", BOTH, math.inf, BOTH, id="missing once"),
            pytest.param("LLL-L-", BOTH, math.inf, BOTH, id="missing now and then"),
            pytest.param("LLL-??", BOTH, math.inf, BOTH, id="missing once before a silence"),
            pytest.param("LLL-?---", set(), math.inf, set(), id="missing before and after it"),
            pytest.param("LLL----", set(), math.inf, set(), id="taken off"),
            pytest.param("LLL----LL", set(), 87, BOTH, id="listed again"),
            pytest.param("LLL---", BOTH, math.inf, BOTH, id="missing for not long enough"),
            pytest.param("LLL-2-2-2-2", BOTH, math.inf, BOTH, id="missing in answers that differ"),
            pytest.param("L--", set(), math.inf, set(), id="taken off while it waits"),
            pytest.param("L?", set(), math.inf, set(), id="silence while it waits"),
            pytest.param("L?L", set(), 37, BOTH, id="the others may not have heard of it either"),
        ],
    )
    def test_what_is_open(self, history: str, opened: set[str], opens_at: float, opened_then: set[str]) -> None:
        """Now, and when nothing else is heard."""
        node = Node()
        for letter in history:
            node.hear(letter)
        assert (node.watch.open_gates, node.watch.next_change(HOLD)) == (opened, opens_at)
        assert node.opens(at=min(opens_at, 1000) - 0.1) == opened
        assert node.opens(at=opens_at) == opened_then
        assert node.watch.next_change(HOLD) == math.inf

    @pytest.mark.parametrize(
        ("history", "said"),
        [
            ("LL", [IN]),
            ("--?-", [OUT]),
            ("-L--L", [OUT, IN, OUT, IN]),
            ("LLL-L-", [IN]),  # one that is back before that has mattered needs no hold
        ],
    )
    def test_what_is_said(self, history: str, said: list[str]) -> None:
        node = Node()
        assert [line for letter in history for line in node.hear(letter) if line in (IN, OUT)] == said

    def test_who_is_taken_off_has_seen_that_before_the_others_fall_silent(self) -> None:
        off, other = Node(opened=BOTH | {KNOWN}), Node(opened=BOTH)
        for _ in range(ABSENT):
            off.hear("-")
            other.hear("1")
        other.hear("1")  # nodes do not ask at the same moment
        assert not other.watch.gone()
        off.watch.hearing.hear("main", 1.0, off.now)
        assert off.opens(at=off.now + 2.4) == BOTH
        assert off.opens(at=off.now + 2.5) == set()

    @pytest.mark.parametrize(
        ("history", "opened"),
        [
            pytest.param("", BOTH, id="no answer yet"),
            pytest.param("????", BOTH, id="no answer"),
            pytest.param("-", BOTH, id="one answer"),
            pytest.param("-?", BOTH, id="and none"),
            pytest.param("--L", BOTH, id="listed again"),
            pytest.param("--", set(), id="two answers"),
            pytest.param("-?-", set(), id="with none between them"),
        ],
    )
    @pytest.mark.parametrize("is_goodbye", [False, True])
    def test_a_backup_that_falls_silent(self, history: str, opened: set[str], is_goodbye: bool) -> None:
        """It leaves before it becomes a master that the others may not know of."""
        node = Node(opened=BOTH | {KNOWN})
        for letter in history:
            node.hear(letter)
        node.watch.hearing.hear("main", 1.0, node.now, is_goodbye=is_goodbye)
        assert node.watch.next_change(HOLD) == node.now + 2.5 * (not is_goodbye)
        assert node.opens(at=node.now + 2.6) == opened

    def test_a_backup_that_hears_stays_whatever_the_answers_say(self) -> None:
        node = Node(opened=BOTH | {KNOWN})
        for _ in range(3 * GONE):
            node.watch.hearing.hear("main", EVERY, node.now)
            node.hear("-", spoken={"main"})
        assert node.watch.open_gates == BOTH
        # It must hear the master of each of its instances.
        node.hear("-", spoken={"main", "other"})
        assert node.watch.open_gates == set()

    def test_any_of_the_names_may_list_it_and_keeps_what_it_said(self) -> None:
        node = Node(also={"more": {THREE}})
        assert node.hear("-", more="3")[-1] == IN.replace("peers", "peers, dns:more")
        assert node.hear("-", more="?") == [f"dns:more has no answer, keeping {THREE}"]
        assert node.hear("-", more="?") == []
        assert node.watch.open_gates == BOTH

    def test_what_was_open_is_open_after_a_restart(self) -> None:
        assert NamesWatch({JOINED}).open_gates == {JOINED}
        node = Node(opened=BOTH)
        assert [node.hear(letter) for letter in "?L"] == [[SILENT], [AGAIN]]
        assert node.watch.open_gates == BOTH

    def test_who_was_taken_off_stays_out_after_a_restart(self) -> None:
        for memory in (BOTH | {KNOWN}, {KNOWN}):
            node = Node(opened=memory)
            for _ in range(10):
                node.hear("-")
            assert node.watch.memory == {KNOWN}
        node = Node()
        node.hear("L")
        assert node.watch.memory == {KNOWN}

    def test_a_name_that_is_silent_after_a_restart_takes_nobody_off(self) -> None:
        node = Node(opened=BOTH | {KNOWN}, also={"more": {THREE}})
        for _ in range(5):
            node.hear("-", more="?")
        assert node.watch.open_gates == BOTH
        for _ in range(GONE):
            node.hear("-", more="-")
        assert node.watch.open_gates == set()


class TestReload:
    @pytest.mark.parametrize(
        ("history", "asked"),
        [
            pytest.param("11", "__", id="no change"),
            pytest.param("LL?", "!__", id="once for a change"),
            pytest.param("L3", "!!", id="another one"),
            pytest.param("L1L", "!_!", id="one that comes back"),
            pytest.param("L" * (2 * ASK_AGAIN + 1), f"{'!':_<{ASK_AGAIN}}" * 2 + "!", id="nothing came of it"),
        ],
    )
    def test_is_asked_for(self, history: str, asked: str) -> None:
        node = Node(ONE)
        assert "".join("!" if node.asks(letter) else "_" for letter in history) == asked

    def test_one_that_came_about_is_over(self) -> None:
        node = Node(ONE)
        assert node.asks("L")
        node.known = {"peers": {ONE, TWO}}
        assert not any(node.asks("L") for _ in range(ASK_AGAIN + 1))

    def test_it_drops_who_is_gone(self) -> None:
        node = Node()
        assert [(node.asks("1"), node.watch.gone()) for _ in range(4)] == [(False, set())] * 3 + [(True, {TWO})]

    def test_a_name_that_is_no_longer_asked_for_is_forgotten(self) -> None:
        node = Node(also={"more": {THREE}})
        for _ in range(GONE):
            node.hear("L", more="1")
        assert node.watch.gone() == {THREE}
        del node.known["more"]
        assert not node.asks("L")
        assert node.watch.gone() == set()


class TestStrangers:
    @pytest.mark.parametrize(
        ("history", "gone"),
        [
            pytest.param("111", False, id="left out for not long enough"),
            pytest.param("1111", True, id="left out"),
            pytest.param("1?1?1?", False, id="silence is no miss"),
            pytest.param("111L111", False, id="named in between"),
            pytest.param("111!111", False, id="heard in between"),
        ],
    )
    def test_when_one_is_forgotten(self, history: str, gone: bool) -> None:
        strangers = Strangers()
        for letter in history:
            if letter == "!":
                strangers.hear(TWO)
            else:
                strangers.judge({TWO}, {"peers": HEARD[letter]})
        assert (TWO in strangers.gone()) == gone

    def test_one_that_is_learned_again_stays(self) -> None:
        strangers = Strangers()
        for _ in range(GONE):
            strangers.judge({TWO}, {"peers": HEARD["1"]})
        assert strangers.gone() == {TWO}
        strangers.judge(set(), {"peers": HEARD["1"]})
        for _ in range(2 * GONE):
            strangers.judge({TWO}, {"peers": HEARD["1"]})
            assert strangers.gone() == set()


class TestThisMachine:
    @pytest.mark.parametrize("name", ["127.0.0.1", "127.0.1.1", "::1"])
    def test_a_loopback_address_is_this_node_and_nobodys_peer(self, name: str) -> None:
        assert look_up(name) == LookUp(frozenset(), has_this_node=True)

    def test_an_address_elsewhere(self) -> None:
        assert look_up("192.0.2.1") == LookUp(frozenset({"192.0.2.1"}), has_this_node=False)

    @pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
    def test_a_link_local_address_is_nobodys_peer(self) -> None:
        found = look_up("fe80::1%lo")
        assert found is None or found.addresses == frozenset()

    def test_nobody_answers(self) -> None:
        assert look_up(":") is None  # the one wrong name that asks no name server

    def test_is_here(self) -> None:
        # The kernel refuses to connect to the last one.
        assert [is_here(text) for text in ("127.0.0.1", "192.0.2.1", "255.255.255.255")] == [True, False, False]

    @pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
    def test_is_here_by_ipv6(self) -> None:
        assert is_here("::1")
        assert not is_here("2001:db8::1")


class TestRestart:
    def test_the_files_say_what_was_open(self, tmp_path: Path) -> None:
        assert _remembered(tmp_path) == set()
        (tmp_path / LISTED).write_text("1\n")
        (tmp_path / JOINED).write_text("0\n")
        assert _remembered(tmp_path) == {JOINED}
        (tmp_path / LISTED).write_text("0\n")
        assert _remembered(tmp_path) == BOTH

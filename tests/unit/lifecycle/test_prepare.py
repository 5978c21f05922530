"""From an environment to a plan: every problem at once, and names that nobody has told DNS of yet."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.contract.errors import ConfigError
from app.host import machine as hosts
from app.lifecycle import prepare as preparation
from app.lifecycle.prepare import prepare, prepare_patiently
from tests.unit.machine import HOST, LEAST, NODES, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from app.host.machine import Host, IPAddress

ip = ipaddress.ip_address
TWO = ip("203.0.113.12")


class Machine:
    """The machine of the tests, whose DNS learns names; what it was asked for; and a clock that sleep moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[list[IPAddress | str]] = []
        self.known: list[Mapping[str, tuple[IPAddress, ...]]] = []
        self.answers: list[dict[str, tuple[IPAddress, ...]]] = []
        self.now = 1000.0
        monkeypatch.setattr(preparation, "observe", self._observe)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self._sleep)

    def _observe(
        self, peers: Iterable[IPAddress | str], known: Mapping[str, tuple[IPAddress, ...]], *_: object
    ) -> Host:
        self.asked.append(list(peers))
        self.known.append(known)
        return replace(HOST, names=self.answers.pop(0) if self.answers else {})

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def named(*names: str) -> dict[str, str]:
    """An environment with these names as peers."""
    return {**LEAST, "KA_UNICAST_PEERS": ",".join(f"dns:{name}" for name in names)}


def test_the_plan(machine: Machine) -> None:
    assert prepare(LEAST) == plan_of(LEAST)
    assert machine.asked == [[]]


def test_every_peer_of_every_instance_is_asked_for(machine: Machine) -> None:
    machine.answers = [{"a": (TWO,), "b": (TWO,)}]
    prepare(
        {
            **named("a"),
            "KA_INSTANCES__WEB__INCLUDE": "203.0.113.20",
            "KA_INSTANCES__WEB__VRID": "9",
            "KA_INSTANCES__WEB__UNICAST_PEERS": "dns:b,203.0.113.12",
        }
    )
    assert machine.asked == [["a", "b", TWO]]


def test_a_list_that_is_wrong_asks_for_nobody(machine: Machine) -> None:
    with pytest.raises(ConfigError, match=r"^KA_UNICAST_PEERS: cannot be \?; "):
        prepare({**LEAST, "KA_UNICAST_PEERS": "?"})
    assert machine.asked == [[]]


def test_names_that_are_known_stay_known(machine: Machine) -> None:
    machine.answers = [{"a": (TWO,)}]
    prepare(named("a"), known_names={"a": (TWO,)})
    assert machine.known == [{"a": (TWO,)}]


def test_all_problems_at_once(machine: Machine) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare({**named("a", "b"), "KA_PRIORITY": "0", "KA_TRACK_IFACE": "eth9"})
    assert [str(problem) for problem in caught.value.problems] == [
        "KA_PRIORITY: cannot be 0; it must be 1–255 or auto",
        "KA_TRACK_IFACE: cannot be eth9; this machine's links are lo, eth0, eth1",
        "KA_UNICAST_PEERS: cannot find dns:a; it must be a name that has addresses in DNS",
        "KA_UNICAST_PEERS: cannot find dns:b; it must be a name that has addresses in DNS",
    ]


class TestPatience:
    def test_what_is_known_is_not_waited_for(self, machine: Machine) -> None:
        machine.answers = [{NODES: (TWO,)}]
        assert prepare_patiently(named(NODES)).peer_names == {NODES: (TWO,)}
        assert machine.now == 1000.0

    def test_waits_for_every_name_and_says_so(self, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        machine.answers = [{}, {"a": (TWO,)}, {"a": (TWO,), "b": ()}]
        assert prepare_patiently(named("a", "b")).peer_names == {"a": (TWO,), "b": ()}
        assert machine.now == 1000.0 + 2 * preparation.LOOK_AGAIN_SECONDS
        assert capsys.readouterr().err == "ka: KA_UNICAST_PEERS: waiting for dns:a, dns:b to have an address\n"

    def test_says_so_now_and_then(self, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        looks = int(2.5 * preparation.SAY_AGAIN_SECONDS / preparation.LOOK_AGAIN_SECONDS)
        machine.answers = [*[{}] * looks, {"a": (TWO,)}]
        prepare_patiently(named("a"))
        assert capsys.readouterr().err.count("waiting for dns:a to have an address\n") == 3

    def test_a_problem_is_not_waited_for(self, machine: Machine) -> None:
        with pytest.raises(ConfigError) as caught:
            prepare_patiently({**named("a"), "KA_PRIORITY": "0"})
        assert [problem.subject for problem in caught.value.problems] == ["KA_PRIORITY"]
        assert machine.now == 1000.0

    @pytest.mark.usefixtures("machine")
    def test_one_that_comes_while_it_waits_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        links = iter((HOST, replace(HOST, accounts={})))
        monkeypatch.setattr(preparation, "observe", lambda *_: replace(next(links), names={}))
        with pytest.raises(ConfigError, match=r"^/etc/passwd: has no account "):
            prepare_patiently(named("a"))


class TestNames:
    """What app.host makes of names; the rest of it is in test_host."""

    def names(self, monkeypatch: pytest.MonkeyPatch, *answers: str, known: tuple[str, ...] | None = None) -> object:
        """The addresses of a name that the resolver gives ``answers`` for, ``known`` from before."""
        found = set(map(ip, answers)) if answers else None
        monkeypatch.setattr(hosts, "resolve", lambda _: found)
        monkeypatch.setattr(hosts, "_source", lambda *_: None)
        seen = hosts.observe(["n"], {"n": tuple(map(ip, known))} if known is not None else {})
        return [str(address) for address in seen.names["n"]] if "n" in seen.names else None

    def test_in_one_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = self.names(monkeypatch, "2001:db8::2", "203.0.113.100", "203.0.113.20")
        assert found == ["203.0.113.20", "203.0.113.100", "2001:db8::2"]

    def test_what_is_known_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.names(monkeypatch, "203.0.113.2", known=("203.0.113.3",)) == ["203.0.113.2", "203.0.113.3"]
        assert self.names(monkeypatch, known=("203.0.113.3",)) == ["203.0.113.3"]

    def test_a_name_without_any_is_not_in_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.names(monkeypatch) is None

    def test_nobody_is_somebody_that_is_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.names(monkeypatch, known=()) == []

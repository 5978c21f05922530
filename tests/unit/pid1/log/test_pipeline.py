"""From datagrams to lines."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.contract.log_config import Levels, LogConfig
from app.pid1.log.pipeline import DROPPED_EVERY_SECONDS, Pipeline, datagram, printed_of
from app.pid1.log.server_absences import QUIET_SECONDS, REMIND_SECONDS, SHOWN_FOR_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

TCP = "tcp://192.0.2.1:514"
NOW = 1763841421.25

RFC_5424 = re.compile(
    r"<(?P<priority>\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d (?P<host>[!-~]{1,255}) "
    r"(?P<program>[!-~]{1,48}) (?P<pid>[!-~]{1,128}) (?P<id>[!-~]{1,32}) "
    r"(?P<data>(?:\[[!-~]{1,32}(?: [a-zA-Z_]{1,32}=\"(?:[^\"\\\]]|\\.)*\")*\])+) (?P<text>.*)"
)


class Node:
    """Takes messages of its programs."""

    def __init__(self, config: LogConfig) -> None:
        self.pipeline = Pipeline(config)
        self.now = NOW

    def take(
        self, program: str, text: str, *, severity: int = 6, uid: int = 0, is_forwarder: bool = False
    ) -> list[Any]:
        sent = f"<{24 + severity}>{program}[9]: {text}".encode()
        return list(self.pipeline.take(sent, pid=7, uid=uid, now=self.now, is_forwarder=is_forwarder))

    def objects(self, program: str, text: str, **more: Any) -> list[dict[str, Any]]:
        return [json.loads(entry.printed) for entry in self.take(program, text, **more)]

    def forwarder(self, text: str, severity: int = 4) -> list[dict[str, Any]]:
        return self.objects("rsyslogd", text, severity=severity, uid=990, is_forwarder=True)

    def counters(self, **counters: int) -> list[dict[str, Any]]:
        queue = {"name": f"{TCP} queue", "size": 0, "discarded.full": 0, "discarded.nf": 0, **counters}
        return self.objects("rsyslogd-pstats", json.dumps(queue), is_forwarder=True)


@pytest.fixture
def node(config: LogConfig) -> Node:
    return Node(config)


def test_a_plain_message_in_all_its_forms(node: Node, fits: Callable[[str], dict[str, Any]]) -> None:
    (entry,) = node.take("x", 'say "a\\b]"')
    line = fits(entry.printed)
    assert {**line, "time": None} == {
        "time": None,
        "level": "info",
        "program": "x",
        "pid": 7,
        "message": 'say "a\\b]"',
        "node": "n1",
        "sequence": 1,
    }
    found = RFC_5424.fullmatch(entry.forwarded)
    assert found
    assert found.groupdict() == {
        "priority": "30",
        "host": "n1",
        "program": "x",
        "pid": "7",
        "id": "-",
        "data": '[ka@32473 node="n1"][meta sequenceId="1"]',
        "text": 'say "a\\b]"',
    }
    assert line["time"] in entry.forwarded


def test_for_people(config: LogConfig) -> None:
    (entry,) = Node(replace(config, format="text", targets=())).take("x", "hello", severity=4)
    assert re.fullmatch(r"2025-11-22T\d\d:\d\d:01\.250000[+-]\d\d:\d\d warning x\[7\]: hello", entry.printed)
    assert entry.forwarded == ""


def test_a_transition_has_all_its_facts(node: Node, fits: Callable[[str], dict[str, Any]]) -> None:
    node.take("Keepalived_vrrp", '(main) Master received advert "] \\ s3cret-1')
    (entry,) = node.take("Keepalived_vrrp", "(main) Entering BACKUP STATE")
    line = fits(entry.printed)
    assert {name: line[name] for name in ("event", "instance", "state", "old_state", "priority", "vip", "reason")} == {
        "event": "state",
        "instance": "main",
        "state": "BACKUP",
        "old_state": "INIT",
        "priority": 100,
        "vip": ["203.0.113.10/24"],
        "reason": 'Master received advert "] \\ ********',
    }
    found = RFC_5424.fullmatch(entry.forwarded)
    assert found
    assert found["id"] == "state"
    assert found["data"] == (
        '[ka@32473 node="n1" event="state" instance="main" state="BACKUP" old_state="INIT" priority="100" '
        'vip="203.0.113.10/24" reason="Master received advert \\"\\] \\\\ ********"][meta sequenceId="2"]'
    )


def test_what_is_not_shown_still_explains(config: LogConfig) -> None:
    node = Node(config)
    assert node.objects("Keepalived_vrrp", "(main) Receive advertisement timeout") == []
    (line,) = node.objects("Keepalived_vrrp", "(main) Entering MASTER STATE")
    assert line["reason"] == "Receive advertisement timeout"


def test_fault_and_adverts_that_do_not_fit_are_warnings(config: LogConfig) -> None:
    node = Node(replace(config, levels=Levels("warning")))
    (line,) = node.objects("Keepalived_vrrp", "(main) received an invalid passwd!")
    assert (line["level"], line["event"]) == ("warning", "advert")
    (line,) = node.objects("Keepalived_vrrp", "(main) Entering FAULT STATE")
    assert line["level"] == "warning"
    assert node.objects("Keepalived_vrrp", "(main) Entering BACKUP STATE") == []


def test_levels_of_programs(config: LogConfig) -> None:
    node = Node(replace(config, levels=Levels("warning", (("keepalived", "debug"), ("x", "error")))))
    assert node.objects("Keepalived_vrrp", "(main) setting VIPs.")[0]["level"] == "debug"
    assert node.objects("Keepalived", "Startup complete")
    assert node.objects("x", "hello", severity=4) == []
    assert node.objects("x", "hello", severity=3)
    assert node.objects("y", "hello", severity=6) == []
    assert node.objects("y", "hello", severity=4)


def test_secrets_are_masked_whoever_says_them(node: Node) -> None:
    (entry,) = node.take("my-script", "the password is s3cret-1, of http://me:pw@host/")
    assert "s3cret" not in entry.printed + entry.forwarded
    assert "the password is ********, of http://me:********@host/" in entry.printed


def test_a_reload_adds_secrets_and_forgets_none(node: Node, config: LogConfig) -> None:
    node.pipeline.configure(replace(config, secrets=("n3w-s3cret",)))
    assert node.objects("x", "s3cret-1 n3w-s3cret")[0]["message"] == "******** ********"
    assert node.pipeline.masked("s3cret-1") == "********"


def test_repetitions_carry_what_they_repeat(node: Node, fits: Callable[[str], dict[str, Any]]) -> None:
    said = [node.take("Keepalived_vrrp", "(main) received an invalid passwd!") for _ in range(4)]
    assert [len(entries) for entries in said] == [1, 0, 0, 0]
    folded, _ = node.take("Keepalived_vrrp", "(main) Entering BACKUP STATE")
    line = fits(folded.printed)
    assert line["message"] == "last message repeated 3 times: (main) received an invalid passwd!"
    assert (line["repeated"], line["event"], line["instance"], line["sequence"]) == (3, "advert", "main", 2)
    assert list(node.pipeline.tick(NOW + 100)) == []


class TestForwarder:
    def test_its_own_messages_are_printed_and_not_forwarded(self, node: Node) -> None:
        text = f"action '{TCP}' suspended (module 'builtin:omfwd'), retry 0. There should be messages before this one."
        (entry,) = node.take("rsyslogd", text, severity=4, uid=990, is_forwarder=True)
        assert json.loads(entry.printed)["message"] == f"action '{TCP}' suspended (module 'builtin:omfwd')"
        assert json.loads(entry.printed)["event"] == "log"
        assert entry.forwarded == ""

    def test_nobody_else_is_the_forwarder(self, node: Node) -> None:
        (entry,) = node.take("rsyslogd", f"action '{TCP}' suspended", severity=4)
        assert entry.forwarded
        assert node.pipeline.gone() == []
        (entry,) = node.take("rsyslogd-pstats", '{"name": "x queue", "discarded.full": 9}')
        assert "dropped" not in json.loads(entry.printed)

    def test_a_server_goes_away_once(self, node: Node) -> None:
        said = node.forwarder("omfwd: remote server at 192.0.2.1:514 seems to have closed connection. [v8.2302.0]")
        assert [line["message"] for line in said] == [
            "omfwd: remote server at 192.0.2.1:514 seems to have closed connection."
        ]
        assert node.pipeline.gone() == [1]
        assert node.forwarder(f"action '{TCP}' suspended (module 'builtin:omfwd')")
        node.now += SHOWN_FOR_SECONDS + 0.1
        for _ in range(5):
            assert node.forwarder("cannot connect to 192.0.2.1:514: Connection refused", 3) == []
            node.now += QUIET_SECONDS - 1
        assert node.pipeline.gone() == []
        assert node.forwarder(f"action '{TCP}' resumed (module 'builtin:omfwd')", 6)
        assert node.forwarder("cannot connect to 192.0.2.1:514: Connection refused", 3)
        assert node.pipeline.gone() == [1]

    def test_each_server_for_itself(self, node: Node) -> None:
        node.forwarder("omrelp[192.0.2.1:514]: error 'server closed relp session, session broken'", 3)
        node.forwarder("action 'tls://log.example.org:6514' suspended")
        assert node.pipeline.gone() == [1, 2]

    def test_a_successor_does_not_say_that_it_is_back(self, node: Node) -> None:
        node.forwarder("cannot connect to 192.0.2.1:514: Connection refused", 3)
        assert node.pipeline.gone() == [1]
        node.now += QUIET_SECONDS + 1
        node.forwarder("cannot connect to 192.0.2.1:514: Connection refused", 3)
        assert node.pipeline.gone() == [1]

    def test_chatter_is_for_who_looks_for_it(self, node: Node) -> None:
        assert node.forwarder("nsd_ossl: TLS Connection initiated with remote syslog server. [v8.2302.0]", 6) == []
        assert node.forwarder('[origin software="rsyslogd"] start', 6) == []
        assert node.objects("log-forwarder", "rsyslogd: something on stderr", severity=4) == []

    def test_what_a_spool_drops_is_counted(self, node: Node, fits: Callable[[str], dict[str, Any]]) -> None:
        assert node.counters() == []
        (line,) = node.counters(**{"discarded.full": 7, "discarded.nf": 1})
        fits(json.dumps(line))
        assert line["message"] == f"8 messages were dropped on their way to {TCP}, its spool is full"
        assert (line["dropped"], line["target"], line["event"], line["level"]) == (8, TCP, "log", "warning")
        node.now += 10
        assert node.counters(**{"discarded.full": 5}) == []
        node.now += DROPPED_EVERY_SECONDS
        assert node.counters()[0]["dropped"] == 5
        node.now += DROPPED_EVERY_SECONDS
        assert node.counters() == []

    def test_what_the_standard_output_drops(self, node: Node) -> None:
        (line,) = node.counters(name="stream queue", **{"discarded.full": 2})  # type: ignore[arg-type]
        assert line["message"] == "2 messages were dropped on their way to the standard output, which takes no more"

    def test_what_waits_is_mentioned_now_and_then(self, node: Node, fits: Callable[[str], dict[str, Any]]) -> None:
        node.forwarder(f"action '{TCP}' suspended")
        assert node.counters(size=5) == []
        node.now += REMIND_SECONDS
        (line,) = node.counters(size=5)
        fits(json.dumps(line))
        assert line["message"] == f"5 messages wait for {TCP}, which has been away for 10 minutes"
        assert (line["waiting"], line["target"]) == (5, TCP)
        assert node.counters(size=5) == []

    @pytest.mark.parametrize(
        "text", ["no JSON", "[]", "1", '{"name": "omfwd"}', '{"name": "q queue", "size": "x"}', "{"]
    )
    def test_other_counters_are_nothing(self, node: Node, text: str) -> None:
        assert node.objects("rsyslogd-pstats", text, is_forwarder=True) == []


def test_our_own_word_on_the_log(node: Node, fits: Callable[[str], dict[str, Any]]) -> None:
    (entry,) = node.pipeline.say(4, "3 messages were dropped", NOW, dropped=3, target="log-forwarder")
    line = fits(entry.printed)
    assert (line["program"], line["dropped"], line["event"]) == ("ka", 3, "log")
    assert 'dropped="3" target="log-forwarder"' in entry.forwarded


def test_datagrams_for_the_forwarder(node: Node) -> None:
    (entry,) = node.take("x", "é")
    forwarded, printed = entry.datagrams()
    assert forwarded == b"<30>all: " + entry.forwarded.encode()
    assert printed == b"<30>out: " + entry.printed.encode()
    assert printed_of(printed) == entry.printed
    assert printed_of(forwarded) is None
    assert printed_of(datagram("to1", "x")) is None


@pytest.mark.alone  # it measures processor time
@pytest.mark.parametrize(
    "text",
    [
        *("(" * 4096, ") " * 2048, "(main) " * 600, "VRRP_Script(" * 340, "tracked file " * 310, "Child " * 680),
        *("Received advert from " * 195, "Netlink reports " * 256, "//a:" * 1024, "(main) Changing " + "x" * 4000),
        *("a" * 4096, "1" * 4096, "s3cret-" * 585, ": " * 2048, "(main) ip address " * 227, "\\x1b" * 1024),
        *("//" * 2048, " from 1" * 585),
    ],
    ids=lambda text: text[:16],
)
@pytest.mark.parametrize("program", ["Keepalived", "http-checker", "x", "rsyslogd"])
def test_no_text_takes_long(node: Node, program: str, text: str) -> None:
    begin = time.process_time()
    node.take(program, text)
    node.take(program, text, is_forwarder=True)
    assert time.process_time() - begin < 0.05


@given(
    st.lists(st.binary(max_size=100) | st.text(max_size=60).map(lambda text: f"<30>Keepalived: (main) {text}".encode()))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_every_line_is_a_line(
    config: LogConfig, fits: Callable[[str], dict[str, Any]], sent: list[bytes]
) -> None:
    node = Node(replace(config, levels=Levels("debug")))
    for one in sent:
        for entry in node.pipeline.take(one, pid=7, uid=0, now=NOW):
            fits(entry.printed)
            assert RFC_5424.fullmatch(entry.forwarded)
            assert all(len(made) < 65536 for made in entry.datagrams())

"""What a node prints: one stream, from its first line to its last, whatever dies meanwhile."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from signal import SIGKILL
from typing import TYPE_CHECKING

import pytest

from lab.pair import ENVIRONMENT, HTTP_CHECKER, KEEPALIVED, LOG_FORWARDER, VIP, start_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Lab
    from lab.pair import Pair

SEVERE = {"crit", "alert", "emerg"}
LEVELS = {"debug", "info", "notice", "warning", "error", *SEVERE}
PROGRAMS = {"ka", "Keepalived", "Keepalived_vrrp", "http-checker", "rsyslogd"}

#: RFC 3339 with its zone.
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
TEXT_LINE = re.compile(rf"(?P<time>{TIME}) (?P<level>\w+) (?P<program>[\w.-]+)\[(?P<pid>\d+|-)\]: (?P<message>.+)")


def from_json(line: str) -> dict[str, str]:
    """A line of the JSON stream as the text stream's parts."""
    entry = json.loads(line)
    assert isinstance(entry, dict), line
    assert entry.keys() >= {"time", "level", "program", "pid", "message"}, line
    assert re.fullmatch(TIME, entry["time"]), line
    assert entry["pid"] is None or type(entry["pid"]) is int, line
    assert isinstance(entry["message"], str), line
    return {name: str(value) for name, value in entry.items()}


def from_text(line: str) -> dict[str, str]:
    """A line of the text stream in its parts."""
    found = TEXT_LINE.fullmatch(line)
    assert found, line
    return found.groupdict()


def live(pair: Pair) -> None:
    """A whole life of the first node: start, fail-over, crashes, stop."""
    lab, node, service = pair.lab, pair.n1, pair.services["n1"]
    failed = time.time()
    service.answer(500)
    pair.wait_moved(pair.n2, failed)
    mended = time.time()
    service.answer(200)
    pair.wait_moved(node, mended)
    # The forwarder first: what the others say of their own deaths goes by way of its successor.
    for pattern, restarted in (
        (LOG_FORWARDER, r"rsyslogd.* start\b"),
        (HTTP_CHECKER, "the last verdict was up"),
        (KEEPALIVED, "Starting VRRP child process"),
    ):
        mark, killed = node.log.mark(), time.time()
        node.signal(pattern, SIGKILL)
        node.log.wait_for(restarted, since=mark)
    lab.wait_holder(VIP, node, since=killed)
    assert node.stop() == 0


@pytest.mark.parametrize(("log_format", "parse"), [("json", from_json), ("text", from_text)], ids=["json", "text"])
def test_every_line_of_a_nodes_life_is_whole(lab: Lab, log_format: str, parse: Callable[[str], dict[str, str]]) -> None:
    pair = start_pair(lab, KA_LOG_FORMAT=log_format, KA_LOG_LEVEL="debug")
    live(pair)
    lines = [parse(line.text) for line in pair.n1.log.lines]
    assert pair.n1.stderr.text == ""
    assert {line["level"] for line in lines} <= LEVELS
    assert {line["program"] for line in lines} >= PROGRAMS
    now = datetime.now().astimezone()
    for line in lines:
        assert abs((now - datetime.fromisoformat(line["time"])).total_seconds()) < 600, line
    messages = [line["message"] for line in lines]
    expected = (
        r"node n1, router n1$",
        r"\(main\) Entering MASTER STATE$",
        r"http://127\.0\.0\.1/: DOWN after 2 failures: answered 500",
        r"\(main\) Entering FAULT STATE$",
        rf"removed {VIP}/24 dev eth0, which keepalived left behind$",
        r"Stopping$",
        r".* exiting on signal 15\.$",
    )
    for pattern in expected:
        assert any(re.match(pattern, message) for message in messages), pattern


def test_the_level_hides_what_is_less_severe(lab: Lab) -> None:
    shown = {
        "error": (set(), {"error", *SEVERE}),
        "warning": ({"warning"}, {"warning", "error", *SEVERE}),
        "info": ({"info", "warning"}, {"info", "notice", "warning", "error", *SEVERE}),
        "debug": ({"debug", "info", "warning"}, LEVELS),
    }
    vips = {level: f"203.0.113.{number}" for number, level in enumerate(shown, start=21)}
    nodes = {level: lab.add_node(level) for level in shown}
    services = [node.start_service() for node in nodes.values()]
    for level, node in nodes.items():
        own = {"KA_VRID": vips[level].rpartition(".")[2], "KA_INCLUDE": f"{vips[level]}/24"}
        node.start({**ENVIRONMENT, **own, "KA_PRIORITY": "254", "KA_LOG_LEVEL": level})
    for level, node in nodes.items():
        lab.wait_holder(vips[level], node)
    for service in services:
        service.refuse()
    for level, node in nodes.items():
        lab.wait_released(vips[level], node)
        assert node.stop() == 0
    levels = {level: {from_text(line.text)["level"] for line in nodes[level].log.lines} for level in shown}
    for level, (at_least, at_most) in shown.items():
        assert at_least <= levels[level] <= at_most, (level, levels[level])

"""A service that dies, at the settings that nobody set: an interval of two seconds, and two failures.

bench/instant.py measures how soon the VIP is on the peer. Here it is shown that nobody waited for an interval: it is an
hour long.
"""

from __future__ import annotations

import contextlib
import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from lab.pair import HTTP_CHECKER, NO_CHECK, PRIORITIES, VIP
from lab.server_programs import KINDS, ServerProgram

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab, Node

#: After the start nothing would be asked again while the test runs.
HOUR = {
    **NO_CHECK,
    "KA_TRACK_IFACE": "eth0",
    "KA_INCLUDE": f"{VIP}/24",
    "KA_VRID": "51",
    "KA_ADVERT_INTERVAL": "0.25",
    "KA_CHECK_INTERVAL": "3600",
    "KA_CHECK_TIMEOUT": "2",
    "KA_CHECK_FAST_INTERVAL": "0.1",
    "KA_LOG_LEVEL": "debug",
}
URLS = {"listener": "tcp://127.0.0.1:80"}


@dataclass
class Served:
    """A node and the server that does its work, which may be on another host."""

    node: Node
    server: ServerProgram


def serve(lab: Lab, ends: contextlib.ExitStack, kind: str) -> list[Served]:
    """Two nodes with a server each."""
    made = []
    for number in ("1", "2"):
        node = lab.add_node(f"n{number}")
        if kind == "docker-proxy":
            container = lab.add_host(f"c{number}")
            server = ends.enter_context(ServerProgram(container, "nginx"))
            ends.enter_context(ServerProgram(node, kind, behind=container))
        else:
            server = ends.enter_context(ServerProgram(node, kind))
        made.append(Served(node, server))
    return made


def start(lab: Lab, pair: list[Served], **settings: str) -> None:
    first, second = (served.node for served in pair)
    first.start({**HOUR, "KA_PRIORITY": PRIORITIES[0], **settings})
    lab.wait_holder(VIP, first)
    mark = second.log.mark()
    second.start({**HOUR, "KA_PRIORITY": PRIORITIES[1], **settings})
    second.log.wait_for("Entering BACKUP STATE", since=mark)


@pytest.fixture
def ends() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_server_is_noticed_whatever_the_interval(lab: Lab, ends: contextlib.ExitStack, kind: str) -> None:
    first, second = pair = serve(lab, ends, kind)
    start(lab, pair, KA_ENABLE_CHECK=URLS.get(kind, "http://127.0.0.1/"))
    for _round in range(2):
        since = lab.timeline(VIP)[-1].time
        first.server.kill()
        lab.wait_holder(VIP, second.node, since=since)
        if kind == "docker-proxy":
            return  # nothing here tells of a container that is back: that takes KA_CHECK_SLOW_INTERVAL
        # A listener that is new is a reason to ask, and the fast interval brings the second good answer.
        since = lab.timeline(VIP)[-1].time
        first.server.start()
        lab.wait_holder(VIP, first.node, since=since)


def test_without_it_the_interval_counts(lab: Lab, ends: contextlib.ExitStack) -> None:
    first, _second = pair = serve(lab, ends, "nginx")
    start(lab, pair, KA_ENABLE_CHECK="http://127.0.0.1/", KA_CHECK_INSTANT="false")
    first.server.kill()
    # The other node's checker, which has it on, has long noticed the end of its own server by then.
    third = lab.add_node("n3")
    with ServerProgram(third, "nginx") as server:
        third.start({**HOUR, "KA_PRIORITY": "1", "KA_ENABLE_CHECK": "http://127.0.0.1/"})
        third.log.wait_for("http-checker.*: UP after")
        server.kill()
        third.log.wait_for("http-checker.*: DOWN after")
    assert not re.search("http-checker.*: (DOWN|one failure)", first.node.log.text)
    assert lab.holders(VIP) == {"n1"}


def test_graceful_reloads_under_load_cost_no_fail_over(lab: Lab, ends: contextlib.ExitStack) -> None:
    first, second = pair = serve(lab, ends, "nginx")
    # The default's second: a hundred processes that start are not to be what a peer misses adverts for.
    start(lab, pair, KA_ENABLE_CHECK="http://127.0.0.1/", KA_CHECK_INTERVAL="2", KA_ADVERT_INTERVAL="1")
    client = lab.add_host("client").start_client(f"http://{VIP}/", rate=200)
    for number in range(1, 51):
        first.server.reload()
        client.wait_requests(10 * number)
    assert not re.search("http-checker.*: DOWN", first.node.log.text)
    assert [event.node for event in lab.timeline(VIP)] == ["n1"]
    assert second.node.running


def test_a_checker_that_starts_again_has_it_again(lab: Lab, ends: contextlib.ExitStack) -> None:
    first, second = pair = serve(lab, ends, "nginx")
    start(lab, pair, KA_ENABLE_CHECK="http://127.0.0.1/")
    mark = first.node.log.mark()
    first.node.signal(HTTP_CHECKER, signal.SIGKILL)
    first.node.log.wait_for("http-checker.*: probes", since=mark)
    first.server.kill()
    lab.wait_holder(VIP, second.node)

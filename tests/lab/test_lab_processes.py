"""The processes of a node are found and signalled, and what they print is waited for."""

from __future__ import annotations

import signal
import threading

import pytest

from lab import Lab, LabError

SH = ["sh", "-c"]
# One process, which waits for ever without starting another.
FOREVER = [*SH, "trap 'exit 0' TERM; mkfifo /run/never; exec 3<>/run/never; echo ready; read never <&3"]


def test_signals_find_only_the_nodes_own_processes(lab: Lab) -> None:
    nodes = [lab.add_node("n1"), lab.add_node("n2")]
    for node in nodes:
        node.start(command=FOREVER)
        node.log.wait_for("ready")
    first, second = (node.processes("echo ready") for node in nodes)
    assert len(first) == len(second) == 1
    assert first != second
    assert nodes[0].signal("echo ready", signal.SIGTERM) == first
    assert nodes[0].wait() == 0
    assert nodes[1].running
    with pytest.raises(LabError, match="n2 runs no process whose command line matches 'nothing-like-it'"):
        nodes[1].signal("nothing-like-it", signal.SIGTERM, timeout=0.05)


def test_a_node_outlives_the_thread_that_started_it(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    thread = threading.Thread(target=n1.start, kwargs={"command": FOREVER})
    thread.start()
    thread.join()
    n1.log.wait_for("ready")
    assert n1.enter(["true"]).returncode == 0
    assert n1.stop() == 0


def test_the_log_is_waited_for_line_by_line(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    n1.start(command=[*SH, "echo one 1; echo two >&2; sleep 0.2; echo one 2; printf unfinished"])
    first = n1.log.wait_for(r"one \d")
    mark = n1.log.mark()
    second = n1.log.wait_for(r"one \d", since=mark)
    assert (first.text, second.text) == ("one 1", "one 2")
    assert first.time <= second.time
    assert n1.stderr.wait_for("two").text == "two"
    assert n1.log.wait_for("unfinished").text == "unfinished"
    with pytest.raises(LabError, match="n1's log ended without a line that matches 'three'"):
        n1.log.wait_for("three")


def test_a_log_that_does_not_say_it_is_reported(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    n1.start(command=FOREVER)
    n1.log.wait_for("ready")
    with pytest.raises(LabError, match=r"n1's log had no line within 0.05 s that matches 'never'.\n") as raised:
        n1.log.wait_for("never", timeout=0.05)
    assert "ready" in str(raised.value)

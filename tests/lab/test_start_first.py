"""An update that starts the new container before it stops the old one, on one host (order: start-first)."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from lab.node import Node
from lab.pair import ENVIRONMENT, NO_CHECK, VIP, placed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

PLAIN = {**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254"}


@contextlib.contextmanager
def another(lab: Lab, node: Node) -> Iterator[Node]:
    """Another container on the host of `node`."""
    other = Node(node.name, int(node.ipv4.rpartition(".")[2]), lab._surroundings)
    try:
        yield other
    finally:
        other.close()


def test_a_start_leaves_the_vip_of_a_node_that_lives(lab: Lab) -> None:
    old = lab.add_node("n1")
    old.start(PLAIN)
    lab.wait_holder(VIP, old)
    mark = old.log.mark()
    with another(lab, old) as new:
        new.start(PLAIN)
        new.log.wait_for("Entering MASTER STATE")
        assert "which an earlier run left behind" not in new.log.text
        assert placed(old) == {f"{VIP}/24 dev eth0"}
        stopped = time.time()
        assert old.stop() == 0
        assert "which keepalived left behind" not in "".join(line.text for line in old.log.lines[mark:])
        # keepalived itself takes it off, and the other one puts it back.
        lab.wait_holder(VIP, old, since=stopped)
        assert new.stop() == 0
        assert placed(old) == set()


def test_a_start_that_fails_leaves_it_too(lab: Lab) -> None:
    old = lab.add_node("n1")
    old.start(PLAIN)
    lab.wait_holder(VIP, old)
    with another(lab, old) as new:
        new.start({**PLAIN, "KA_PRIORITY": "300"})
        assert new.wait() == 78
    assert [event.added for event in lab.timeline(VIP)] == [True]


def test_what_another_node_does_not_claim_goes_all_the_same(lab: Lab) -> None:
    """Two services on one host: the one that lives keeps nothing of the one that died."""
    living = lab.add_node("n1")
    living.start({**PLAIN, "KA_INCLUDE": "203.0.113.20/24", "KA_VRID": "52"})
    lab.wait_holder("203.0.113.20", living)
    with another(lab, living) as dying:
        dying.start({**PLAIN, "KA_LEASE": "off"})
        lab.wait_holder(VIP, living)
        dying.kill()
        dying.start({**PLAIN, "KA_PRIORITY": "300"})
        assert dying.wait() == 78
    assert placed(living, VIP, "203.0.113.20") == {"203.0.113.20/24 dev eth0"}

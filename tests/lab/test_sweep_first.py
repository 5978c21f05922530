"""What a dead keepalived left is taken off before anything can fail or wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lab.pair import ENVIRONMENT, KA, NO_CHECK, VIP, placed

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab, Node

#: Without a lease, so that what a killed node left is there for the next start.
PLAIN = {**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254", "KA_LEASE": "off"}
REMOVED = f"removed {VIP}/24 dev eth0, which an earlier run left behind"


def killed(lab: Lab) -> Node:
    """A node that was killed as the holder of the VIP, whose host still has it."""
    node = lab.add_node("n1")
    node.start(PLAIN)
    lab.wait_holder(VIP, node)
    node.kill()
    assert placed(node) == {f"{VIP}/24 dev eth0"}
    return node


@pytest.mark.parametrize(
    "wrong",
    [
        {"KA_PRIORITY": "300"},
        {"KA_TRACK_IFACE": "eht0"},
        {"KA_TRACK_IFACE": "not a link"},
        {"KA_PRIORTY": "254"},
        {"KA_EXCLUDE": "203.0.113.300"},
    ],
    ids=lambda wrong: "=".join(*wrong.items()),
)
def test_a_wrong_variable_keeps_no_vip_here(lab: Lab, wrong: dict[str, str]) -> None:
    node = killed(lab)
    node.start({**PLAIN, **wrong})
    assert node.wait() == 78
    assert placed(node) == set()
    assert f"ka: {REMOVED}\n" in node.stderr.text


def test_what_an_earlier_start_wrote_down_goes_too(lab: Lab) -> None:
    """An emptyDir outlives its container; the environment is another one since."""
    node = lab.add_node("n1")
    node.exec(["ip", "address", "add", f"{VIP}/24", "dev", "eth0"])
    left = f"mkdir /run/ka && touch /run/ka/.docker-keepalived && echo '{VIP} eth0' >/run/ka/vips"
    changed = {**PLAIN, "KA_INCLUDE": "203.0.113.20/24"}
    for environ in ({**changed, "KA_PRIORITY": "300"}, changed):
        node.start(environ, command=["sh", "-c", f'{left}; exec "$@"', "sh", *KA, "run"])
        if environ is not changed:
            assert node.wait() == 78
        lab.wait_released(VIP, node)
    lab.wait_holder("203.0.113.20", node)


def test_a_name_that_has_no_address_keeps_no_vip_here(lab: Lab) -> None:
    node = killed(lab)
    started = time.time()
    node.start({**PLAIN, "KA_UNICAST_PEERS": "dns:nodes.example.org"})
    node.stderr.wait_for("waiting for dns:nodes.example.org to have an address")
    lab.wait_released(VIP, node, since=started)
    assert node.running


def test_a_check_on_trial_finds_no_vip_here(lab: Lab, tmp_path: Path) -> None:
    """A script that hangs would have kept it for 30 s more."""
    script = tmp_path / "scripts" / "check"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\n! ip address show | grep -q "{VIP}/" || {{ echo it is here; exit 1; }}\n')
    for path in (tmp_path, script.parent, script):
        path.chmod(0o755)
    node = killed(lab)
    mark, started = node.log.mark(), time.time()
    node.start({**PLAIN, "KA_OVERRIDE_CHECK": "check"}, data=tmp_path)
    lab.wait_released(VIP, node, since=started)
    node.log.wait_for("Starting VRRP child process", since=mark)
    assert "in its trial run" not in "".join(line.text for line in node.log.lines[mark:])
    # What was removed at first is told in the log of the node.
    node.log.wait_for(REMOVED, since=mark)

"""Nodes whose /run is full: Kubernetes gives it 16Mi, and a log server that is away may fill it."""

from __future__ import annotations

import time
from signal import SIGKILL
from typing import TYPE_CHECKING

import pytest

from lab import wait_until
from lab.pair import ENVIRONMENT, HTTP_CHECKER, NO_CHECK, VIP, ka, start_pair

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab, Node


def fill(node: Node) -> None:
    """Leaves no byte of the node's /run."""
    inside = ["nsenter", "--target", str(node.pid), "--mount"]
    node.exec([*inside, "mount", "-o", "remount,size=2m", "/run"])
    filling = [*inside, "dd", "if=/dev/zero", "of=/run/filling", "bs=4096", "count=1024"]
    assert "No space left" in node.exec(filling, check=False).stderr


@pytest.mark.parametrize("weight", ["0", "-20"])
def test_a_full_run_directory_costs_no_vip(lab: Lab, weight: str) -> None:
    pair = start_pair(lab, KA_CHECK_WEIGHT=weight)
    fill(pair.n1)
    filled = time.monotonic()
    # Longer than any heartbeat lasts that could not be renewed.
    wait_until(lambda: time.monotonic() - filled > 10, "ten seconds with a full directory", timeout=60)
    assert lab.holders(VIP) == {"n1"}
    assert ka(pair.n1, "health").returncode == 0
    # What happens is still noticed …
    failed = time.time()
    pair.services["n1"].refuse()
    pair.wait_moved(pair.n2, failed)
    mended = time.time()
    pair.services["n1"].answer(200)
    pair.wait_moved(pair.n1, mended)
    # … by a checker that starts again, too, and an operator is heard.
    mark = pair.n1.log.mark()
    pair.n1.signal(HTTP_CHECKER, SIGKILL)
    pair.n1.log.wait_for("http-checker.*the last verdict was up", since=mark)
    asked = time.time()
    assert ka(pair.n1, "drain").returncode == 0
    pair.wait_moved(pair.n2, asked)
    assert [event.added for event in lab.timeline(VIP) if event.node == "n1"] == [True, False, True, False]


def test_a_full_run_directory_fails_no_script(lab: Lab, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "scripts").mkdir(parents=True)
    script = data / "scripts" / "check"
    script.write_text("#!/bin/sh\nexit 0\n")
    for path in (data, data / "scripts", script):
        path.chmod(0o755)
    node = lab.add_node("n1")
    environ = {**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254", "KA_OVERRIDE_CHECK": "check", "KA_CHECK_INTERVAL": "1"}
    node.start({name: text for name, text in environ.items() if text}, data=data)
    lab.wait_holder(VIP, node)
    fill(node)

    seen: set[str] = set()

    def has_run() -> bool:
        seen.add(node.read("run/ka/override/override/result"))
        return len(seen) > 4

    wait_until(has_run, "four more runs of the check")
    assert lab.holders(VIP) == {"n1"}
    # One that fails still does.
    failed = time.time()
    script.write_text("#!/bin/sh\nexit 1\n")
    lab.wait_released(VIP, node, since=failed)

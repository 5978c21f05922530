"""A container that is too small: the kernel ends what a node can do without, and the VIP stays."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from lab.engine import RESTRICTED, environment
from lab.patience import wait_until

if TYPE_CHECKING:
    from lab.engine import Engine

VIP = "198.51.100.10"
SETTINGS = {
    "KA_TRACK_IFACE": "eth0",
    "KA_INCLUDE": f"{VIP}/32",
    "KA_PRIORITY": "254",
    "KA_VRID": "51",
    "KA_NOTIFY_URL": "https://127.0.0.1/hook",
    "KA_LOG_FORWARD": "relp://127.0.0.1:2514",
}


def test_ten_reloads_in_64_mib_cost_no_vip(engine: Engine) -> None:
    """A reload needs more than there is: at each of them the node was ended, or lost its checker."""
    memory = ("--memory", "64m", "--memory-swap", "64m")
    node = engine.run("small", ["--network", engine.network(), *memory, *RESTRICTED, *environment(SETTINGS)])
    wait_until(lambda: f"{VIP}/32" in node.addresses(), "the VIP on the small node")
    keepalived = node.pid_of("keepalived")
    pid_1 = next(pid for _, pid, command in node.processes() if "app.pid1" in command)

    def reloads() -> bool:
        return any("app.lifecycle.reload" in command for _, _, command in node.processes())

    for _ in range(10):
        os.kill(pid_1, signal.SIGHUP)
        wait_until(reloads, "a reload")
        wait_until(lambda: not reloads(), "its end")
        assert f"{VIP}/32" in node.addresses()
    assert node.pid_of("keepalived") == keepalived
    assert node.state["Running"]

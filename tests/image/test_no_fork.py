"""A container in which no process can be started any more: a script check that cannot run counts as failed."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from lab.engine import RESTRICTED, environment
from lab.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from lab.engine import Engine

VIP = "198.51.100.10"
SETTINGS = {
    "KA_TRACK_IFACE": "eth0",
    "KA_INCLUDE": f"{VIP}/32",
    "KA_PRIORITY": "254",
    "KA_VRID": "51",
    "KA_OVERRIDE_CHECK": "check",
    "KA_CHECK_INTERVAL": "1",
}
FILL = "while sleep 600 & do :; done"


def test_a_script_check_that_cannot_run_counts_as_failed(engine: Engine, tmp_path: Path) -> None:
    """keepalived kept its last result: the node stayed master, whatever became of the service."""
    script = tmp_path / "scripts" / "check"
    script.parent.mkdir()
    tmp_path.chmod(0o755)  # the account of the scripts must get there
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    options = ["--network", engine.network(), "--pids-limit", "40", "--volume", f"{tmp_path}:/ka-data:ro"]
    node = engine.run("full", [*options, *RESTRICTED, *environment(SETTINGS)])
    wait_until(lambda: f"{VIP}/32" in node.addresses(), "the VIP")
    node.execute("sh", "-c", FILL)
    node.log.wait_for("override: not run for too long, which counts as failed; no process can be started")
    node.log.wait_for("Entering FAULT STATE")
    for pid in node.pid_of("sleep"):
        os.kill(pid, signal.SIGKILL)
    node.log.wait_for("script checks are run again")
    wait_until(lambda: f"{VIP}/32" in node.addresses(), "the VIP again")

"""What a keepalived that has ended leaves behind: processes of its group, VIPs, pid files."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from app.host.leftovers import remove_leftovers, written_down

if TYPE_CHECKING:
    from app.contract.paths import Layout

#: Seconds that what is left of a keepalived gets to say goodbye before it is killed.
GOODBYE_SECONDS = 0.1


def clean_up(leader: int, layout: Layout, log: logging.Logger) -> None:
    """Removes all that is left of the keepalived whose first process was ``leader``."""
    end_group(leader)
    try:
        for address in remove_leftovers(written_down(layout.vips)):
            log.warning("removed %s, which keepalived left behind", address)
    except (OSError, subprocess.CalledProcessError) as error:
        log.log(logging.ERROR, "cannot look for VIPs that keepalived left behind: %s", error)
    for stale in layout.keepalived_pid_files:
        stale.unlink(missing_ok=True)


def end_group(leader: int) -> None:
    """Ends what is left of a program whose first process has ended.

    keepalived's VRRP process sends priority 0 and removes its VIPs when it is asked to; only one that hangs is killed.
    """
    if not leader:
        return  # It could not even be forked, and group 0 is our own.
    deadline = time.monotonic() + GOODBYE_SECONDS
    try:
        os.killpg(leader, signal.SIGTERM)
        while os.waitpid(-leader, os.WNOHANG)[0] or time.monotonic() < deadline:
            time.sleep(0.001)
        os.killpg(leader, signal.SIGKILL)
        os.waitpid(-leader, 0)
    except (ProcessLookupError, ChildProcessError):
        return  # Nothing is left.

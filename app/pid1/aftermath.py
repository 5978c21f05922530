"""What a keepalived that has ended leaves behind: processes of its group, VIPs, pid files."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from app.host.leftovers import claimed_by_others, remove_leftovers, written_down

if TYPE_CHECKING:
    from app.contract.paths import Layout

#: Seconds that what is left of a keepalived gets to say goodbye before it is killed.
GOODBYE_SECONDS = 0.1


def clean_up(leader: int, layout: Layout, log: logging.Logger) -> None:
    """Removes all that is left of the keepalived whose first process was ``leader``."""
    was_left = end_group(leader)
    places = written_down(layout.vips)
    if not was_left:
        # It ended by itself and has given up what it held: what is here now may be the next node's (start-first).
        claimed = claimed_by_others()
        places = frozenset(place for place in places if place[0] not in claimed)
    try:
        for address in remove_leftovers(places):
            log.warning("removed %s, which keepalived left behind", address)
    except (OSError, subprocess.CalledProcessError) as error:
        log.log(logging.ERROR, "cannot look for VIPs that keepalived left behind: %s", error)
    for stale in layout.keepalived_pid_files:
        stale.unlink(missing_ok=True)


def end_group(leader: int) -> bool:
    """Ends what is left of a program whose first process has ended; whether anything was.

    keepalived's VRRP process sends priority 0 and removes its VIPs when it is asked to; only one that hangs is killed.
    """
    if not leader:
        return False  # It could not even be forked, and group 0 is our own.
    deadline = time.monotonic() + GOODBYE_SECONDS
    try:
        os.killpg(leader, signal.SIGTERM)
    except ProcessLookupError:
        return False
    try:
        while os.waitpid(-leader, os.WNOHANG)[0] or time.monotonic() < deadline:
            time.sleep(0.001)
        os.killpg(leader, signal.SIGKILL)
        os.waitpid(-leader, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # It has ended now.
    return True

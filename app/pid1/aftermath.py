"""What a keepalived that has ended leaves behind: processes of its group, VIPs, pid files."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from app.host.leftovers import claimed_by_others, remove_leftovers, written_down

if TYPE_CHECKING:
    from collections.abc import Collection

    from app.contract.paths import Layout
    from app.host.addresses import Place

#: Seconds that what is left of a keepalived gets to say goodbye before it is killed.
GOODBYE_SECONDS = 0.1


class States:
    """The states of keepalived's processes, look by look."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        #: How often each process had given up its processor at the last look.
        self._switches: dict[str, str] = {}

    def look(self, leader: int) -> str:
        """Their letters (proc_pid_stat(5)), without those that are gone.

        One that waits for a disk now, and has run since the last look, is on a machine without memory and hangs in
        nothing: it counts as running.
        """
        pids = {str(leader), *(_text(path) for path in self._layout.keepalived_pid_files)} - {"0", ""}
        before, self._switches = self._switches, {pid: _switches(pid) for pid in pids}
        letters = {pid: _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2][1:2] for pid in pids}
        went_on = {pid for pid in pids if pid in before and self._switches[pid] != before[pid]}
        return "".join(sorted("R" if its == "D" and pid in went_on else its for pid, its in letters.items()))


def _switches(pid: str) -> str:
    status = _text(Path(f"/proc/{pid}/status"))
    return next((line for line in status.splitlines() if line.startswith("voluntary_ctxt_switches")), "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def end_hung(leader: int, layout: Layout, log: logging.Logger) -> None:
    """Kills a keepalived that does nothing, and removes its VIPs: it may take long to die."""
    if leader:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)
    remove_vips(written_down(layout.vips), log)


def clean_up(leader: int, layout: Layout, log: logging.Logger) -> None:
    """Removes all that is left of the keepalived whose first process was ``leader``."""
    was_left = end_group(leader)
    places = written_down(layout.vips)
    if not was_left:
        # It ended by itself and has given up what it held: what is here now may be the next node's (start-first).
        claimed = claimed_by_others()
        places = frozenset(place for place in places if place[0] not in claimed)
    remove_vips(places, log)
    for stale in layout.keepalived_pid_files:
        stale.unlink(missing_ok=True)


def remove_vips(places: Collection[Place], log: logging.Logger) -> None:
    """Takes addresses that a keepalived of this node may have left off this host, and says so."""
    try:
        for address in remove_leftovers(places):
            log.warning("removed %s, which keepalived left behind", address)
    except (OSError, subprocess.CalledProcessError) as error:
        log.log(logging.ERROR, "cannot look for VIPs that keepalived left behind: %s", error)


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
        # One that hangs in the kernel does not end: supervisord collects it when it does.
        deadline = time.monotonic() + GOODBYE_SECONDS
        while os.waitpid(-leader, os.WNOHANG)[0] or time.monotonic() < deadline:
            time.sleep(0.001)
    except (ProcessLookupError, ChildProcessError):
        pass  # It has ended now.
    return True

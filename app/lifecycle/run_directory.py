"""The files of a running node: made anew by a start, and added to by a reload.

Root has no DAC_OVERRIDE here: what belongs to the siblings is made and filled first, and given away last.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from app.contract import paths
from app.contract.gates import OPEN
from app.contract.paths import Layout, refuse_directory_of_others
from app.contract.verdict import Heartbeat, Verdict, uptime_in, write_atomically, write_in_place
from app.host.machine import can_track_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from app.host.addresses import Place
    from app.host.machine import Account
    from app.plan.model import Plan
    from app.render import File

#: How long a node that starts leaves its gates to what keepalived tracks (checks/gates): for two probes of the default
#: check and what comes before them.
HEAD_START_SECONDS = 5.0


def make(plan: Plan, files: Sequence[File]) -> None:
    """Makes the run directory anew. Raises OSError, and ConfigError when it is somebody else's."""
    layout = Layout(plan.run_dir)
    refuse_directory_of_others(layout)
    layout.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    layout.marker.touch()
    _clear(layout)
    _keep_others_out(layout.run_dir)
    if layout.run_dir.parent.resolve() == paths.RUN:
        _keep_others_out(paths.RUN)
    for file in files:
        write_file(layout, file, plan)
    add_vips(layout, plan)
    add_verdicts(layout, plan, up=False)
    if plan.http_checks:
        # Good until the http-checker has had its time to start.
        interval = min(check.interval for check in plan.http_checks)
        slowest = max(check.timeout for check in plan.http_checks)
        Heartbeat(layout.verdicts, interval, slowest).beat(owner=(plan.siblings.uid, plan.siblings.gid))
    add_override_states(layout, plan)
    layout.maintenance_state.mkdir(mode=0o755)
    for name in ("answer", "is-looking", "is-late"):
        write_in_place(layout.maintenance_state / name, "0\n")
    write_atomically(layout.drain, "0\n")
    if plan.hooks:
        _make_fifo(layout, plan.script_user)
    layout.log_dir.mkdir(mode=0o755)
    _give(plan.siblings, layout.log_dir)
    layout.dumps.mkdir(mode=0o700)
    layout.dump.write_bytes(bytes(Layout.DUMP_ROOM))


def write_file(layout: Layout, file: File, plan: Plan) -> None:
    """Writes a rendered file in one step, never readable by more than it should be."""
    path = layout.run_dir / file.path
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    group = plan.siblings.gid if file.for_siblings else plan.script_user.gid if file.for_script_user else -1
    write_atomically(path, file.text, mode=file.mode, owner=(-1, group))


def add_verdicts(layout: Layout, plan: Plan, *, up: bool) -> None:
    """Makes the verdicts that are missing: keepalived 2.3 refuses to track what is not there, in its test already."""
    if plan.http_checks and not layout.verdicts.exists():
        layout.verdicts.mkdir()
        # Root's, and the siblings' by their group: a reload adds files to it, and the checker replaces them.
        layout.verdicts.chmod(0o775)
        os.chown(layout.verdicts, -1, plan.siblings.gid)
    for check in plan.http_checks:
        verdict = Verdict(layout.verdict(check.name), check.up, check.down)
        if not verdict.path.exists():
            verdict.write(up=up, owner=(plan.siblings.uid, plan.siblings.gid))


def add_override_states(layout: Layout, plan: Plan) -> None:
    """Makes the directories of the operator's checks that are not there yet."""
    for script in plan.script_checks:
        state = layout.override_state(script.name)
        if not state.exists():
            state.mkdir(mode=0o755, parents=True)
            _give(plan.script_user, state)
    limits = (f"{check.name} {3 * max(check.interval, 1) + check.timeout + 2:g}\n" for check in plan.script_checks)
    write_atomically(layout.script_limits, "".join(limits))
    if not layout.script_gate.exists():
        write_atomically(layout.script_gate, OPEN)


def add_vips(layout: Layout, plan: Plan, before: Iterable[Place] = ()) -> None:
    """Writes down every place where an address may have to be removed after a death: the plan's, and ``before``."""
    places = {*before, *((address.address, address.link) for address in plan.addresses)}
    write_atomically(layout.vips, "".join(sorted(f"{address} {link}\n" for address, link in places)))


def note_tracking(layout: Layout) -> str | None:
    """Writes down whether keepalived can track files; gives a warning when it cannot."""
    layout.untracked.unlink(missing_ok=True)
    if can_track_files():
        return None
    layout.untracked.touch()
    return (
        "fs.inotify.max_user_instances: root has no inotify instance left on this machine, so keepalived learns of "
        "checks and gates once a second, and not at once; raise it, then start this node again"
    )


def give_head_start(layout: Layout) -> None:
    """Has the first verdict of a node that starts count at once, where keepalived can track it."""
    if not layout.untracked.exists():
        write_atomically(layout.head_start, uptime_in(HEAD_START_SECONDS))


def _give(account: Account, path: Path) -> None:
    os.chown(path, account.uid, account.gid)


def _make_fifo(layout: Layout, reader: Account) -> None:
    """What keepalived tells the notifier by, and what one notifier leaves to the next."""
    layout.transitions.parent.mkdir(mode=0o755)
    os.mkfifo(layout.transitions)
    # The reader's as its owner, and root's by the group: root has no DAC_OVERRIDE.
    layout.transitions.chmod(0o660)
    os.chown(layout.transitions, reader.uid, os.getgid())
    layout.journal.touch(mode=0o600)
    _give(reader, layout.journal)


def _keep_others_out(directory: Path) -> None:
    """Makes ``directory`` writable by root alone: a Kubernetes emptyDir is everybody's, and keepalived runs nothing
    from below such a directory."""
    state = directory.stat()
    others_may_write = state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if others_may_write and not state.st_mode & stat.S_ISVTX and state.st_uid == os.getuid():
        directory.chmod(0o755)


def _clear(layout: Layout) -> None:
    """Removes what an earlier start left in the run directory; nothing else that may lie there."""
    states = layout.override_states.glob("*")
    notifier = layout.transitions.parent
    logs = (layout.log_dir, layout.spool, layout.tls, layout.conf_d())
    of_checks = (layout.verdicts, *states, layout.override_states, layout.maintenance_state, layout.run_dir / "ca")
    for path in (*of_checks, notifier, *logs, layout.dumps):
        if path.exists():
            os.chown(path, os.getuid(), os.getgid())
            shutil.rmtree(path)
    for path in layout.run_dir.glob("*"):
        if path.name in Layout.OWN_FILES:
            path.unlink()
    shutil.rmtree(layout.watchdog.parent, ignore_errors=True)

"""``ka run``: writes the files, has keepalived test them, removes stale VIPs, then becomes PID 1's supervisor."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from app.contract.environ import PREFIX
from app.contract.errors import ConfigError, Problem
from app.contract.json_file import to_json
from app.contract.paths import DEFAULT_RUN_DIR, DEV_LOG, Layout
from app.contract.syslog import plain
from app.host.dev_log import other_logger
from app.host.leftovers import claimed_by_others, sweep, written_down
from app.host.machine import missing_capabilities, observe
from app.lifecycle import keepalived_test, run_directory
from app.lifecycle.prepare import prepare_patiently, usable_vips
from app.lifecycle.spool import prepare_spool
from app.plan.make import vip_places
from app.plan.summary import summary
from app.render import render
from app.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from app.host.machine import Account
    from app.plan.model import Plan, ScriptCheck

#: What the trial run of the operator's check may take, and the blocks of 512 bytes that it may print.
TRIAL_LIMIT_SECONDS = 30
TRIAL_OUTPUT_BLOCKS = 131072


def run(environ: Mapping[str, str]) -> NoReturn:
    """Becomes the node. Raises ConfigError, with nothing started, when the host is not fit for what it says."""
    # Before anything can fail or wait: as long as an address that was left is here there are two holders.
    swept = sweep_first(environ)
    try:
        _start(environ, swept)
    except ConfigError:
        for _, sentence in swept:
            print(f"ka: {sentence}", file=sys.stderr)
        raise


def _start(environ: Mapping[str, str], swept: Iterable[tuple[int, str]]) -> NoReturn:
    refuse_unfit_process()
    plan = prepare_patiently(environ)
    layout = Layout(plan.run_dir)
    opening = [*((logging.WARNING, warning) for warning in plan.warnings), *swept]
    try:
        run_directory.make(plan, render(plan, show_secrets=True))
    except OSError as error:
        raise ConfigError(
            Problem("KA_RUN_DIR", f"cannot write {error.filename}: {error.strerror}; it must be a writable directory")
        ) from None
    opening += [(logging.WARNING, sentence) for sentence in prepare_spool(plan)]
    if problems := keepalived_test.test(layout.keepalived_conf, plan.data_dir / "conf.d"):
        raise ConfigError(*problems)
    trials = (trial(check, plan.script_user, plan.run_dir) for check in plan.script_checks)
    opening += [(logging.WARNING, warning) for warning in trials if warning]
    if untracked := run_directory.note_tracking(layout):
        opening.append((logging.WARNING, untracked))
    opening += [(logging.INFO, line) for line in summary(plan)]
    layout.opening.write_text("".join(f"{level} {plain(line)}\n" for level, line in opening), encoding="utf-8")
    asked = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
    layout.environment.touch(mode=0o600)
    layout.environment.write_text(to_json(asked), encoding="utf-8")
    lead_log(layout)
    _give_output(plan.siblings)
    run_directory.give_head_start(layout)
    _become_supervisor(plan, layout)


def refuse_unfit_process() -> None:
    """Raises ConfigError when this process lacks a capability: keepalived would be a master without an address."""
    if missing := missing_capabilities():
        raise ConfigError(
            *(
                Problem(f"capability {name}", f"is missing, needed {needed}; add --cap-add {name}")
                for name, _, needed, _ in missing
            )
        )


def trial(check: ScriptCheck, account: Account, run_dir: Path) -> str | None:
    """Runs the operator's check once, as it will be run; gives a warning when it fails, for a service that is
    not up yet looks the same."""
    # A file, for a child that the script leaves behind would keep a pipe open; a bounded one, for it lies in memory.
    with tempfile.TemporaryFile(dir=run_dir) as output:
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", f'ulimit -f {TRIAL_OUTPUT_BLOCKS}; exec "$0"', check.script],
                env={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=account.uid,
                group=account.gid,
                extra_groups=(),
            )
            status = process.wait(TRIAL_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"{check.script}: had no result within {TRIAL_LIMIT_SECONDS} s in its trial run"
        if status == 0:
            return None
        output.seek(0)
        printed = " ".join(output.read(500).decode(errors="replace").split())
    return f"{check.script}: failed with exit status {status} in its trial run: {printed or 'no output'}"


def sweep_first(environ: Mapping[str, str]) -> list[tuple[int, str]]:
    """Removes VIPs that an earlier keepalived left on this host, whatever their prefix, planned or not; gives what
    there is to log.

    The settings may be wrong: what is right of them is enough. Raises ConfigError when the kernel refuses.
    """
    settings = load(environ).settings
    layout = Layout(getattr(settings.places, "run_dir", DEFAULT_RUN_DIR))
    ours = written_down(layout.vips) if layout.marker.exists() and layout.vips.exists() else frozenset()
    host = observe(vips=usable_vips(settings), ours=ours)
    places = set(ours)
    for asked in settings.instances:
        of_instance, carrier = vip_places(asked, host)
        places |= of_instance
        places -= {held.place for held in host.moving if held.place in of_instance and host.is_own(held, carrier)}
    claimed = claimed_by_others()
    try:
        swept = sweep([place for place in places if place[0] not in claimed])
    except subprocess.CalledProcessError as error:
        refuse_unfit_process()
        raise ConfigError(Problem("ip", f"cannot take off what an earlier run left: {error.stderr}")) from None
    return [
        *((logging.WARNING, f"removed {address}, which an earlier run left behind") for address in swept.removed),
        *(
            (logging.INFO, f"left {address} alone, which may belong to the other VRRP router that runs on this host")
            for address in swept.left
        ),
    ]


def lead_log(layout: Layout) -> None:
    """Makes /dev/log lead to PID 1's socket; but one that is there already is the host's, whose /dev is mounted."""
    if other := other_logger(DEV_LOG, layout.log_socket):
        print(f"ka: {DEV_LOG} {other.sentence}", file=sys.stderr)
    elif not DEV_LOG.is_symlink():
        DEV_LOG.symlink_to(layout.log_socket)


def _give_output(siblings: Account) -> None:
    """Lets the log forwarder, which is not root, have the container's standard output."""
    output = os.fstat(sys.stdout.fileno())
    if not output.st_mode & stat.S_IWOTH:
        os.fchown(sys.stdout.fileno(), siblings.uid, -1)
    if stat.S_ISREG(output.st_mode):
        # The forwarder opens the file anew: without this its lines and ours would overwrite each other.
        flags = fcntl.fcntl(sys.stdout.fileno(), fcntl.F_GETFL)
        fcntl.fcntl(sys.stdout.fileno(), fcntl.F_SETFL, flags | os.O_APPEND)


def _become_supervisor(plan: Plan, layout: Layout) -> NoReturn:
    """Replaces this process, and the memory of all that it has imported, by the one that stays."""
    # Nobody after this reads KA_*: what a secret is for has been written to where it is needed.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environ |= {
        "RUN_DIR": str(layout.run_dir),
        "PYTHON": sys.executable,
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "SIBLINGS": plan.siblings.name,
        "SCRIPT_USER": plan.script_user.name,
        # What is shown of it is decided where all lines meet.
        "LOG_LEVEL": plan.log.levels.least,
    }
    sys.stdout.flush()
    sys.stderr.flush()
    # What comes before PID 1 has its handlers (app.pid1.supervisor) waits for them: it would never hear of it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    command = [sys.executable, "-P", "-m", "app.pid1", str(layout.run_dir)]
    os.execve(command[0], command, environ)  # noqa: S606 - no shell is wanted

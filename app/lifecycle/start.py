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
from app.contract.paths import DEV_LOG, Layout
from app.host.leftovers import sweep
from app.host.machine import missing_capabilities
from app.lifecycle import keepalived_test, run_directory
from app.lifecycle.prepare import prepare_patiently
from app.lifecycle.spool import prepare_spool
from app.plan.summary import summary
from app.render import render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.host.machine import Account
    from app.plan.model import Plan, ScriptCheck

#: What the trial run of the operator's check may take, and the blocks of 512 bytes that it may print.
TRIAL_LIMIT_SECONDS = 30
TRIAL_OUTPUT_BLOCKS = 131072


def run(environ: Mapping[str, str]) -> NoReturn:
    """Becomes the node. Raises ConfigError, with nothing started, when the host is not fit for what it says."""
    refuse_unfit_process()
    plan = prepare_patiently(environ)
    layout = Layout(plan.run_dir)
    opening = [*((logging.WARNING, warning) for warning in plan.warnings)]
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
    _sweep(plan, opening)
    opening += [(logging.INFO, line) for line in summary(plan)]
    layout.opening.write_text("".join(f"{level} {line}\n" for level, line in opening), encoding="utf-8")
    asked = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
    layout.environment.touch(mode=0o600)
    layout.environment.write_text(to_json(asked), encoding="utf-8")
    _prepare_log(layout, plan.siblings)
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
        printed = output.read(500).decode(errors="replace").strip().replace("\n", " ")
    return f"{check.script}: failed with exit status {status} in its trial run: {printed or 'no output'}"


def _sweep(plan: Plan, opening: list[tuple[int, str]]) -> None:
    """Removes VIPs that an earlier keepalived left on this host, whatever their prefix, planned or not."""
    try:
        swept = sweep([str(address.address) for address in plan.addresses])
    except subprocess.CalledProcessError as error:
        raise ConfigError(Problem("ip", f"cannot look for VIPs left by an earlier run: {error.stderr}")) from None
    opening += [(logging.WARNING, f"removed {address}, which an earlier run left behind") for address in swept.removed]
    opening += [
        (logging.INFO, f"left {address} alone, which may belong to the other VRRP router that runs on this host")
        for address in swept.left
    ]


def _prepare_log(layout: Layout, siblings: Account) -> None:
    """Lets the log forwarder, which is not root, have /dev/log and the container's standard output."""
    is_ours = DEV_LOG.is_symlink() and (not DEV_LOG.exists() or DEV_LOG.readlink() == layout.log_socket)
    if is_ours or not DEV_LOG.exists():
        DEV_LOG.unlink(missing_ok=True)
        DEV_LOG.symlink_to(layout.log_socket)
    else:
        print(f"ka: {DEV_LOG} belongs to another logger of this machine, the log goes there", file=sys.stderr)
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

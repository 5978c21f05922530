"""Where the files of a running node lie, and the few numbers its processes share."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from app.contract.errors import ConfigError, Problem
from app.contract.gates import GATES, SCRIPTS
from app.contract.programs import PROGRAMS

#: The descriptor that carries the container's standard output to the log forwarder: supervisord gives each program
#: a pipe of its own as standard output and closes what lies below its ``minfds`` (supervisord.conf).
STREAM_FD = 200

#: The run directory where KA_RUN_DIR does not say otherwise.
DEFAULT_RUN_DIR = Path("/run/ka")

#: The container's own directory for what it writes. The one directory above a run directory that may be closed to
#: others, for a Kubernetes emptyDir is everybody's.
RUN = Path("/run")

#: Where programs look for the log (syslog(3)).
DEV_LOG = Path("/dev/log")

#: The top-level supervisord.conf, beside the package.
SUPERVISORD_CONF = Path(__file__).resolve().parents[2] / "supervisord.conf"


@dataclass(frozen=True)
class Layout:
    """The paths below the run directory."""

    run_dir: Path

    #: What runs the wrappers. Not by its link: keepalived 2.3 takes a link on the way for insecure (scripts of root).
    SHELL = Path("/bin/sh").resolve()

    #: The watchdog's name in keepalived.conf.
    WATCHDOG = "http-watchdog"

    #: The files of one start, which the next one removes; directories apart.
    OWN_FILES = frozenset(
        {
            *(program.file for program in PROGRAMS if program.file),
            *("log.json", "log-socket", "log-input", "environment", "vips", "opening", "notify", "drain"),
            *("head-start", "scripts", "script-limits"),
            *("keepalived.pid", "keepalived-vrrp.pid", "supervisord.pid", "reload.pending", "untracked"),
        }
    )

    @property
    def keepalived_conf(self) -> Path:
        """What keepalived reads."""
        return self.run_dir / "keepalived.conf"

    def conf_d(self, digest: str = "") -> Path:
        """Copies of the operator's own keepalived text, each state of it in a directory of its own."""
        return self.run_dir / "conf.d" / digest

    @property
    def keepalived_pid_files(self) -> tuple[Path, ...]:
        """Of its first process, and of the one that speaks VRRP (supervisord.conf)."""
        return self.run_dir / "keepalived.pid", self.run_dir / "keepalived-vrrp.pid"

    @property
    def transitions(self) -> Path:
        """The FIFO that keepalived writes every transition to, for the notifier."""
        return self.run_dir / "notifier" / "transitions"

    @property
    def journal(self) -> Path:
        """What a notifier leaves to the next one; written by the script user."""
        return self.run_dir / "notifier" / "journal"

    @property
    def dumps(self) -> Path:
        """keepalived's TMPDIR: where it writes what it is asked to dump. Only root's, for the password is in it."""
        return self.run_dir / "keepalived"

    @property
    def dump(self) -> Path:
        """keepalived's state, when it was asked for."""
        return self.dumps / "keepalived.json"

    #: Bytes that the dump of some instances takes, kept for it in a run directory that is full.
    DUMP_ROOM = 1 << 15

    @property
    def checker_config(self) -> Path:
        """What the http-checker reads."""
        return self.run_dir / "http-checker.json"

    @property
    def watchdog(self) -> Path:
        """The wrapper that fails when the http-checker has fallen silent."""
        return self.run_dir / "checks" / "http"

    @property
    def gates(self) -> Path:
        """The wrapper that reads what keepalived tracks, where keepalived cannot."""
        return self.run_dir / "checks" / "gates"

    @property
    def untracked(self) -> Path:
        """Is there when the last start or reload found no inotify instance for keepalived to track files with."""
        return self.run_dir / "untracked"

    @property
    def script_gate(self) -> Path:
        """Shut while a script check is not run any more; keepalived has it as track_file."""
        return self.tracked(SCRIPTS)

    @property
    def script_limits(self) -> Path:
        """After how many seconds without a run each script check counts as failed: a name and a number on each line."""
        return self.run_dir / "script-limits"

    @property
    def head_start(self) -> Path:
        """Until when a node that has just started leaves the gates to what keepalived tracks, as a heartbeat."""
        return self.run_dir / "head-start"

    def tracked(self, name: str) -> Path:
        """A file that keepalived has as track_file, by its name in keepalived.conf."""
        return self.run_dir / name if name in {"drain", SCRIPTS, *GATES} else self.verdict(name)

    def wrapper(self, check: str) -> Path:
        """The wrapper around an operator's own check."""
        return self.run_dir / "checks" / check

    @property
    def verdicts(self) -> Path:
        """Written by the http-checker."""
        return self.run_dir / "verdicts"

    def verdict(self, check: str) -> Path:
        """What keepalived has as track_file."""
        return self.verdicts / check

    @property
    def checker_report(self) -> Path:
        """The state of every target and why, by the http-checker, as JSON. No check can be called so."""
        return self.verdicts / "report.json"

    @property
    def heartbeat(self) -> Path:
        """Until when the http-checker is to be believed."""
        return self.verdicts / "heartbeat"

    @property
    def drain(self) -> Path:
        """1 while ``ka drain`` keeps this node out; keepalived has it as track_file."""
        return self.run_dir / "drain"

    @property
    def maintenance(self) -> Path:
        """The wrapper that looks for the operator's maintenance file."""
        return self.run_dir / "checks" / "maintenance"

    @property
    def maintenance_state(self) -> Path:
        """What that wrapper remembers."""
        return self.run_dir / "maintenance"

    @property
    def override_states(self) -> Path:
        """The last output and status of each of the operator's own checks."""
        return self.run_dir / "override"

    def override_state(self, check: str) -> Path:
        """That of one of them; written by the script user."""
        return self.override_states / check

    @property
    def log_dir(self) -> Path:
        """The log forwarder's own directory."""
        return self.run_dir / "log"

    @property
    def log_config(self) -> Path:
        """What PID 1 must know to write the log. Only root reads it: the secrets to mask are in it."""
        return self.run_dir / "log.json"

    @property
    def log_socket(self) -> Path:
        """What /dev/log leads to; PID 1 reads it."""
        return self.run_dir / "log-socket"

    @property
    def log_input(self) -> Path:
        """Where PID 1 hands lines to the log forwarder."""
        return self.run_dir / "log-input"

    @property
    def spool(self) -> Path:
        """What waits for servers that are away, where the operator names no directory for it."""
        return self.run_dir / "spool"

    @property
    def tls(self) -> Path:
        """Copies of the operator's certificates, for the log forwarder."""
        return self.run_dir / "tls"

    @property
    def ready_socket(self) -> Path:
        """Where siblings report to PID 1, in the words of sd_notify(3)."""
        return self.run_dir / "notify"

    @property
    def vips(self) -> Path:
        """Every address that may have to be removed from this host, one a line with its link."""
        return self.run_dir / "vips"

    @property
    def marker(self) -> Path:
        """Says that the directory is ours, to be cleared at a start."""
        return self.run_dir / ".docker-keepalived"

    @property
    def environment(self) -> Path:
        """The KA_* variables of the start, for a reload. Only root reads it."""
        return self.run_dir / "environment"

    @property
    def reload_pending(self) -> Path:
        """There while a reload applies what it has tested: the next one then applies everything."""
        return self.run_dir / "reload.pending"

    @property
    def reload_lock(self) -> Path:
        """Held while a reload runs."""
        return self.run_dir / "reload.lock"

    @property
    def peers(self) -> Path:
        """What the names of peers stand for, and how often to look them up."""
        return self.run_dir / "peers.json"

    @property
    def lease(self) -> Path:
        """What the lease keeper is told; not there without a lease."""
        return self.run_dir / "lease.json"

    @property
    def opening(self) -> Path:
        """The first lines of the log: what ``ka run`` had to say before there was a log."""
        return self.run_dir / "opening"


def refuse_directory_of_others(layout: Layout) -> None:
    """The run directory is cleared at every start, and keepalived runs scripts from it as root: raises ConfigError when
    it is not ours, or when others can make it theirs. Raises OSError."""
    above = layout.run_dir.parent.resolve()
    mode = above.stat().st_mode if above.exists() else 0
    if above != RUN and mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
        sentence = f"cannot be {layout.run_dir}, for others may write to {above} and could replace it"
        raise ConfigError(Problem("KA_RUN_DIR", f"{sentence}; its parent must be writable by root alone"))
    if layout.run_dir.exists() and not layout.marker.exists() and any(layout.run_dir.iterdir()):
        sentence = f"cannot be {layout.run_dir}, which holds files of others; it must be a directory of its own"
        raise ConfigError(Problem("KA_RUN_DIR", sentence))

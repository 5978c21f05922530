"""``ka reload`` and SIGHUP: reads secrets, files and names again, and reloads only what changed and passed its test.

A change that is wrong is refused with its sentences, and everything goes on as it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.contract import reports
from app.contract.errors import EXIT_CONFIG, EXIT_STOPPED, ConfigError, Problem
from app.contract.gates import GONE_FILE, OPEN
from app.contract.paths import Layout
from app.contract.programs import FOLLOW, PEERS, PROGRAMS, RESTART
from app.contract.verdict import Verdict, write_atomically
from app.lifecycle import keepalived_test
from app.lifecycle.prepare import prepare
from app.render import File, render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.plan.model import Plan

#: The program that reads a file, by the file's name: what is ended when its file changes (keepalived is told by SIGHUP
#: instead), and what is only started and stopped with it.
_RESTARTED, _FOLLOWING = (
    {program.file: program.name for program in PROGRAMS if program.on_change == what} for what in (RESTART, FOLLOW)
)


def reload(layout: Layout) -> list[str]:
    """Applies what changed since the last start or reload; gives the names of the files that did.

    Raises ConfigError, with nothing changed.
    """
    environ = json.loads(layout.environment.read_text(encoding="utf-8"))
    with layout.reload_lock.open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        plan = prepare(environ, known_names=_last_names(layout))
        files = render(plan, show_secrets=True)
        changed = [file for file in files if _on_disk(layout, file) != file.text]
        now = {file.path for file in files}
        gone = [name for name in (*_RESTARTED, *_FOLLOWING) if (layout.run_dir / name).exists() and name not in now]
        if not changed and not gone:
            return []
        _make_verdicts(layout, plan)
        _test(layout, plan, changed)
        _apply(layout, plan, changed, gone)
    return [file.path for file in changed] + gone


def _on_disk(layout: Layout, file: File) -> str | None:
    path = layout.run_dir / file.path
    return path.read_text(encoding="utf-8") if path.exists() else None


def _last_names(layout: Layout) -> dict[str, tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]]:
    """What the names of peers keep standing for: a resolver that fails, and a name that leaves an address out, changes
    nothing before app.peers.watch says so."""
    if not layout.peers.exists():
        return {}
    gone = gone_file.read_text(encoding="ascii").split() if (gone_file := layout.run_dir / GONE_FILE).exists() else []
    names = json.loads(layout.peers.read_text(encoding="utf-8"))["names"]
    return {
        name: tuple(ipaddress.ip_address(text) for text in texts if text not in gone) for name, texts in names.items()
    }


def _make_verdicts(layout: Layout, plan: Plan) -> None:
    """keepalived 2.3 refuses to track what is not there, in its test already."""
    if plan.http_checks and not layout.verdicts.exists():
        layout.verdicts.mkdir()
        layout.verdicts.chmod(0o775)
        os.chown(layout.verdicts, -1, plan.siblings.gid)
    for check in plan.http_checks:
        verdict = Verdict(layout.verdict(check.name), str(check.up), str(check.down))
        if not verdict.path.exists():
            # A node that has served without this check is not taken out before it failed.
            verdict.write(up=True)
            os.chown(verdict.path, plan.siblings.uid, plan.siblings.gid)


def _test(layout: Layout, plan: Plan, changed: Sequence[File]) -> None:
    """Raises ConfigError when keepalived would not run the new configuration."""
    for file in changed:
        if layout.run_dir / file.path != layout.keepalived_conf:
            continue
        candidate = layout.keepalived_conf.with_suffix(".new")
        try:
            candidate.touch(mode=0o600)
            candidate.write_text(file.text, encoding="utf-8")
            found = keepalived_test.test(candidate)
        finally:
            candidate.unlink(missing_ok=True)
        if found:
            # The operator knows the real path, and his own template better than what it renders to.
            template = plan.data_dir / "templates" / file.path
            real = f"{layout.keepalived_conf}{f' (by {template})' if template.exists() else ''}"
            raise ConfigError(
                *(Problem(*(text.replace(str(candidate), real) for text in (p.subject, p.sentence))) for p in found)
            )


def _apply(layout: Layout, plan: Plan, changed: Sequence[File], gone: Sequence[str]) -> None:
    """Writes what changed, and tells the programs that read it. What keepalived will look for is there before it is."""
    for script in plan.script_checks:
        state = layout.override_state(script.name)
        if not state.exists():
            state.mkdir(mode=0o755, parents=True)
            os.chown(state, plan.script_user.uid, plan.script_user.gid)
    started = [_FOLLOWING[f.path] for f in changed if f.path in _FOLLOWING and not (layout.run_dir / f.path).exists()]
    if PEERS in started:
        # This node has taken part so far; it goes on, and need not make itself known.
        for gate in plan.gates:
            write_atomically(layout.run_dir / gate, OPEN)
    for file in changed:
        write_file(layout, file, plan)
    for name in gone:
        (layout.run_dir / name).unlink()
    # What keepalived gives up now it removes itself; should it die before, PID 1 still knows the old addresses.
    old = set(layout.vips.read_text(encoding="ascii").split())
    write_atomically(layout.vips, "\n".join(sorted(old | {str(a.address) for a in plan.addresses})) + "\n")
    restart = [_RESTARTED[file.path] for file in changed if file.path in _RESTARTED] + started
    restart += [(_RESTARTED | _FOLLOWING)[name] for name in gone]
    if restart:
        reports.send(reports.CHANGED, " ".join(restart), str(layout.ready_socket))
    if any(layout.run_dir / file.path == layout.keepalived_conf for file in changed):
        # One that has just died reads the new file when it is started again.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(layout.keepalived_pid_files[0].read_text(encoding="ascii")), signal.SIGHUP)


def write_file(layout: Layout, file: File, plan: Plan) -> None:
    """Writes a rendered file in one step, never readable by more than it should be."""
    path = layout.run_dir / file.path
    path.parent.mkdir(mode=0o755, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode), "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor, not a path
        stream.write(file.text)
    fresh.chmod(file.mode)  # whatever the umask is
    if file.for_siblings:
        os.chown(fresh, -1, plan.siblings.gid)
    elif file.for_script_user:
        os.chown(fresh, -1, plan.script_user.gid)
    fresh.replace(path)


def main(run_dir: str) -> int:
    """The program ``reload`` of supervisord.conf; what it prints is logged."""
    try:
        changed = reload(Layout(Path(run_dir)))
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        print("nothing was changed, the old configuration goes on", file=sys.stderr)
        return EXIT_CONFIG
    print(f"reloaded, changed: {', '.join(changed)}" if changed else "nothing has changed")
    return EXIT_STOPPED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

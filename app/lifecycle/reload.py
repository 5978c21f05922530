"""``ka reload`` and SIGHUP: reads secrets, files and names again, and reloads only what changed and passed its test.

A change that is wrong is refused with its sentences, and everything goes on as it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.contract import reports
from app.contract.errors import EXIT_CONFIG, EXIT_STOPPED, ConfigError, Problem
from app.contract.gates import GONE_FILE, OPEN
from app.contract.json_file import read_json
from app.contract.paths import Layout
from app.contract.peers_config import PeersConfig, read_learned
from app.contract.programs import FOLLOW, PROGRAMS, RESTART
from app.contract.verdict import write_atomically
from app.host.leftovers import written_down
from app.lifecycle import keepalived_test
from app.lifecycle.prepare import prepare
from app.lifecycle.run_directory import add_override_states, add_verdicts, add_vips, note_tracking, write_file
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
    environ = read_json(layout.environment, dict[str, str])
    with layout.reload_lock.open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ours, learned = written_down(layout.vips), read_learned(layout.run_dir)
        plan = prepare(environ, known_names=_last_names(layout), ours=ours, learned=learned)
        files = render(plan, show_secrets=True)
        # One that was killed has left files that no program has read yet.
        is_unfinished = layout.reload_pending.exists()
        changed = [file for file in files if is_unfinished or _on_disk(layout, file) != file.text]
        now = {file.path for file in files}
        gone = [name for name in (*_RESTARTED, *_FOLLOWING) if (layout.run_dir / name).exists() and name not in now]
        if not changed and not gone:
            return []
        # A node that has served without a new check is not taken out before it failed.
        add_verdicts(layout, plan, up=True)
        _test(layout, plan, changed)
        layout.reload_pending.touch()
        _apply(layout, plan, changed, gone, everyone=is_unfinished)
        layout.reload_pending.unlink()
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
    names = read_json(layout.peers, PeersConfig).names
    return {
        name: tuple(ipaddress.ip_address(text) for text in texts if text not in gone) for name, texts in names.items()
    }


def _test(layout: Layout, plan: Plan, changed: Sequence[File]) -> None:
    """Raises ConfigError when keepalived would not run the new configuration."""
    copies = [file for file in changed if layout.conf_d() in (layout.run_dir / file.path).parents]
    for file in changed:
        if layout.run_dir / file.path != layout.keepalived_conf:
            continue
        candidate = layout.keepalived_conf.with_suffix(".new")
        try:
            for copy in copies:
                write_file(layout, copy, plan)
            candidate.touch(mode=0o600)
            candidate.write_text(file.text, encoding="utf-8")
            found = keepalived_test.test(candidate, plan.data_dir / "conf.d")
        finally:
            candidate.unlink(missing_ok=True)
        if found:
            for copy in copies:
                shutil.rmtree((layout.run_dir / copy.path).parent, ignore_errors=True)
            # The operator knows the real path, and his own template better than what it renders to.
            template = plan.data_dir / "templates" / file.path
            real = f"{layout.keepalived_conf}{f' (by {template})' if template.exists() else ''}"
            raise ConfigError(
                *(Problem(*(text.replace(str(candidate), real) for text in (p.subject, p.sentence))) for p in found)
            )


def _forget_own_text(layout: Layout, kept: str | None) -> None:
    """Removes the copies of the operator's own text but those of one state."""
    for copies in layout.conf_d().glob("*"):
        if copies.name != kept:
            shutil.rmtree(copies)


def _apply(layout: Layout, plan: Plan, changed: Sequence[File], gone: Sequence[str], *, everyone: bool) -> None:
    """Writes what changed, and tells the programs that read it, or ``everyone``.

    What keepalived will look for is there before it is.
    """
    add_override_states(layout, plan)
    started = [_FOLLOWING[f.path] for f in changed if f.path in _FOLLOWING and not (layout.run_dir / f.path).exists()]
    if plan.peer_names and not _last_names(layout):
        # This node has taken part so far; it goes on, and need not make itself known.
        for gate in plan.gates:
            write_atomically(layout.run_dir / gate, OPEN)
    for file in changed:
        write_file(layout, file, plan)
    for name in gone:
        (layout.run_dir / name).unlink()
    _forget_own_text(layout, plan.own_text.digest if plan.own_text else None)
    # What keepalived gives up now it removes itself; should it die before, PID 1 still knows the old addresses.
    add_vips(layout, plan, before=written_down(layout.vips))
    restart = [_RESTARTED[file.path] for file in changed if file.path in _RESTARTED] + started
    restart += [(_RESTARTED | _FOLLOWING)[name] for name in gone]
    if everyone:
        restart = [*_RESTARTED.values(), *_FOLLOWING.values()]
    if restart:
        reports.send(reports.CHANGED, " ".join(restart), str(layout.ready_socket))
    if any(layout.run_dir / file.path == layout.keepalived_conf for file in changed):
        if untracked := note_tracking(layout):
            print(untracked, file=sys.stderr)
        # One that has just died reads the new file when it is started again.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(layout.keepalived_pid_files[0].read_text(encoding="ascii")), signal.SIGHUP)


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

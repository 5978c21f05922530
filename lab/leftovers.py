"""Which labs exist on this machine, and the removal of those whose owner is dead.

Every lab has a directory /run/ka-lab/ID that names the process it belongs to. It is made before the lab's first
namespace and removed after the last, so whatever way the owner dies, the next lab knows what to clear away.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import select
import shutil
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.namespace import NAMESPACES, namespaces_of
from lab.programs import run

if TYPE_CHECKING:
    from collections.abc import Iterator

REGISTRY = Path("/run/ka-lab")


def claim() -> str:
    """Remove the labs whose owner is dead, and give the ID of a new one that belongs to this process."""
    with _registry():
        for entry in REGISTRY.iterdir():
            if not _owner_lives(entry):
                _remove(entry)
        while True:
            entry = REGISTRY / secrets.token_hex(2)
            with suppress(FileExistsError):
                entry.mkdir(mode=0o700)
                break
        (entry / "owner").write_text(f"{os.getpid()} {_start_time(os.getpid())}\n")
    return entry.name


def release(lab_id: str) -> None:
    """Kill what still runs in the lab's namespaces, delete them, and forget the lab."""
    with _registry():
        _remove(REGISTRY / lab_id)


@contextmanager
def _registry() -> Iterator[None]:
    """The registry for this process alone; it goes away with its last lab."""
    while True:
        REGISTRY.mkdir(mode=0o700, exist_ok=True)
        try:
            handle = os.open(REGISTRY, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Another process may have removed the directory between our opening and our locking it.
            if not _same_file(handle, REGISTRY):
                continue
            yield
            with suppress(OSError):  # not empty: other labs live
                REGISTRY.rmdir()
            return
        finally:
            os.close(handle)


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _owner_lives(entry: Path) -> bool:
    try:
        pid, started = (entry / "owner").read_text().split()
        return _start_time(int(pid)) == int(started)
    except (OSError, ValueError):
        return False  # killed before it could write its name


def _start_time(pid: int) -> int:
    """When the process started, which tells it from a later one of its pid: clock ticks since boot (proc(5), stat)."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[19])


def _remove(entry: Path) -> None:
    names = namespaces_of(entry.name)
    _kill_all_in(names)
    for name in names:
        run(["ip", "netns", "delete", name])
    shutil.rmtree(entry)


def _kill_all_in(names: list[str]) -> None:
    """SIGKILL every process in the namespaces, until none is left (one may have started another meanwhile)."""
    namespaces = {_identity(NAMESPACES / name) for name in names}
    deadline = time.monotonic() + 10
    while pids := _processes_in(namespaces):
        if time.monotonic() > deadline:
            raise LabError(f"Processes {pids} in the namespaces {names} do not die.")
        handles = []
        for pid in pids:
            with suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                handles.append(handle)
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        _wait_for_ends(handles)


def _wait_for_ends(handles: list[int]) -> None:
    """Wait until the processes behind these pidfds have ended, two seconds each at most, and close them."""
    for handle in handles:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(2000)
        os.close(handle)


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _processes_in(namespaces: set[tuple[int, int]]) -> list[int]:
    pids = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            with suppress(OSError):  # it has just ended
                if _identity(process / "ns/net") in namespaces:
                    pids.append(int(process.name))
    return pids

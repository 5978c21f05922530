"""Which labs exist on this machine, and the removal of those whose owner is dead.

Every lab has a directory /run/ka-lab/ID that names the process it belongs to. It is made before the lab's first
namespace and removed after the last, so whatever way the owner dies, the next lab knows what to clear away. An
`ip netns add` that outlived its owner may still come late: a namespace that belongs to no lab is cleared away too.
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
from lab.namespace import NAMESPACES, all_labs, namespace_name, namespaces_of
from lab.patience import LIMIT_SECONDS
from lab.programs import run

if TYPE_CHECKING:
    from collections.abc import Iterator

REGISTRY = Path("/run/ka-lab")


def claim() -> str:
    """Remove the labs whose owner is dead, and give the ID of a new one that belongs to this process."""
    with _registry():
        for lab_id in all_labs() | {entry.name for entry in REGISTRY.iterdir()}:
            if not _owner_lives(REGISTRY / lab_id):
                _remove(lab_id)
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
        _remove(lab_id)


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
    """When the process started, which tells it from a later one of its pid: clock ticks since boot (proc(5), stat).

    Raises ProcessLookupError or FileNotFoundError when there is none, or only one that nobody has waited for yet.
    """
    state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if state in {"X", "Z"}:
        raise ProcessLookupError(pid)
    return int(fields[18])


def _remove(lab_id: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while (pids := _processes(lab_id)) or namespaces_of(lab_id):
        if time.monotonic() > deadline:
            raise LabError(f"The lab {lab_id} cannot be removed: {namespaces_of(lab_id)} and processes {pids} stay.")
        if pids:
            _kill(pids)
            continue  # one may have started another meanwhile
        for name in namespaces_of(lab_id):
            run(["ip", "netns", "delete", name], check=False)
    shutil.rmtree(REGISTRY / lab_id, ignore_errors=True)


def _kill(pids: list[int]) -> None:
    """SIGKILL the processes and wait until they have ended, two seconds each at most."""
    handles = []
    for pid in pids:
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            handles.append(handle)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    for handle in handles:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(2000)
        os.close(handle)


def _processes(lab_id: str) -> list[int]:
    """Who runs in the lab's namespaces, or is an `ip` of its killed owner that is still about to make or delete one."""
    inodes = set()
    for name in namespaces_of(lab_id):
        with suppress(FileNotFoundError):
            inodes.add(_identity(NAMESPACES / name))
    prefix = namespace_name(lab_id, "").encode()
    pids = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            with suppress(OSError):  # it has just ended
                program, *arguments = (process / "cmdline").read_bytes().split(b"\0")
                helps = program == b"ip" and any(argument.startswith(prefix) for argument in arguments)
                if helps or _identity(process / "ns/net") in inodes:
                    pids.append(int(process.name))
    return pids


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino

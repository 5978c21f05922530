"""Nothing is left of a lab, whatever way it or its owner ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab import LIMIT_SECONDS, Lab, LabError
from lab.namespace import NAMESPACES, namespaces_of
from lab.pair import VIP
from tests.lab.bare import pair

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[2]
REGISTRY = Path("/run/ka-lab")


def leftovers(lab_id: str) -> list[str]:
    """What there still is of a lab: namespaces, processes, files."""
    processes = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            processes.append((process / "cmdline").read_text().replace("\0", " "))
    lives = [command for command in processes if f"ka-{lab_id}" in command]
    return namespaces_of(lab_id) + lives + [str(path) for path in REGISTRY.glob(lab_id)]


MAKE_A_LAB = """
    import signal, subprocess, time
    from lab import Lab
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits it ignored
    with Lab() as lab:
        n1 = lab.add_node("n1")
        n1.start_service()
        n1.start(command=["sleep", "3600"])
        quiet = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
        stray = subprocess.Popen(["ip", "netns", "exec", n1.namespace, "sleep", "3600"], **quiet)
        print(lab.id, stray.pid, n1.pid, flush=True)
        time.sleep(3600)
"""


@contextlib.contextmanager
def lab_of_another_process() -> Iterator[tuple[subprocess.Popen[str], str, list[int]]]:
    """A process that has made a lab and sleeps; its lab's ID and the pids that run in it."""
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(MAKE_A_LAB)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    try:
        lab_id, *pids = owner.stdout.readline().split()
        yield owner, lab_id, [int(pid) for pid in pids]
    finally:
        owner.kill()
        owner.communicate(timeout=LIMIT_SECONDS)


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_nothing_is_left_of_a_lab(lab_possible: None, tmp_path: Path) -> None:
    with Lab() as lab:
        pair(lab, tmp_path)
        lab.add_host("client").start_client(f"http://{VIP}/")
        lab.sniff()
        lab_id = lab.id
        assert leftovers(lab_id)
        files = len(list(Path("/proc/self/fd").iterdir()))
    assert leftovers(lab_id) == []
    assert len(list(Path("/proc/self/fd").iterdir())) < files
    assert not [thread for thread in threading.enumerate() if lab_id in thread.name]


def test_nothing_is_left_when_the_body_is_interrupted(lab_possible: None) -> None:
    with lab_of_another_process() as (owner, lab_id, pids):
        owner.send_signal(signal.SIGINT)
        _, errors = owner.communicate(timeout=LIMIT_SECONDS)
        assert "KeyboardInterrupt" in errors
        assert owner.returncode == -signal.SIGINT
        assert leftovers(lab_id) == []
        assert not any(alive(pid) for pid in pids)


def test_a_lab_that_cannot_be_made_leaves_nothing(lab_possible: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(namespace: str) -> None:
        subprocess.run(["ip", "netns", "add", namespace], check=True)
        raise LabError("no bridge")

    monkeypatch.setattr("lab.network.make_switch", fail)
    lab = Lab()
    with pytest.raises(LabError, match="no bridge"), lab:
        pass
    assert leftovers(lab.id) == []


def test_the_next_lab_removes_what_a_killed_owner_left(lab_possible: None) -> None:
    with (
        lab_of_another_process() as (owner, lab_id, pids),
        lab_of_another_process() as (living, living_id, living_pids),
    ):
        owner.kill()
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)  # dead, and a zombie until it is waited for
        assert namespaces_of(lab_id)
        with Lab():
            assert leftovers(lab_id) == []
            assert not any(alive(pid) for pid in pids)
            # A lab whose owner lives is nobody else's business.
            assert len(namespaces_of(living_id)) == 2
            assert all(alive(pid) for pid in living_pids)
        living.send_signal(signal.SIGINT)
        living.communicate(timeout=LIMIT_SECONDS)
        assert leftovers(living_id) == []


def test_the_nodes_die_with_a_killed_owner(lab_possible: None) -> None:
    with lab_of_another_process() as (owner, lab_id, (_, pid)):
        handle = os.pidfd_open(pid)
        owner.kill()
        ended, _, _ = select.select([handle], [], [], LIMIT_SECONDS)
        os.close(handle)
        assert ended
    with Lab():
        assert leftovers(lab_id) == []


def test_labs_run_side_by_side(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    pair(lab, tmp_path)
    with Lab() as other:
        assert other.id != lab.id
        n1, n2 = pair(other, tmp_path / "other")
        n1.stop()
        other.wait_holder(VIP, n2)
    assert lab.holders(VIP) == {"n1"}
    assert len(list(NAMESPACES.glob(f"ka-{lab.id}-*"))) == 3

"""What ends or stops a container that nobody asked to stop, done to a real one on a real engine; as root."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from lab.engine import ENGINE_LIMIT, docker
from lab.errors import LabError
from lab.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.engine import Container

#: What a node gets that `run_out_of_memory` is done to; it needs some 60 MiB itself.
MEMORY_LIMIT = ("--memory", "192m", "--memory-swap", "192m")

#: The exit status of a container whose PID 1 was killed.
_KILLED = 128 + signal.SIGKILL

#: Eats all memory there is once it is told to. It dies with the container's PID 1, as everything in it does.
_HOG = "import sys; sys.stdin.readline(); eaten = [bytearray(1 << 20) for _ in iter(int, 1)]"


def kill(node: Container) -> None:
    """`docker kill`: PID 1 gets SIGKILL, and with it everything in the container ends."""
    node.kill()


def remove(node: Container) -> None:
    """`docker rm --force`, which kills as well."""
    node.remove()


def pause(node: Container) -> None:
    """`docker pause`: the freezer stops everything in it."""
    docker("pause", node.id)


def lose_shim(node: Container) -> None:
    """Ends the engine's own process beside the container with -9; containerd then kills what is in the container."""
    parent = int(Path(f"/proc/{node.state['Pid']}/stat").read_text().rpartition(")")[2].split()[1])
    name = Path(f"/proc/{parent}/comm").read_text().strip()
    if not name.startswith("containerd-shim"):
        raise LabError(f"{node.name} is the child of {name}, not of a containerd-shim")
    os.kill(parent, signal.SIGKILL)


def run_out_of_memory(node: Container) -> None:
    """Has the kernel's OOM killer end what is in the container, one process after another, until PID 1 is among them.

    What eats the memory is killed last, the node's own processes first. The node needs `MEMORY_LIMIT`.
    """
    command = ["docker", "exec", "--interactive", node.id, "python3", "-c", _HOG]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as hog:
        wait_until(lambda: _pids(node, hog=True), f"what eats memory in {node.name}")
        # To spare the other one takes a privilege that not every root has.
        for pid in _pids(node, hog=False):
            Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        assert hog.stdin is not None
        hog.stdin.write("\n")
        hog.stdin.close()
        if (status := node.wait_end()) != _KILLED:
            raise LabError(f"{node.name} ended with {status}, not by the OOM killer")
        hog.wait(ENGINE_LIMIT)


def _pids(node: Container, *, hog: bool) -> list[int]:
    return [pid for _, pid, command in node.processes() if (_HOG in command) is hog]


#: By what happened, as documents call it.
ENDS: dict[str, Callable[[Container], None]] = {
    "kill": kill,
    "remove": remove,
    "out of memory": run_out_of_memory,
    "shim": lose_shim,
}

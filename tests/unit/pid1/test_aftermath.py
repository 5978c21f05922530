"""How what is left of a keepalived is ended."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from app.contract.paths import Layout
from app.pid1.aftermath import States, end_group
from lab.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def group(script: str) -> subprocess.Popen[bytes]:
    """A shell that leads a process group, has said that it is ready, and then waits without a process of its own."""
    process = subprocess.Popen(
        ["sh", "-c", f"{script}; echo ready; while :; do read -r never; done"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def test_a_group_that_listens_has_time_to_say_goodbye() -> None:
    with group("trap 'echo goodbye; exit 0' TERM") as process:
        end_group(process.pid)
        assert process.stdout is not None
        assert process.stdout.read() == b"goodbye\n"


def test_a_group_that_does_not_is_killed() -> None:
    with group("trap '' TERM") as process:
        end_group(process.pid)
        assert process.stdout is not None
        assert process.stdout.read() == b""


def test_a_group_that_is_gone() -> None:
    with group(":") as process:
        process.kill()
        process.wait()
        end_group(process.pid)


def test_a_program_that_was_never_started_has_no_group() -> None:
    code = "from app.pid1.aftermath import end_group; end_group(0); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, start_new_session=True)
    assert done.returncode == 0
    assert done.stdout == b"alive\n"


#: A process that is not process 1: its child leaves a grandchild behind that ignores SIGTERM, and is ended with it.
HOUSEHOLD = """
import os, subprocess, sys
from app.pid1.__main__ import adopt_orphans
from app.pid1.aftermath import end_group
adopt_orphans()
script = "trap '' TERM; (trap '' TERM; echo ready; exec sleep 60) & wait"
child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
child.kill()
child.wait()
end_group(child.pid)
print(child.stdout.read(), flush=True)
"""


def test_what_a_dead_keepalived_leaves_is_ended_without_being_process_1() -> None:
    """It became the child of process 1, could not be waited for, and survived."""
    done = subprocess.run([sys.executable, "-c", HOUSEHOLD], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"b''\n", b"")


#: Hangs in the kernel until a FIFO has a writer: a process that starts another waits for that one to be executed.
HANGS = """
import os, sys
while True:
    os.posix_spawn("/bin/true", ["true"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)])
"""


def test_who_waits_for_a_disk_hangs_only_if_it_has_not_run_since_the_last_look(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    states = States(Layout(tmp_path))
    with subprocess.Popen([sys.executable, "-c", HANGS, fifo], process_group=0) as process:
        try:
            # It also waits for the disk while it starts.
            wait_until(lambda: [states.look(process.pid) for _ in range(3)] == ["D"] * 3, "a process that hangs")
            with fifo.open("w"):  # once around
                pass
            wait_until(lambda: states.look(process.pid) == "R", "that it has run")
            wait_until(lambda: [states.look(process.pid) for _ in range(3)] == ["D"] * 3, "that it hangs again")
        finally:
            os.killpg(process.pid, 9)
    assert states.look(process.pid) == ""

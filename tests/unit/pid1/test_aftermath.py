"""How what is left of a keepalived is ended."""

from __future__ import annotations

import subprocess
import sys

from app.pid1.aftermath import end_group


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

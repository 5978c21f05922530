"""A data directory whose file system hangs when a command begins."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lab import LIMIT_SECONDS
from lab.pair import ENVIRONMENT, NO_CHECK

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("command", ["run", "check", "render"])
def test_it_is_a_sentence_and_nothing_is_started(lab_possible: None, tmp_path: Path, command: str) -> None:
    """A FUSE file system that nobody answers for, in the place of a network file system whose server is away."""
    data, device = tmp_path / "data", tmp_path / "fuse"
    data.mkdir()
    os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(10, 229))  # a minimal machine has no /dev/fuse
    asked = {**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254", "KA_DATA_DIR": str(data), "KA_RUN_DIR": f"{tmp_path}/run"}
    environ = {name: text for name, text in asked.items() if text}
    with device.open("r+b", buffering=0) as fuse:
        options = f"fd={fuse.fileno()},rootmode=40755,user_id=0,group_id=0,allow_other"
        # The mount is seen by nobody else.
        script = f"mount -i -t fuse -o {options} none {data}; exec {sys.executable} -m app"
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", f"{script} {command}"],
            env=os.environ | environ,
            pass_fds=(fuse.fileno(),),
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    assert done.returncode == 78, done.stderr
    for name in ("conf.d", "templates", "scripts"):
        assert f"{data}/{name}: does not answer within 2 s, its file system hangs; it must be at hand" in done.stderr
    assert "Traceback" not in done.stderr

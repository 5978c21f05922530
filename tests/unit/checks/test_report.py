"""The report file: what it says is never later than the moment it was written."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from app.checks.report import ReportFile
from lab.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("hundredths", [0.001, 0.004, 0.005, 0.0051, 0.009, 0.0099])
async def test_a_change_is_never_reported_from_the_future(tmp_path: Path, hundredths: float) -> None:
    """Rounded to the nearest, a change of this moment stood up to 5 ms ahead of the clock that a reader looks at."""
    path = tmp_path / "report.json"
    shift = time.clock_gettime(time.CLOCK_BOOTTIME) - asyncio.get_running_loop().time()
    boot = int(time.clock_gettime(time.CLOCK_BOOTTIME)) + hundredths
    machine = SimpleNamespace(since=boot - shift, state=SimpleNamespace(value="up"))
    target = SimpleNamespace(label="http://192.0.2.1/", machine=machine, reason="", details=())
    check: Any = SimpleNamespace(settings=SimpleNamespace(name="main"), is_up=True, targets=[target], changed=[])
    ReportFile(path, [check], logging.getLogger("test")).watch()
    await asyncio.to_thread(wait_until, path.exists, "the report")
    assert boot - 0.011 < json.loads(path.read_text())["checks"][0]["targets"][0]["since"] <= boot + 1e-6

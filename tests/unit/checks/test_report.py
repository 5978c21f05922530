"""The report file: what it says is never later than the moment it was written."""

from __future__ import annotations

import asyncio
import json
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from app.checks import report as module
from app.checks.report import ReportFile
from lab.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("hundredths", [0.001, 0.004, 0.005, 0.0051, 0.009, 0.0099])
async def test_a_change_is_never_reported_from_the_future(
    tmp_path: Path, hundredths: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounded to the nearest, a change of this moment stood up to 5 ms ahead of the clock that a reader looks at."""
    path = tmp_path / "report.json"
    # Both clocks stand still: between two looks at real ones this process may be put off for any time.
    boot, now = 5000 + hundredths, 1000.0
    monkeypatch.setattr(module, "time", SimpleNamespace(clock_gettime=lambda _: boot, CLOCK_BOOTTIME=None))
    machine = SimpleNamespace(since=now, state=SimpleNamespace(value="up"))
    target = SimpleNamespace(label="http://192.0.2.1/", machine=machine, reason="", details=())
    check: Any = SimpleNamespace(settings=SimpleNamespace(name="main"), is_up=True, targets=[target], changed=[])
    report = ReportFile(path, [check], logging.getLogger("test"))
    monkeypatch.setattr(report, "_loop", SimpleNamespace(time=lambda: now, call_later=report._loop.call_later))
    report.watch()
    await asyncio.to_thread(wait_until, path.exists, "the report")
    assert boot - 0.011 < json.loads(path.read_text())["checks"][0]["targets"][0]["since"] <= boot + 1e-6

"""The heartbeat and the whole, where a process from outside cannot make it happen."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from app.checks import run as module
from app.checks.probe import ProbeResult, Probers
from app.checks.run import StuckError, heartbeat_of, run
from tests.unit.checks.described import checker_check, checker_config

if TYPE_CHECKING:
    from pathlib import Path


class Stubborn:
    """Answers once, and then ignores every time-out and one cancellation."""

    def __init__(self) -> None:
        self.asked = 0

    async def probe(self, _limit: float) -> ProbeResult:
        self.asked += 1
        if self.asked > 1:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(60)
        return ProbeResult(ok=True)


async def test_a_probe_that_does_not_end_is_noticed_and_held_up_by_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = Stubborn()
    monkeypatch.setattr(Probers, "make", lambda _self, _target: stubborn)
    monkeypatch.setattr(module, "PARTING_SECONDS", 0.05)
    config = checker_config(tmp_path, checker_check("http://me:s3cr3t@192.0.2.1/", interval=0.05))
    with pytest.raises(StuckError, match=r"the probe of http://\*\*\*@192\.0\.2\.1/ does not end"):
        await asyncio.wait_for(run(config, logging.getLogger("test"), heartbeat_of(config)), 30)
    assert (tmp_path / "http").read_text() == "0\n"

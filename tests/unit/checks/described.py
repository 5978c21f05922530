"""What the checker is told in tests: a check whose every time is its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.contract.checker_config import CheckerCheck, CheckerConfig, CheckTarget

if TYPE_CHECKING:
    from pathlib import Path


def checker_check(*targets: str | CheckTarget, interval: float = 1.0, **settings: float) -> CheckerCheck:
    """A check called ``http``: rise and fall 1 and all its times ``interval``, unless ``settings`` say otherwise."""
    return CheckerCheck(
        name="http",
        up=0,
        down=1,
        interval=interval,
        fast_interval=settings.get("fast_interval", interval),
        slow_interval=settings.get("slow_interval", interval),
        timeout=settings.get("timeout", interval),
        rise=int(settings.get("rise", 1)),
        fall=int(settings.get("fall", 1)),
        targets=tuple(CheckTarget(target) if isinstance(target, str) else target for target in targets),
    )


def checker_config(directory: Path, *checks: CheckerCheck) -> CheckerConfig:
    """A checker that writes into ``directory``."""
    return CheckerConfig(str(directory), "info", checks, str(directory / "report.json"))

"""The checker at work: one task per target, and one for the heartbeat."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.checks.check import RunningCheck
from app.checks.instant.listeners import Endpoint, ListenerWatch
from app.checks.probe import Probers
from app.checks.report import ReportFile
from app.checks.schedule import ProbeLoop, next_slot, spread
from app.contract.verdict import Heartbeat, Verdict
from app.host import sock_diag

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from app.contract.checker_config import CheckerConfig

PARTING_SECONDS = 1.0
"""Seconds that cancelled probes may take to end."""


class StuckError(Exception):
    """A probe outlived its time-out by far, which nothing should be able to do."""


def heartbeat_of(config: CheckerConfig) -> Heartbeat:
    """The heartbeat of all checks together."""
    interval = min(settings.interval for settings in config.checks)
    return Heartbeat(Path(config.verdicts), interval, max(settings.timeout for settings in config.checks))


async def run(config: CheckerConfig, log: logging.Logger, heartbeat: Heartbeat) -> None:
    """Probes until it is cancelled or something unforeseen happens, which it raises; verdicts stay as they are.

    Raises OSError when a verdict or heartbeat cannot be written, ConfigError when a CA file cannot be used.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: _note(log, context))
    start = loop.time()
    verdicts = Path(config.verdicts)
    checks = [
        RunningCheck(settings, Verdict(verdicts / settings.name, settings.up, settings.down), log, start)
        for settings in config.checks
    ]
    probers = Probers([target for settings in config.checks for target in settings.targets])
    answered = asyncio.Event()
    watches, endpoints = _watches(checks, probers, answered, start)
    for check in checks:
        _greet(check, log)
    ReportFile(Path(config.report), checks, log).watch()
    listeners = ListenerWatch(endpoints, log)
    for check in checks:
        check.changed.append(listeners.changed)
    listeners.start()
    work = [*(watch.run() for watch in watches), beat(heartbeat, watches, answered, start)]
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        # Not for ever: what went wrong may be a probe that does not end.
        await asyncio.wait(tasks, timeout=PARTING_SECONDS)
        listeners.close()
        await probers.close()


async def beat(heartbeat: Heartbeat, watches: Sequence[ProbeLoop], answered: asyncio.Event, start: float) -> None:
    """Writes the heartbeat for as long as every probe gets done. Raises StuckError when one does not.

    The first beat waits for the first result (`answered`): a checker that dies at every start must not look alive.
    """
    loop = asyncio.get_running_loop()
    overdue: set[ProbeLoop] = set()
    await answered.wait()
    slot = start
    while True:
        heartbeat.beat()
        slot = next_slot(start, slot, heartbeat.period, loop.time())
        await asyncio.sleep(slot - loop.time())
        # Twice in a row: after a stop of the whole process a time-out may not have had its turn yet.
        late = {watch for watch in watches if watch.due + heartbeat.period < loop.time()}
        for watch in late & overdue:
            raise StuckError(f"the probe of {watch.label} does not end")
        overdue = late


def _watches(
    checks: Sequence[RunningCheck], probers: Probers, answered: asyncio.Event, start: float
) -> tuple[list[ProbeLoop], list[Endpoint]]:
    """One watch per target, their phases spread over the interval; and where those are served that hints are for."""
    every = [(check, index) for check in checks for index in range(len(check.targets))]
    watches = []
    endpoints = []
    for place, (check, index) in enumerate(every):
        phase = start + spread(place, len(every), check.settings.interval)
        target = check.settings.targets[index]
        prober = probers.make(target)
        watch = ProbeLoop(check, index, prober, answered, phase)
        watches.append(watch)
        if check.settings.instant:
            probers.hold(prober, watch)
            if target.address.socket is None:
                addresses = functools.partial(probers.addresses, target.address.host)
                endpoints.append(Endpoint(watch, sock_diag.TCP, target.address.port, addresses))
    return watches, endpoints


def _greet(check: RunningCheck, log: logging.Logger) -> None:
    settings = check.settings
    many = len(settings.targets)
    log.info(
        "%s: probes %s every %g s, rise %d, fall %d; the last verdict was %s",
        settings.name,
        check.targets[0].label if many == 1 else f"{many} targets",
        settings.interval,
        settings.rise,
        settings.fall,
        "up" if check.resumed_up else "down",
    )


def _note(log: logging.Logger, context: dict[str, Any]) -> None:
    """What asyncio has to say of a broken connection is no news: the probe's own result says it."""
    log.debug("asyncio: %s", context.get("message"), exc_info=context.get("exception"))

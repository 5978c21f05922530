"""The http-checker process: `python -P -m app.checks.http FILE` probes what the rendered file says until SIGTERM."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.contract.checker_config import CheckerConfig
from app.contract.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_STOPPED, ConfigError
from app.contract.json_file import read_json
from app.contract.syslog import open_log

if TYPE_CHECKING:
    import logging
    from types import FrameType

PROGRAM = "http-checker"


def main(arguments: list[str]) -> int:
    """Returns the exit status when it cannot start or go on; SIGTERM and SIGINT end the process with 0 at once."""
    # Straight out, from the first moment on: files are replaced in one step, so there is nothing to tidy up, and a
    # thread that hangs in a name lookup would hold up an ordinary exit.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: os._exit(EXIT_STOPPED))
    if len(arguments) != 1:
        print("usage: python -P -m app.checks.http FILE", file=sys.stderr)
        return EXIT_CONFIG
    log = open_log(PROGRAM, "info")
    try:
        settings = read_json(Path(arguments[0]), CheckerConfig)
        log.setLevel(settings.log_level.upper())
        _work(settings, log)
    except ConfigError as error:
        log.critical("%s", error)
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    return EXIT_FAILED


def _work(settings: CheckerConfig, log: logging.Logger) -> None:
    """Probes for ever. Raises ConfigError; anything else ends the process here, with one line."""
    if not settings.needs_tls:
        # None makes every later `import ssl` an ImportError, which asyncio and aiohttp are made for. Without OpenSSL
        # and the CA bundles the process is 3.5 MiB smaller and starts 65 ms sooner.
        sys.modules["ssl"] = None  # type: ignore[assignment]  # what the import system documents
    # Only now: aiohttp looks for ssl when it is imported.
    import asyncio  # noqa: PLC0415

    from app.checks.run import heartbeat_of, run  # noqa: PLC0415

    heartbeat = heartbeat_of(settings)

    def part(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            heartbeat.hand_over()
        os._exit(EXIT_STOPPED)

    signal.signal(signal.SIGTERM, part)

    async def guarded() -> None:
        try:
            await run(settings, log, heartbeat)
        except ConfigError:
            raise
        except Exception as error:
            log.critical("cannot go on: %s: %s", type(error).__name__, error)
            log.debug("where it happened", exc_info=True)
            # Straight out again: asyncio would wait for a probe that does not end.
            os._exit(EXIT_FAILED)

    asyncio.run(guarded())


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(status)

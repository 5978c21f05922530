"""The notifier process: `python -P -m app.notifier FILE` runs the hooks of the rendered file until SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from app.contract.errors import EXIT_CONFIG, EXIT_STOPPED, ConfigError
from app.contract.json_file import read_json
from app.contract.notifier_config import NotifierConfig
from app.contract.syslog import flush, open_log
from app.notifier.loop import Notifier

PROGRAM = "notifier"


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    # The log forwarder's stream (STREAM_FD in app/contract/paths.py), which programs inherit, is not for the script.
    os.closerange(3, 1024)
    # Before anything takes time: a SIGTERM that comes now is obeyed later, not deadly.
    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stops.append(number))
    if len(arguments) != 1:
        print("usage: python -P -m app.notifier FILE", file=sys.stderr)
        return EXIT_CONFIG
    log = open_log(PROGRAM, "info")
    try:
        settings = read_json(Path(arguments[0]), NotifierConfig)
        log.setLevel(settings.log_level.upper())
        notifier = Notifier(settings, log)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    except OSError as error:
        print(f"{error.filename}: cannot be opened: {error.strerror}; it must be as ka run made it", file=sys.stderr)
        return EXIT_CONFIG
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: notifier.stop())
    # Not ignored: it has to wake the loop.
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(notifier.wake_fd, warn_on_full_buffer=False)
    if stops:
        notifier.stop()
    os.chdir("/")
    notifier.run()
    return EXIT_STOPPED


if __name__ == "__main__":
    status = main(sys.argv[1:])
    # Straight out: a thread that hangs in a name look-up would hold up an ordinary exit.
    flush()
    sys.stderr.flush()
    os._exit(status)

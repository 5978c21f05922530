"""What supervisord is given in place of its own parts: our log, and descriptors of ours for its loop to watch."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from supervisor import loggers
from supervisor.options import ServerOptions

from app.contract.syslog import open_log

if TYPE_CHECKING:
    from collections.abc import Callable

#: supervisord's levels; what it says of every start and stop is for who looks for it (debug).
_LEVELS = {
    loggers.LevelsByName.CRIT: logging.CRITICAL,
    loggers.LevelsByName.ERRO: logging.ERROR,
    loggers.LevelsByName.WARN: logging.WARNING,
}


class ToLog(loggers.Handler):  # type: ignore[misc]  # supervisor has no types
    """supervisord's own messages, handed to our log."""

    def __init__(self, log: logging.Logger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: Any) -> None:
        """One message."""
        message = record.asdict()["message"].rstrip()
        # supervisord warns of every signal; an end that was asked for is no reason to.
        level = logging.INFO if message.startswith("received SIG") else _LEVELS.get(record.level, logging.DEBUG)
        self._log.log(level, "%s", message)


class Options(ServerOptions):  # type: ignore[misc]  # supervisor has no types
    """supervisord's options, with our log in place of a log file."""

    def make_logger(self) -> None:
        """Called by supervisord once, when it has read its configuration."""
        self.logger = loggers.getLogger(self.loglevel)
        self.logger.addHandler(ToLog(open_log("supervisord", os.environ["LOG_LEVEL"])))


class Readable:
    """Something for supervisord's poll loop to watch: calls ``act`` whenever ``fd`` is readable."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def readable(self) -> bool:
        """Always of interest."""
        return True

    def writable(self) -> bool:
        """Never."""
        return False

    def handle_read_event(self) -> None:
        """The descriptor is readable."""
        self._act()

    def handle_write_event(self) -> None:
        """The descriptor is writable."""
        self._act()

    def handle_error(self) -> None:
        """supervisord's loop calls this in an except clause; an error of ours is a defect, so it must be seen."""
        error = sys.exception()
        if error is not None:
            raise error


class Writable(Readable):
    """The same for a descriptor that is written to while ``is_wanted``."""

    def __init__(self, act: Callable[[], None], is_wanted: Callable[[], bool]) -> None:
        super().__init__(act)
        self._is_wanted = is_wanted

    def readable(self) -> bool:
        """Never."""
        return False

    def writable(self) -> bool:
        """Only while there is something to write: a descriptor that is writable would end every poll at once."""
        return self._is_wanted()

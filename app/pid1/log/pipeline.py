"""From datagrams of /dev/log to the lines that are printed and forwarded. Pure: clock and senders are parameters."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.pid1.log.folding import Folding
from app.pid1.log.line import SEQUENCE_END, Line, as_json, as_syslog, as_text
from app.pid1.log.masking import Masking
from app.pid1.log.message import DEBUG, INFO, WARNING, Message, parsed
from app.pid1.log.server_absences import ServerAbsences
from app.pid1.log.transitions import FAULT, LOG, WARNS, About, Narrator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.log_config import LogConfig

PROGRAM = "ka"
#: The log forwarder's own messages, and its counters (rsyslog.conf).
FORWARDER = "rsyslogd"
COUNTERS = "rsyslogd-pstats"
#: What it prints is what it also logs.
FORWARDER_OUTPUT = "log-forwarder"

#: Where a line goes.
OUT, ALL = "out", "all"

_CHATTER = re.compile(r",? \[v8[^\]]*\]$|, retry 0\. There should be .*")
#: Seconds between two lines about what a full queue has dropped.
DROPPED_EVERY_SECONDS = 60.0

#: A queue whose files it cannot read, after a crash or on a full disk: it goes on without, and whoever logs waits for
#: the server, the standard output too.
_DAMAGED = re.compile(r"^fatal error on disk queue '(?P<target>[^']+) queue'")

_DAEMON = 3


@dataclass(frozen=True)
class Entry:
    """A line on its way: ``printed`` is for the standard output, ``forwarded`` for the targets; empty: not for them."""

    printed: str
    forwarded: str

    def datagrams(self) -> Iterator[bytes]:
        """What the log forwarder is handed: where it goes, and the line."""
        if self.forwarded:
            yield datagram(ALL, self.forwarded)
        if self.printed:
            yield datagram(OUT, self.printed)


def datagram(to: str, line: str) -> bytes:
    """A line for the standard output, for all targets, or for the target of a number (rsyslog.conf)."""
    return f"<{_DAEMON * 8 + INFO}>{to}: {line}".encode()


def printed_of(sent: bytes) -> str | None:
    """The line in a datagram when it is for the standard output."""
    head, _, line = sent.partition(b": ")
    return line.decode() if head.endswith(b">" + OUT.encode()) else None


class Pipeline:
    """What a node's log says."""

    def __init__(self, config: LogConfig) -> None:
        self._folding = Folding()
        self._sequence = 0
        self._narrator = Narrator(config.instances)
        self._reach = ServerAbsences(config.targets)
        self._gone: list[str] = []
        self._damaged: list[str] = []
        # By queue: what it dropped and nobody was told, and when somebody was told last.
        self._dropped: dict[str, tuple[int, float]] = {}
        self.configure(config)

    def configure(self, config: LogConfig) -> None:
        """A reload changes what is known, and forgets no secret."""
        old = getattr(self, "_config", None)
        self._config = config
        self._masking = Masking((*config.secrets, *(old.secrets if old else ())))
        self._write = as_json if config.format == "json" else as_text
        self._narrator.know(config.instances)
        self._reach.targets = config.targets

    def masked(self, text: str) -> str:
        """``text`` without secrets."""
        return self._masking(text)

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets, in the order of rsyslog.conf."""
        return self._config.targets

    def take(self, datagram: bytes, *, pid: int, uid: int, now: float, is_forwarder: bool = False) -> Iterator[Entry]:
        """The lines that are due now that a program, perhaps the forwarder, has sent ``datagram``."""
        message = parsed(datagram, pid=pid, uid=uid, time=now)
        if is_forwarder and message.program == COUNTERS:
            yield from self._counted(message)
        elif is_forwarder:
            yield from self._log(self._heard(_tidied(message)), About(LOG))
        elif message.program == FORWARDER_OUTPUT:
            yield from self._log(replace(message, severity=DEBUG), About(LOG))
        else:
            # Before anything is left out or masked: what is not shown may explain what is, and names are names.
            yield from self._log(message, self._narrator.about(message))

    def tick(self, now: float) -> Iterator[Entry]:
        """The lines that time alone makes due."""
        for message, about, repeats in self._folding.tick(now):
            yield self._entry(message, about, repeats)

    def say(self, severity: int, text: str, now: float, **details: str | int) -> Iterator[Entry]:
        """A line of our own about the log."""
        message = Message(now, _DAEMON, severity, PROGRAM, 1, True, text)
        yield self._entry(message, About(LOG), details=tuple(details.items()))

    def _heard(self, message: Message) -> Message:
        if damaged := _DAMAGED.search(message.text):
            self._damaged.append(damaged["target"])
        heard = self._reach.hear(message.text, message.time)
        if heard.gone:
            self._gone.append(heard.gone)
        return replace(message, severity=DEBUG) if heard.is_old else message

    def gone(self) -> list[int]:
        """The numbers of the targets that have gone away since this was asked last, counted from 1."""
        gone, self._gone = self._gone, []
        return [self.targets.index(target) + 1 for target in gone if target in self.targets]

    def damaged(self) -> list[tuple[str, str]]:
        """The targets whose queue was found damaged since this was asked last, and the begin of its files' names."""
        damaged, self._damaged = self._damaged, []
        queues = dict(zip(self._config.targets, self._config.queues, strict=True))
        return [(target, queues[target]) for target in damaged if queues.get(target)]

    @property
    def spool(self) -> Path:
        """The directory of the queues."""
        return Path(self._config.spool)

    def _log(self, message: Message, about: About) -> Iterator[Entry]:
        is_fault = about.transition and about.transition.state == FAULT
        if about.event in WARNS or is_fault or self._narrator.is_warning(message):
            message = replace(message, severity=min(message.severity, WARNING))
        elif not about.transition and self._narrator.is_detail(message):
            message = replace(message, severity=DEBUG)
        if not self._config.levels.show(message.program, message.severity):
            return
        if change := about.transition:
            about = replace(about, transition=replace(change, reason=self._masking(change.reason)))
        masked = replace(message, text=self._masking(message.text))
        for one, about_it, repeats in self._folding.take(masked, about):
            yield self._entry(one, about_it, repeats)

    def _entry(
        self, message: Message, about: About, repeats: int = 0, details: tuple[tuple[str, str | int], ...] = ()
    ) -> Entry:
        self._sequence = self._sequence % SEQUENCE_END + 1
        line = Line(self._config.node, message, about, self._sequence, repeats, details)
        # What the forwarder says of its own troubles stays here: forwarded, it would cause the next.
        is_own = about.event == LOG and message.program in {FORWARDER, FORWARDER_OUTPUT}
        is_forwarded = bool(self._config.targets) and not is_own
        return Entry(self._write(line), as_syslog(line) if is_forwarded else "")

    def _counted(self, message: Message) -> Iterator[Entry]:
        """rsyslog's counters of one queue, since the last time."""
        try:
            counters = json.loads(message.text)
            target = str(counters["name"]).removesuffix(" queue")
            lost = int(counters["discarded.full"]) + int(counters["discarded.nf"])
            waiting = int(counters["size"])
        except (ValueError, KeyError, TypeError):
            return  # counters of something that is no queue
        now = message.time
        unsaid, said = self._dropped.get(target, (0, -DROPPED_EVERY_SECONDS))
        unsaid += lost
        if unsaid and now - said >= DROPPED_EVERY_SECONDS:
            where = "the standard output, which takes no more" if target == "stream" else f"{target}, its spool is full"
            text = f"{unsaid} messages were dropped on their way to {where}"
            yield from self.say(WARNING, text, now, dropped=unsaid, target=target)
            unsaid, said = 0, now
        self._dropped[target] = unsaid, said
        away = self._reach.reminder(target, now)
        if away is not None and waiting:
            text = f"{waiting} messages wait for {target}, which has been away for {away / 60:.0f} minutes"
            yield from self.say(WARNING, text, now, waiting=waiting, target=target)


def _tidied(message: Message) -> Message:
    """A message of rsyslogd's in this house's form."""
    text = _CHATTER.sub("", message.text)
    says_something = message.severity < INFO or " resumed " in text
    return replace(message, text=text, severity=message.severity if says_something else DEBUG)

"""A message as a line: for people, as JSON, and as RFC 5424 has it for a server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from app.contract.log_config import LEVELS

if TYPE_CHECKING:
    from app.pid1.log.message import Message
    from app.pid1.log.transitions import About

#: The name of our structured data. 32473 is the enterprise number for examples (RFC 5612): we have none of our own.
SD_ID = "ka@32473"

#: RFC 5424 §7.3.1: the highest sequenceId; then it begins again with 1.
SEQUENCE_END = 2**31 - 1


@dataclass(frozen=True)
class Line:
    """A message with all that is known of it. ``sequence`` numbers a node's lines from 1, from its start on."""

    node: str
    message: Message
    about: About
    sequence: int
    repeats: int = 0
    #: What a message about the log itself adds: ``dropped`` and ``target``.
    details: tuple[tuple[str, str | int], ...] = ()

    @property
    def time(self) -> str:
        """RFC 3339, in local time with its offset."""
        return datetime.fromtimestamp(self.message.time).astimezone().isoformat(timespec="microseconds")

    @property
    def facts(self) -> dict[str, str | int | list[str]]:
        """What the line says beside its message; what does not apply is left out."""
        facts: dict[str, str | int | list[str]] = {}
        if self.about.event:
            facts["event"] = self.about.event
        if self.about.instance:
            facts["instance"] = self.about.instance
        if change := self.about.transition:
            facts |= {
                "state": change.state,
                "old_state": change.old_state,
                "priority": change.priority,
                "vip": list(change.vips),
                "reason": change.reason,
            }
        if self.repeats:
            facts["repeated"] = self.repeats
        return facts | dict(self.details)


def as_text(line: Line) -> str:
    """A line for people."""
    message = line.message
    pid = "-" if message.pid is None else message.pid
    return f"{line.time} {LEVELS[message.severity]} {message.program}[{pid}]: {message.text}"


def as_json(line: Line) -> str:
    """An object on one line, as docs/log-line.schema.json has it."""
    message = line.message
    described = {
        "time": line.time,
        "level": LEVELS[message.severity],
        "program": message.program,
        "pid": message.pid,
        "message": message.text,
        "node": line.node,
        "sequence": line.sequence,
    }
    return json.dumps(described | line.facts, ensure_ascii=False)


def as_syslog(line: Line) -> str:
    """RFC 5424, without the framing of its transport."""
    message = line.message
    priority = message.facility * 8 + message.severity
    pid = "-" if message.pid is None else message.pid
    facts = {"node": line.node, **line.facts}
    parameters = "".join(
        f' {name}="{_escaped(str(one))}"'
        for name, value in facts.items()
        for one in (value if isinstance(value, list) else (value,))
    )
    data = f'[{SD_ID}{parameters}][meta sequenceId="{line.sequence}"]'
    head = f"<{priority}>1 {line.time} {line.node} {message.program} {pid} {line.about.event or '-'}"
    return f"{head} {data} {message.text}"


def _escaped(value: str) -> str:
    """A parameter of structured data (RFC 5424 §6.3.3)."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")

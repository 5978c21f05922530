"""What a program handed to syslog(3), taken apart. Only what the kernel says of the sender is to be trusted."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.contract.syslog import plain

#: Severities by number (RFC 5424 §6.2.1).
WARNING, INFO, DEBUG = 4, 6, 7

#: Where a message without a priority belongs (RFC 5424 §6.2.1: user, notice), and the highest there is.
_DEFAULT_PRIORITY = 13
_HIGHEST_PRIORITY = 191

#: Bytes of a message's text, escaped. A whole line stays below the 8 KiB that any server takes, and half of what a
#: container engine takes before it breaks a line in two.
TEXT_LIMIT = 4096

_HEAD = re.compile(
    rb"(?:<(?P<priority>[0-9]{1,3})>)?"
    # The sender's time: ours is taken when the message comes, which is now.
    rb"(?:(?:[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]{5})) )?"
    rb"(?:(?P<program>[A-Za-z0-9_./-]{1,48})(?:\[[0-9]{0,10}\])?: ?)?"
)


@dataclass(frozen=True)
class Message:
    """One message. ``time`` in seconds since the epoch; ``pid`` and ``is_root`` as the kernel knows the sender."""

    time: float
    facility: int
    severity: int
    program: str
    pid: int | None
    is_root: bool
    text: str


def parsed(datagram: bytes, *, pid: int, uid: int, time: float) -> Message:
    """The message in a datagram of /dev/log, whatever is in it: on one line, controls escaped, not endless."""
    head = _HEAD.match(datagram)
    assert head is not None  # noqa: S101 - every part of it may be absent
    number = int(head["priority"]) if head["priority"] else _DEFAULT_PRIORITY
    priority = number if number <= _HIGHEST_PRIORITY else _DEFAULT_PRIORITY
    return Message(
        time=time,
        facility=priority // 8,
        severity=priority % 8,
        program=(head["program"] or b"unknown").decode("ascii"),
        pid=pid or None,  # 0 stands for a process that this container cannot see
        is_root=uid == 0,
        text=readable(datagram[head.end() :]),
    )


def readable(raw: bytes) -> str:
    """A text on one line: what is no UTF-8 and every control character as an escape, and what is too long cut."""
    raw = raw.rstrip(b"\0\r\n")
    # Nothing becomes shorter by its escapes, so what lies beyond the limit cannot matter.
    text = plain(raw[:TEXT_LIMIT].decode("utf-8", "backslashreplace")).strip(" ")
    shortened = text.encode()[:TEXT_LIMIT].decode("utf-8", "ignore")
    if len(raw) <= TEXT_LIMIT and shortened == text:
        return text
    return f"{shortened}… (cut, {len(raw)} bytes in all)"

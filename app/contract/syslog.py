"""Logging to the local syslog socket for the Python siblings; it never makes its caller wait."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import weakref
from collections import deque

SOCKET = "/dev/log"

MESSAGE_LIMIT = 2048
"""Bytes of one message; what is longer is cut. rsyslog would take 8 KiB, no reader would."""

KEPT = 256
"""Messages that wait in the program while the socket cannot be written."""

_FACILITY_DAEMON = 3
_SEVERITIES = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
_DEBUG = 7

# C0 and C1 controls, delete, the Unicode line ends and what changes the direction of text: any of them would let a
# logged text forge or garble a line.
_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_ESCAPES.update({code: f"\\u{code:04x}" for code in (0x2028, 0x2029, 0xFEFF, *_DIRECTIONS)})
_ESCAPES.update({0x09: " ", 0x0A: "\\n", 0x0D: "\\r"})

#: Every handler there is, for flush().
_handlers: weakref.WeakSet[SyslogHandler] = weakref.WeakSet()


def open_log(program: str, level: str, *, path: str | None = None) -> logging.Logger:
    """The logger of a program: its records go to syslog's daemon facility as `program[pid]: message`.

    `level` is debug, info, warning or error; anything else raises ValueError. Calling it again changes the level
    and the socket.
    """
    logger = logging.getLogger(f"ka.{program}")
    logger.setLevel(level.upper())
    logger.propagate = False
    for old in logger.handlers[:]:
        logger.removeHandler(old)
        old.close()
    logger.addHandler(SyslogHandler(program, path or SOCKET))
    return logger


def flush() -> None:
    """Sends what waits in any logger of this process, as far as that goes now. Never raises and never waits."""
    for handler in tuple(_handlers):
        handler.flush()


def plain(text: str) -> str:
    """The text on one line, every control character as an escape."""
    return text.translate(_ESCAPES)


class SyslogHandler(logging.Handler):
    """Sends each record as one datagram; keeps it while the socket cannot be written, up to a limit.

    The standard library's SysLogHandler blocks while the receiver's queue is full, which for the checker would mean
    probing stops because logging does. This one keeps the messages in their order, connects again when the receiver is
    back, and sends what waits before anything newer: with the next record, or when it is told to flush.
    """

    def __init__(self, program: str, path: str) -> None:
        super().__init__()
        self._program = program
        self._path = path
        self._socket: socket.socket | None = None
        self._waiting: deque[bytes] = deque()
        self.dropped = 0
        _handlers.add(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises and never waits."""
        try:
            message = record.getMessage()
            if record.exc_info and record.exc_info[0] is not None:
                message = f"{message}\n{logging.Formatter().formatException(record.exc_info)}"
        except Exception:  # noqa: BLE001 - a wrong format string must not end the program that logs
            message = str(record.msg)
        self._flush()
        datagram = self._datagram(record.levelno, message)
        if not self._waiting and self._send(datagram):
            return
        if len(self._waiting) < KEPT:
            self._waiting.append(datagram)
        else:
            self.dropped += 1

    def flush(self) -> None:
        """Sends what waits, as far as that goes now. Never raises and never waits."""
        with self.lock or contextlib.nullcontext():
            self._flush()

    def _flush(self) -> None:
        while self._waiting and self._send(self._waiting[0]):
            self._waiting.popleft()
        if self.dropped and not self._waiting:
            notice = f"{self.dropped} messages were lost while {self._path} could not be written"
            if self._send(self._datagram(logging.WARNING, notice)):
                self.dropped = 0

    def close(self) -> None:
        """Closes the socket; a later record opens it again."""
        self._disconnect()
        super().close()

    def _datagram(self, level: int, message: str) -> bytes:
        severity = next((number for limit, number in _SEVERITIES if level >= limit), _DEBUG)
        text = plain(message).encode("utf-8", "backslashreplace")
        if len(text) > MESSAGE_LIMIT:
            text = text[: MESSAGE_LIMIT - 3].decode("utf-8", "ignore").encode() + b"..."
        return f"<{_FACILITY_DAEMON * 8 + severity}>{self._program}[{os.getpid()}]: ".encode() + text

    def _send(self, datagram: bytes) -> bool:
        # Twice: where another logger of this machine owns /dev/log, its restart makes a new socket.
        for _attempt in range(2):
            try:
                self._connection().send(datagram)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.ENOBUFS):
                    return False
                self._disconnect()
            else:
                return True
        return False

    def _connection(self) -> socket.socket:
        if self._socket is None:
            fresh = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                fresh.setblocking(False)
                fresh.connect(self._path)
            except OSError:
                fresh.close()
                raise
            self._socket = fresh
        return self._socket

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

"""Logging to the local syslog socket for the Python siblings; it never makes its caller wait."""

from __future__ import annotations

import errno
import logging
import os
import socket

SOCKET = "/dev/log"

MESSAGE_LIMIT = 2048
"""Bytes of one message; what is longer is cut. rsyslog would take 8 KiB, no reader would."""

_FACILITY_DAEMON = 3
_SEVERITIES = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
_DEBUG = 7

# C0 and C1 controls, delete and the Unicode line ends: any of them would let a logged text forge or garble a line.
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_ESCAPES.update({0x09: " ", 0x0A: "\\n", 0x0D: "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"})


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


def plain(text: str) -> str:
    """The text on one line, every control character as an escape."""
    return text.translate(_ESCAPES)


class SyslogHandler(logging.Handler):
    """Sends each record as one datagram, or drops it.

    The standard library's SysLogHandler blocks while the receiver's queue is full, which for the checker would mean
    probing stops because logging does. This one drops, counts, connects again when the forwarder is back, and says
    then how many messages were lost.
    """

    def __init__(self, program: str, path: str) -> None:
        super().__init__()
        self._program = program
        self._path = path
        self._socket: socket.socket | None = None
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises and never waits."""
        try:
            message = record.getMessage()
            if record.exc_info and record.exc_info[0] is not None:
                message = f"{message}\n{logging.Formatter().formatException(record.exc_info)}"
        except Exception:  # noqa: BLE001 - a wrong format string must not end the program that logs
            message = str(record.msg)
        if self.dropped:
            notice = f"{self.dropped} messages were lost while {self._path} could not be written"
            if self._send(self._datagram(logging.WARNING, notice)):
                self.dropped = 0
        if not self._send(self._datagram(record.levelno, message)):
            self.dropped += 1

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
        # Twice: a restarted forwarder has made a new socket, which the old connection cannot reach.
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

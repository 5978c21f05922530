"""PID 1's end of the log: takes every message off /dev/log at once, and keeps it until the log forwarder has it.

Both sockets belong to PID 1, so neither the programs that log nor what waits between the two depend on the forwarder:
when it is killed, its successor reads on where it stopped.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import time
from collections import deque
from typing import TYPE_CHECKING

from app.contract.errors import ConfigError
from app.contract.json_file import read_json
from app.contract.log_config import LogConfig
from app.contract.paths import STREAM_FD
from app.pid1.log.message import WARNING
from app.pid1.log.pipeline import Entry, Pipeline, datagram, printed_of
from app.pid1.sockets import LARGEST, bound, receive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from app.contract.paths import Layout

#: The descriptor of a socket that a program inherits (sd_listen_fds(3)).
LISTEN_FD = 3

#: What waits for a forwarder that does not read: this many messages, of this many bytes.
KEPT, KEPT_BYTES = 10_000, 8 << 20

#: Messages that are read before PID 1 sees to its other work.
AT_ONCE = 64

#: Lines that a killed forwarder may have read and not got rid of: a line for the servers is on disk before the next is
#: read, lines for the standard output wait in its memory. What it got longer ago than this (seconds), with nothing
#: after it, has gone its way.
IN_HAND, IN_HAND_OUT, IN_HAND_FOR = 1, 4, 1.0

#: What may have been on the wire when a server went away is sent to it again: this many of the last messages, but none
#: older than this many seconds.
ON_THE_WIRE, ON_THE_WIRE_FOR = 32, 10.0


class Intake:
    """The sockets, what waits between them, and what may have to be sent again."""

    def __init__(self, layout: Layout) -> None:
        self._config_path = layout.log_config
        self._config_stamp = _stamp(self._config_path)
        self.pipeline = Pipeline(read_json(self._config_path, LogConfig))
        self.listener = bound(layout.log_socket, mode=0o666)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        # The forwarder's end; PID 1 only holds it, and empties it when the forwarder is dead.
        self._input = bound(layout.log_input, mode=0o600)
        # supervisord closes the descriptors below STREAM_FD in a new process; this one outlives that.
        self._inherited = fcntl.fcntl(self._input, fcntl.F_DUPFD_CLOEXEC, STREAM_FD)
        self.output = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.output.setblocking(False)
        self.output.connect(str(layout.log_input))
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._sent: deque[bytes] = deque(maxlen=4096)
        #: How many lines for the standard output the forwarder of now was handed.
        self._handed_out = 0
        self._sent_at = 0.0
        self._recent: deque[tuple[float, Entry]] = deque(maxlen=ON_THE_WIRE)
        #: What the files of queues begin with that the forwarder cannot read.
        self._damaged: set[str] = set()
        self._lost = 0
        self._ticked = 0.0
        #: Gives the process whose messages are about the log itself; 0 while there is no forwarder.
        self.forwarder_pid: Callable[[], int] = int

    @property
    def waits(self) -> bool:
        """Whether something waits to be handed to the forwarder."""
        return bool(self._waiting)

    def read(self) -> None:
        """Takes what is there, up to a limit, and hands it on as far as that goes now. Never waits."""
        for _ in range(AT_ONCE):
            try:
                taken, pid, uid = receive(self.listener)
            except BlockingIOError:
                break
            now = time.time()
            is_forwarder = pid == self.forwarder_pid() != 0
            self._put_all(self.pipeline.take(taken, pid=pid, uid=uid, now=now, is_forwarder=is_forwarder), now)
            for target in self.pipeline.gone():
                self._send_again(target, now)
            self._give_up_damaged(now)
        self.hand_on()

    def _put(self, entry: Entry, now: float) -> None:
        if entry.forwarded:
            self._recent.append((now, entry))
        for made in entry.datagrams():
            self._wait(made)

    def _wait(self, made: bytes) -> None:
        if len(self._waiting) >= KEPT or self._waiting_bytes >= KEPT_BYTES:
            self._lost += 1
            return
        self._waiting.append(made)
        self._waiting_bytes += len(made)

    def hand_on(self) -> None:
        """Hands what waits to the forwarder, as far as that goes now."""
        while self._waiting:
            try:
                self.output.send(self._waiting[0])
            except OSError:  # its queue is full; nobody else can close the other end
                return
            sent = self._waiting.popleft()
            self._waiting_bytes -= len(sent)
            self._sent.append(sent)
            self._handed_out += printed_of(sent) is not None
            self._sent_at = time.monotonic()

    def tick(self) -> None:
        """What time makes due; may be called more often than that."""
        now = time.time()
        if abs(now - self._ticked) < 1:
            return
        self._ticked = now
        stamp = _stamp(self._config_path)
        if stamp != self._config_stamp:
            self._config_stamp = stamp
            with contextlib.suppress(ConfigError):  # what is there now stays in force
                self.pipeline.configure(read_json(self._config_path, LogConfig))
        self._put_all(self.pipeline.tick(now), now)
        if self._lost and len(self._waiting) < KEPT // 2:
            text = f"{self._lost} messages were dropped while the log forwarder did not take them"
            lost, self._lost = self._lost, 0
            self._put_all(self.pipeline.say(WARNING, text, now, dropped=lost, target="log-forwarder"), now)
        self.hand_on()

    def _put_all(self, entries: Iterable[Entry], now: float) -> None:
        for entry in entries:
            self._put(entry, now)

    def _give_up_damaged(self, now: float) -> None:
        """Ends a forwarder that makes everybody wait because it cannot read a queue; its successor begins a new one."""
        for target, queue in self.pipeline.damaged():
            self._damaged.add(queue)
            text = f"what waited for {target} in {self.pipeline.spool} cannot be read any more and is given up"
            self._put_all(self.pipeline.say(WARNING, text, now, target=target), now)
        if self._damaged and (pid := self.forwarder_pid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def forwarder_ended(self, *, was_killed: bool, is_young: bool = False) -> None:
        """Gets back what the forwarder has not read, or may have read and not queued: its successor gets it.

        One that has just started (``is_young``) was handed all that waited at once, and may have printed none of it.
        """
        _remove_queues(self.pipeline.spool, self._damaged)
        self._damaged.clear()
        count = len(_emptied(self._input))
        again = [self._sent.pop() for _ in range(min(count, len(self._sent)))]
        if was_killed and (count or time.monotonic() - self._sent_at < IN_HAND_FOR):
            read = self._handed_out - sum(printed_of(sent) is not None for sent in again)
            again += self._in_hand(max(read, IN_HAND_OUT) if is_young else IN_HAND_OUT)
        self._handed_out = 0
        for sent in again:  # the newest first
            self._waiting.appendleft(sent)
            self._waiting_bytes += len(sent)

    def _in_hand(self, printed: int) -> Iterator[bytes]:
        """The last lines of each kind that were read, the newest first; so many of those for the standard output."""
        forwarded = IN_HAND
        while self._sent and (forwarded or printed):
            sent = self._sent.pop()
            if printed_of(sent) is None:
                if forwarded:
                    forwarded -= 1
                    yield sent
            elif printed:
                printed -= 1
                yield sent

    def _send_again(self, target: int, now: float) -> None:
        """What was on the wire when a server went away: what it had not read is lost with it."""
        for when, entry in tuple(self._recent):
            if now - when <= ON_THE_WIRE_FOR:
                self._wait(datagram(f"to{target}", entry.forwarded))

    def prepare_child(self) -> None:
        """Called in the forwarder's process before it is executed: hands it its socket (sd_listen_fds(3))."""
        os.dup2(self._inherited, LISTEN_FD)
        os.environ["LISTEN_PID"] = str(os.getpid())
        os.environ["LISTEN_FDS"] = "1"

    def rest(self) -> list[str]:
        """The lines that the forwarder has ended without printing."""
        self.read()
        self.forwarder_ended(was_killed=False)
        return [line for waiting in self._waiting if (line := printed_of(waiting)) is not None]


def _remove_queues(spool: Path, queues: Iterable[str]) -> None:
    for queue in queues:
        with contextlib.suppress(OSError):  # a spool that has gone has no queues
            # Root cannot enter it: it has no DAC_OVERRIDE here.
            os.seteuid(spool.stat().st_uid)
            for path in spool.glob(f"{queue}.*"):
                path.unlink()
        os.seteuid(os.getuid())


def _emptied(source: socket.socket) -> list[bytes]:
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(source.recv(LARGEST))
    return found


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0

"""The service behind a VIP: a small web server on a node's host that can be made to fail in every way that matters."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import time
from dataclasses import dataclass

from lab.errors import LabError
from lab.namespace import LoopInside

_LONGEST_REQUEST = 65536  # bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; `time` is when all of it was handed to the kernel, in seconds since the epoch."""

    time: float
    status: int
    client: str


class _Mode(enum.Enum):
    ANSWER = enum.auto()
    HANG = enum.auto()
    REFUSE = enum.auto()


class Service:
    """Answers every request with the host's name, one request a connection."""

    def __init__(self, namespace: str, name: str, port: int, *, ipv6: bool) -> None:
        self.name = name
        self.port = port
        self._families = [(socket.AF_INET, "0.0.0.0")] + [(socket.AF_INET6, "::")] * ipv6  # noqa: S104 - every address
        self._mode = _Mode.ANSWER
        self._status = 200
        self._changed = asyncio.Event()  # replaced at every change: lets go of the requests that hang
        self._listeners: list[socket.socket] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._answers: list[Answer] = []
        self._loop = LoopInside(namespace)
        try:
            self.answer(200)
        except OSError as error:
            self._loop.close()
            raise LabError(f"The service of {name} cannot listen on port {port}: {error}.") from error

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Every answer so far, in order."""
        return tuple(self._answers)

    def answer(self, status: int = 200) -> None:
        """Answer with `status` from now on."""
        self._loop.call(self._switch(_Mode.ANSWER, status))

    def hang(self) -> None:
        """Accept connections from now on and never answer."""
        self._loop.call(self._switch(_Mode.HANG))

    def refuse(self) -> None:
        """Stop listening: connections are refused."""
        self._loop.call(self._switch(_Mode.REFUSE))

    def stop(self) -> None:
        """End the service. May be called again."""
        if not self._loop.closed:
            self.refuse()
            self._loop.close()

    async def _switch(self, mode: _Mode, status: int = 0) -> None:
        self._mode, self._status = mode, status
        self._changed.set()
        self._changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        if mode is _Mode.REFUSE:
            for listener in self._listeners:
                loop.remove_reader(listener)
                listener.close()
            self._listeners = []
        elif not self._listeners:
            for family, address in self._families:
                listener = socket.create_server((address, self.port), family=family, backlog=128)
                listener.setblocking(False)
                self._listeners.append(listener)
                loop.add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        # Not asyncio.start_server: it leaves a connection open that is accepted as the server is closed.
        try:
            connection, address = listener.accept()
        except OSError:  # the client has gone again
            return
        connection.setblocking(False)
        serving = asyncio.create_task(self._serve(connection, address[0]))
        self._serving.add(serving)

        def over(task: asyncio.Task[None]) -> None:  # however it ends, and also when it is cancelled before it begins
            self._serving.discard(task)
            connection.close()

        serving.add_done_callback(over)

    async def _serve(self, connection: socket.socket, client: str) -> None:
        changed = self._changed
        # A client that goes away early, or sends no HTTP, is its own affair.
        with contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request and len(request) < _LONGEST_REQUEST:
                more = await asyncio.get_running_loop().sock_recv(connection, 4096)
                if not more:
                    return
                request += more
            if self._mode is _Mode.HANG:
                await changed.wait()
            elif self._mode is _Mode.ANSWER:
                self._reply(connection, client)

    def _reply(self, connection: socket.socket, client: str) -> None:
        body = f"{self.name}\n"
        head = f"HTTP/1.1 {self._status} Lab\r\nContent-Length: {len(body)}\r\nConnection: close"
        connection.send(f"{head}\r\n\r\n{body}".encode())  # short enough for the kernel to take it whole
        self._answers.append(Answer(time.time(), self._status, client))

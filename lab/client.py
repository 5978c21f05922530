"""Who uses the VIP: asks at a steady rate, whatever becomes of the answers, and records each one."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lab.errors import LabError
from lab.namespace import LoopInside
from lab.patience import LIMIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.host import Host


@dataclass(frozen=True, slots=True)
class Request:
    """One request: begun at `time` (seconds since the epoch), over after `duration` seconds.

    `answered_by` is the name of the host that answered, if one did; `error` says why the request was lost, None when it
    was answered with status 200.
    """

    time: float
    duration: float
    answered_by: str | None
    error: str | None


class Client:
    """Asks `url`, whose host is an address, `rate` times a second from a host's namespace."""

    def __init__(
        self, namespace: str, url: str, *, rate: float, timeout: float, explain: Callable[[str], LabError]
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise LabError(f"The client cannot ask {url!r}: it must be http://ADDRESS[:PORT]/PATH.")
        self._host = parts.hostname
        self._port = parts.port or 80
        self._head = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
        self._explain = explain
        self._period = 1 / rate
        self._timeout = timeout
        self._requests: list[Request] = []
        self._changed = threading.Condition()
        self._stopping = asyncio.Event()
        self._loop = LoopInside(namespace)
        self._asking = self._loop.start(self._ask_for_ever())

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request that is over, in the order they were begun."""
        with self._changed:
            return tuple(sorted(self._requests, key=lambda request: request.time))

    @property
    def lost(self) -> tuple[Request, ...]:
        """The requests that were not answered with 200 in time."""
        return tuple(request for request in self.requests if request.error is not None)

    def wait_answer(self, node: Host, since: float = 0.0, timeout: float = LIMIT_SECONDS) -> Request:
        """The first request begun at or after `since` that `node` answered with 200.

        Raises LabError after `timeout` seconds.
        """

        def find() -> Request | None:
            for request in self.requests:
                if request.time >= since and request.answered_by == node.name and request.error is None:
                    return request
            return None

        with self._changed:
            found = self._changed.wait_for(find, timeout)
        if found is None:
            raise self._explain(f"{node.name} answered no request of the client within {timeout:g} s.")
        return found

    def wait_requests(self, count: int, timeout: float = LIMIT_SECONDS) -> None:
        """Wait until `count` requests in all are over; LabError after `timeout` seconds."""
        with self._changed:
            reached = self._changed.wait_for(lambda: len(self._requests) >= count, timeout)
        if not reached:
            raise self._explain(f"The client has not made {count} requests within {timeout:g} s.")

    def stop(self) -> None:
        """Ask no more, and wait for the answers that are still due. May be called again."""
        if self._loop.closed:
            return
        self._loop.call(self._stop())
        self._asking.result()
        self._loop.close()

    async def _stop(self) -> None:
        self._stopping.set()

    async def _ask_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as under_way:
            while not self._stopping.is_set():
                under_way.create_task(self._ask())
                due += self._period
                try:
                    async with asyncio.timeout_at(due):
                        await self._stopping.wait()
                except TimeoutError:
                    pass

    async def _ask(self) -> None:
        began, started = time.time(), time.monotonic()
        answered_by: str | None = None
        error: str | None = None
        try:
            async with asyncio.timeout(self._timeout):
                status, answered_by = await self._exchange()
            if status != 200:
                error = f"status {status}"
        except TimeoutError:
            error = f"no answer within {self._timeout:g} s"
        except (OSError, ValueError) as problem:
            error = str(problem) or type(problem).__name__
        request = Request(began, time.monotonic() - started, answered_by, error)
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    async def _exchange(self) -> tuple[int, str]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(self._head)
            raw = await reader.read()
        finally:
            writer.close()
        head, separator, body = raw.decode("latin-1").partition("\r\n\r\n")
        if not separator:
            raise ValueError("the connection ended without an answer")
        return int(head.split()[1]), body.strip()

"""Real servers for the checker to probe, and the certificates of one."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@dataclass
class Server:
    """Takes any request and answers what the test says: bytes, or a coroutine that does as it likes."""

    answer: bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] = OK
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    most_at_once: int = 0
    port: int = 0
    _now: int = 0
    _listener: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listens, on the port it had before if there is one."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def start_unix(self, path: Path) -> None:
        self._listener = await asyncio.start_unix_server(self._serve, path)

    async def stop(self) -> None:
        """Refuses from now on, and ends what is going on."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        # Cancelled by stop, or the checker has heard enough: both are ordinary here.
        with contextlib.suppress(ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        self._now -= 1
        writer.transport.abort()
        self._tasks.discard(task)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        if callable(self.answer):
            await self.answer(reader, writer)
            return
        writer.write(self.answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files: a CA, and the certificate and key of 127.0.0.1 and app.example, one of them expired."""

    ca: Path
    good: Path
    expired: Path
    key: Path


def make_certificates(place: Path) -> Certificates:
    """Made fresh by openssl in the directory `place`."""
    names = place / "names"
    names.write_text("subjectAltName=DNS:app.example,IP:127.0.0.1\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    authority = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"]
    for command in (
        ["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test", "-days", "2"],
        ["req", *key, "-keyout", "key.pem", "-out", "csr.pem", "-subj", "/CN=app.example"],
        ["x509", "-req", "-in", "csr.pem", *authority, "-days", "2", "-out", "good.pem"],
        # Zero days: it ends in the second it begins.
        ["x509", "-req", "-in", "csr.pem", *authority, "-days", "0", "-out", "expired.pem"],
    ):
        subprocess.run(["openssl", *command], cwd=place, check=True, capture_output=True)
    return Certificates(place / "ca.pem", place / "good.pem", place / "expired.pem", place / "key.pem")

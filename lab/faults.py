"""Services of a node that fail in every way a check must notice: the server, its certificate, its name."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lab.namespace import LoopInside
from lab.patience import LIMIT_SECONDS, wait_until
from lab.web_server import Server, make_certificates

if TYPE_CHECKING:
    import ssl as _ssl

    from lab import Node

NAME = "app.example"

#: What each fault breaks.
HTTP, HTTPS, NAMED = "http://127.0.0.1/", "https://127.0.0.1/", f"http://{NAME}/"
FAULTS = {
    "connection refused": HTTP,
    "connection reset": HTTP,
    "answers 500": HTTP,
    "accepts and hangs": HTTP,
    "certificate expired": HTTPS,
    "name gone": NAMED,
    "name server silent": NAMED,
}

NO_SUCH_NAME = 3
"""RCODE of DNS (RFC 1035 §4.1.1)."""


class Faults:
    """A web server with and without TLS on the node's loopback, and the name server of its container.

    `data` becomes the node's /ka-data; start the node with `binds`. `close` ends them.
    """

    def __init__(self, node: Node, data: Path) -> None:
        self._node = node
        self._web, self._tls = Server(port=80), Server(port=443)
        self._loop = LoopInside(node.namespace)
        certificates = make_certificates(data)
        self._certificates = certificates
        self._context = _server_context()
        self._context.load_cert_chain(certificates.good, certificates.key)
        self._names = _NameServer()
        for directory in (data, *data.iterdir()):
            directory.chmod(0o755 if directory.is_dir() else 0o644)
        resolver = data / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", encoding="ascii")
        resolver.chmod(0o644)
        self.binds = {resolver: "/etc/resolv.conf"}
        self.ca_file = f"/ka-data/{certificates.ca.name}"
        self._loop.call(self._open())

    async def _open(self) -> None:
        await self._web.start()
        await self._tls.start(self._context)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self._names, ("127.0.0.1", 53))

    def cause(self, fault: str) -> float:
        """From now on; gives the moment, in seconds of time.monotonic."""
        match fault:
            case "connection refused":
                self._loop.call(self._web.stop())
            case "connection reset":
                self._web.answer = _reset
            case "answers 500":
                self._web.answer = b"HTTP/1.1 500 Lab\r\nContent-Length: 0\r\n\r\n"
            case "accepts and hangs":
                self._web.answer = _hang
            case "certificate expired":
                self._context.load_cert_chain(self._certificates.expired, self._certificates.key)
            case "name gone":
                self._names.code = NO_SUCH_NAME
            case "name server silent":
                self._names.code = None
        return time.monotonic()

    def mend(self) -> None:
        """All is well from now on."""
        self._web.answer = self._tls.answer
        self._context.load_cert_chain(self._certificates.good, self._certificates.key)
        self._names.code = 0
        self._loop.call(self._reopen())

    async def _reopen(self) -> None:
        with contextlib.suppress(OSError):  # it is open
            await self._web.start()

    def close(self) -> None:
        """Ends them all."""
        self._loop.call(self._web.stop())
        self._loop.call(self._tls.stop())
        self._names.close()
        self._loop.close()

    @property
    def verdict(self) -> str:
        """What keepalived reads."""
        with contextlib.suppress(FileNotFoundError):
            return self._node.read("run/ka/verdicts/http").strip()
        return ""

    def wait_verdict(self, verdict: str, timeout: float = LIMIT_SECONDS) -> float:
        """When the verdict was first seen to be that, in seconds of time.monotonic."""
        path = Path(f"/proc/{self._node.pid}/root/run/ka/verdicts/http")

        def said() -> bool:
            return path.exists() and path.read_text(encoding="ascii").strip() == verdict

        wait_until(said, f"the verdict {verdict}", timeout, pause=0.001)
        return time.monotonic()


def _server_context() -> _ssl.SSLContext:
    import ssl  # noqa: PLC0415 - only here

    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


async def _hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class _NameServer(asyncio.DatagramProtocol):
    """Says 127.0.0.1 for every name; with a `code` it says that, and with None nothing."""

    def __init__(self) -> None:
        self.code: int | None = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.code is None:
            return
        question_end = data.index(b"\0", 12) + 5
        question = data[12:question_end]
        wants_ipv4 = question[-4:-2] == b"\0\1"
        has_answer = self.code == 0 and wants_ipv4
        head = struct.pack(">2sHHHHH", data[:2], 0x8580 | self.code, 1, int(has_answer), 0, 0)
        # A pointer to the question's name, A, IN, no time to live.
        answer = struct.pack(">HHHIH4s", 0xC00C, 1, 1, 0, 4, socket.inet_aton("127.0.0.1")) if has_answer else b""
        self._transport.sendto(head + question + answer, addr)

    def close(self) -> None:
        """Answers nobody any more."""
        self._transport.close()

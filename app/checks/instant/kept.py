"""The connection of an answer that outlives its exchange."""

from __future__ import annotations

import contextvars
import os
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from aiohttp.connector import Connection

    from app.checks.instant.hold import TargetHold

keeps = contextvars.ContextVar("keeps", default=False)
"""Whether the connection of the request that is made now shall outlive it."""


class KeptConnection:
    """The connection of an answer, which is held once the exchange is over, if the answer was good."""

    __slots__ = ("_hold", "_response")

    def __init__(self, hold: TargetHold, response: KeepingResponse) -> None:
        self._hold = hold
        self._response = response

    def hand_over(self, *, ok: bool) -> None:
        """The exchange is over; there may be no connection after all."""
        self._hold.end(self._response.take(), ok=ok)


class KeepingResponse(aiohttp.ClientResponse):
    """Keeps the connection of an exchange that is complete, where the server was asked to leave it open."""

    kept: int | None = None

    def __del__(self, _warnings: Any = None) -> None:
        """Closes what nobody took: the time of the probe was over just when the answer was complete."""
        super().__del__()
        if (left := self.take()) is not None:
            os.close(left)

    def take(self) -> int | None:
        """The descriptor of its connection, which the caller closes from now on."""
        kept, self.kept = self.kept, None
        return kept

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        if keeps.get():
            connection.add_callback(lambda: self._keep(connection))
        return await super().start(connection)

    def _keep(self, connection: Connection) -> None:
        """Called before aiohttp closes it."""
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or protocol.should_close or transport.is_closing():
            return
        # Another descriptor of the same connection: as long as that is open, closing the first one tells nobody.
        self.kept = os.dup(transport.get_extra_info("socket").fileno())
        if transport.get_extra_info("sslcontext") is not None:
            # Without the goodbye of TLS, after which the server would close.
            transport.abort()

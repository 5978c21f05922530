"""Host names to addresses, such that a dead name server costs the probes of one name and nothing else."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
from collections.abc import Sequence
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

MOST_THREADS = 32
"""Names that may be looked up at once; a lookup that hangs keeps its thread until the C library gives up."""

_Addresses = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]]


class SharedResolver(AbstractResolver):
    """Looks a name up afresh for every probe, but never the same name twice at a time.

    getaddrinfo cannot be cancelled. A probe that times out leaves its lookup running, and the next probe of that name
    waits for the same one: so one name holds one thread, however long its name server is away.
    """

    def __init__(self, names: int) -> None:
        self._threads = concurrent.futures.ThreadPoolExecutor(min(max(names, 1), MOST_THREADS), "resolve")
        self._running: dict[str, asyncio.Future[_Addresses]] = {}
        self.known: dict[str, tuple[str, ...]] = {}
        """The addresses that each name had last."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host in the C library's order. Raises OSError."""
        found: list[ResolveResult] = []
        for kind, _type, protocol, _name, place in await self._lookup(host):
            if family in (socket.AF_UNSPEC, kind):
                # A link-local address needs its scope, which only the %-form carries on.
                scoped = kind == socket.AF_INET6 and place[3]
                address = f"{place[0]}%{place[3]}" if scoped and "%" not in place[0] else place[0]
                found.append(
                    ResolveResult(
                        hostname=host,
                        host=address,
                        port=port,
                        family=kind,
                        proto=protocol,
                        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                    )
                )
        if not found:
            raise socket.gaierror(socket.EAI_NODATA, "No address of the wanted family")
        return found

    async def close(self) -> None:
        """Lets go of idle threads; one that hangs in a lookup ends with the process."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _lookup(self, host: str) -> _Addresses:
        lookup = self._running.get(host)
        if lookup is None:
            loop = asyncio.get_running_loop()
            lookup = loop.run_in_executor(self._threads, _addresses, host)
            self._running[host] = lookup
            lookup.add_done_callback(lambda done: self._finished(host, done))
        # Shielded: the time-out of one probe must not take the answer from the next one.
        return await asyncio.shield(lookup)

    def _finished(self, host: str, lookup: asyncio.Future[_Addresses]) -> None:
        self._running.pop(host, None)
        # Asked for its exception even when no probe is left to take it, or asyncio complains.
        if not lookup.cancelled() and lookup.exception() is None:
            self.known[host] = tuple(place[0] for *_, place in lookup.result())


def _addresses(host: str) -> _Addresses:
    return socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)

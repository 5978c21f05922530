"""Connections of the last good answers, held open until the next probe: one that is closed is a reason to ask at once.

No connection is ever opened for it, and none is held where it would be in anybody's way: the first time a second probe
follows at once, and a server that does not answer it while the connection is held serves one client at a time.
"""

from __future__ import annotations

import asyncio
import enum
import os
import resource
import select
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

TRIAL_SECONDS = 0.1
"""Seconds, and twice what an answer takes, that a server has for a second client while a connection is held."""

SHORT_SECONDS = 1.0
"""Seconds; a server that closes a connection sooner may do so after each answer, without having said it."""

SHORT_HOLDS = 2
"""So many short ones in a row, and nothing is held for REST_SECONDS: each costs a probe."""

REST_SECONDS = 60.0

ONE_AT_A_TIME_SECONDS = 3600.0
"""Seconds until a server that served no second client is tried again: it may only have been slow."""


class Asked(Protocol):
    """The probing of one target."""

    @property
    def counts_as_up(self) -> bool:
        """Only of a target that is up a connection is held."""

    def hint(self) -> None:
        """Its connection is closed."""

    def ask_now(self) -> None:
        """The trial."""


class Holds:
    """All connections that are held, at most one for each server. Use within a running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._loop.add_reader(self._epoll, self._closed)
        self._gone: dict[int, Callable[[], None]] = {}
        self._servers: dict[Hashable, ServerHold] = {}
        # Probes need descriptors too.
        self._most = max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)

    def of(self, server: Hashable) -> ServerHold:
        """What is held of one server."""
        if server not in self._servers:
            self._servers[server] = ServerHold(self, self._loop.time)
        return self._servers[server]

    def watch(self, connection: int, gone: Callable[[], None]) -> bool:
        """Whether there is room for one more (its descriptor); then `gone` is called when its other end closes it."""
        if len(self._gone) >= self._most:
            return False
        # What the server has sent besides (tickets of TLS) does not matter, so not EPOLLIN.
        self._epoll.register(connection, select.EPOLLRDHUP)
        self._gone[connection] = gone
        return True

    def let_go(self, connection: int) -> None:
        """Closes one that is held."""
        del self._gone[connection]
        self._epoll.unregister(connection)
        os.close(connection)

    def close(self) -> None:
        """Lets go of all."""
        for server in self._servers.values():
            server.release()
        self._loop.remove_reader(self._epoll)
        self._epoll.close()

    def _closed(self) -> None:
        for number, _events in self._epoll.poll(0):
            if number in self._gone:
                self._gone[number]()


class _Trust(enum.Enum):
    UNTRIED = enum.auto()
    ON_TRIAL = enum.auto()
    TRUSTED = enum.auto()


class ServerHold:
    """The held connection of one server, and which of its targets is the one that may leave it one."""

    def __init__(self, holds: Holds, now: Callable[[], float]) -> None:
        self._holds = holds
        self._now = now
        self._targets: list[Asked] = []
        self._holder: Asked | None = None
        self._connection: int | None = None
        self._began = 0.0
        self._since = 0.0
        self._took = 0.0
        self._trust = _Trust.UNTRIED
        self._short = 0
        self._rests_until = 0.0

    @property
    def is_holding(self) -> bool:
        """Whether a connection is held now."""
        return self._connection is not None

    def join(self, target: Asked) -> TargetHold:
        """One more target of this server: all of them are asked when the connection is closed."""
        self._targets.append(target)
        return TargetHold(self, target)

    def begin(self, target: Asked, limit: float) -> bool:
        """A probe of `target` begins, of at most `limit` seconds; whether the server shall leave the connection open.

        If so, `end` has to be called.
        """
        if self._holder not in (None, target):
            return False
        now = self._began = self._now()
        may = now >= self._rests_until
        if self._trust is _Trust.ON_TRIAL and may:
            patience = min(TRIAL_SECONDS + 2 * self._took, limit / 4)
            asyncio.get_running_loop().call_later(patience, self._overdue, self._connection)
        else:
            if self._trust is _Trust.ON_TRIAL:
                self._trust = _Trust.UNTRIED
            if self._connection is not None:
                self._short = 0
            # Before the probe and not after it: the server may have no worker left for it.
            self.release()
        self._holder = target if may else None
        return may

    def end(self, target: Asked, connection: int | None, *, ok: bool) -> None:
        """The probe has ended; `connection` is a descriptor of what it left open, and belongs to this object now."""
        was_held = self._connection is not None
        self.release()
        self._holder = None
        if not ok:
            self._trust = _Trust.UNTRIED
        elif self._trust is _Trust.ON_TRIAL and was_held:
            self._trust = _Trust.TRUSTED
        elif self._trust is _Trust.ON_TRIAL:
            self._trust = _Trust.UNTRIED
            self._rests_until = self._now() + ONE_AT_A_TIME_SECONDS
        if connection is None:
            return
        may = ok and target.counts_as_up and self._now() >= self._rests_until
        if not may or not self._holds.watch(connection, self._gone):
            os.close(connection)
            return
        self._connection, self._holder = connection, target
        self._since = self._now()
        self._took = self._since - self._began
        if self._trust is _Trust.UNTRIED:
            self._trust = _Trust.ON_TRIAL
            target.ask_now()

    def release(self) -> None:
        """Closes what is held."""
        if self._connection is not None:
            self._holds.let_go(self._connection)
            self._connection = None

    def _overdue(self, connection: int | None) -> None:
        if connection is self._connection and self._trust is _Trust.ON_TRIAL:
            self.release()

    def _gone(self) -> None:
        self.release()
        if self._trust is _Trust.ON_TRIAL:
            self._trust = _Trust.UNTRIED
        now = self._now()
        self._short = self._short + 1 if now < self._since + SHORT_SECONDS else 0
        if self._short >= SHORT_HOLDS:
            self._short = 0
            self._rests_until = now + REST_SECONDS
        for target in self._targets:
            target.hint()


class TargetHold:
    """What the prober of one target needs to know of its server's connection."""

    __slots__ = ("_server", "_target")

    def __init__(self, server: ServerHold, target: Asked) -> None:
        self._server = server
        self._target = target

    def begin(self, limit: float) -> bool:
        """As ServerHold.begin."""
        return self._server.begin(self._target, limit)

    def end(self, connection: int | None, *, ok: bool) -> None:
        """As ServerHold.end."""
        self._server.end(self._target, connection, ok=ok)

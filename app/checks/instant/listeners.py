"""The listeners of targets that are served on this host: one that ends, or is new, is a reason to ask at once.

The kernel tells of every end within milliseconds, but that costs it some 13 µs for every socket that is closed in the
namespace, whoever's it is. Beside a server that closes many it is asked for the listeners instead, again and again.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import ipaddress
import math
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app.host import sock_diag

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Sequence

    from app.host.sock_diag import Listener

CALM_SECONDS = 10.0
"""Seconds between two looks while the kernel tells, or while nothing listens here."""

DOWN_SECONDS = 0.1
"""Seconds between two looks while a target that would be served here is down: its listener may come back."""

BUSY_SECONDS = 0.04
"""Seconds between two looks in place of being told."""

LARGEST_SHARE = 1 / 200
"""Of this thread's time that looks may take; where there are many listeners they come less often."""

BUSY_SAMPLES, BUSY_WINDOW_SECONDS = 10, 2.0
"""So many samples of closed sockets within so many seconds are too many: 320 sockets a second, 0.4 % of a core."""

TRIAL_SECONDS = 10.0
"""Seconds until the kernel is asked to tell again; the samples say within 0.2 s when 5,000 a second are closed."""


class Hinted(Protocol):
    """The probing of one target."""

    @property
    def counts_as_up(self) -> bool:
        """Whether the target is up."""

    def hint(self) -> None:
        """Its listener has ended, or is new."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one target is served: `protocol` as sock_diag has it; `addresses` gives its host's, as far as known."""

    target: Hinted
    protocol: int
    port: int
    addresses: Callable[[], Iterable[str]]


class ListenerWatch:
    """Tells targets of their listeners. Whatever goes wrong here only ends it, and that is said once."""

    def __init__(self, endpoints: Sequence[Endpoint], log: logging.Logger) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._endpoints: dict[tuple[int, int], list[Endpoint]] = {}
        for endpoint in endpoints:
            self._endpoints.setdefault((endpoint.protocol, endpoint.port), []).append(endpoint)
        self._known: set[Listener] = set()
        self._hearing: socket.socket | None = None
        self._samples: collections.deque[float] = collections.deque(maxlen=BUSY_SAMPLES)
        self._busy_until = -math.inf
        self._next: asyncio.TimerHandle | None = None
        self._here: dict[str, bool] = {}
        self._here_since = -math.inf

    @property
    def is_told(self) -> bool:
        """Whether the kernel tells of ends, so that nobody has to look."""
        return self._hearing is not None

    def start(self) -> None:
        """From now on, and without a word when there is nothing to watch."""
        if self._endpoints:
            self._guarded(self._first_look)

    def changed(self) -> None:
        """A target is up or down now."""
        if self._next is not None and self._next.when() > self._loop.time() + DOWN_SECONDS and self._waits():
            self._plan(DOWN_SECONDS)

    def close(self) -> None:
        """Ends it."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._listen(on=False)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            self.close()
            self._log.info("KA_CHECK_INSTANT: this host tells nothing of listeners (%s)", error.strerror)
        except Exception as error:  # noqa: BLE001 - only a hint is lost, never a check
            self.close()
            self._log.warning("KA_CHECK_INSTANT: listeners are not watched: %s: %s", type(error).__name__, error)

    def _first_look(self) -> None:
        self._known = self._found()
        self._look()

    def _look(self) -> None:
        began, cpu = self._loop.time(), time.thread_time()
        # Joined first: what ends between the two is then heard.
        self._listen(on=bool(self._known) and began >= self._busy_until)
        found = self._found()
        changed = found ^ self._known
        self._known = found
        for listener in changed:
            self._tell(listener)
        least = (time.thread_time() - cpu) / LARGEST_SHARE
        self._plan(max(least, self._pace()))

    def _pace(self) -> float:
        if self._known and not self.is_told:
            return BUSY_SECONDS
        return DOWN_SECONDS if self._waits() else CALM_SECONDS

    def _plan(self, seconds: float) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = self._loop.call_later(seconds, self._guarded, self._look)

    def _waits(self) -> bool:
        """Whether a target is down whose listener would be here."""
        return any(
            not endpoint.target.counts_as_up and any(map(self._is_here, endpoint.addresses()))
            for endpoints in self._endpoints.values()
            for endpoint in endpoints
        )

    def _found(self) -> set[Listener]:
        found = set()
        for protocol in {protocol for protocol, _port in self._endpoints}:
            ports = [port for its, port in self._endpoints if its == protocol]
            # One port the kernel picks out; of several it is asked once, and not once for each.
            for listener in sock_diag.listeners(protocol, ports[0] if len(ports) == 1 else 0):
                if (protocol, listener.port) in self._endpoints:
                    found.add(listener)
        return found

    def _listen(self, *, on: bool) -> None:
        if on and self._hearing is None:
            self._hearing = sock_diag.open_deaths({port for _protocol, port in self._endpoints})
            self._samples.clear()
            self._loop.add_reader(self._hearing, self._guarded, functools.partial(self._hear, self._hearing))
        elif not on and self._hearing is not None:
            self._loop.remove_reader(self._hearing)
            self._hearing.close()
            self._hearing = None

    def _hear(self, hearing: socket.socket) -> None:
        for _number in range(BUSY_SAMPLES):
            try:
                death = sock_diag.next_death(hearing)
            except OSError:
                # Some went by unheard.
                self._plan(0.0)
                return
            if death is None:
                return
            if (death.protocol, death.port) in self._endpoints:
                self._known.discard(death)
                self._tell(death)
            else:
                self._samples.append(self._loop.time())
                if self._is_busy():
                    self._busy_until = self._loop.time() + TRIAL_SECONDS
                    self._plan(0.0)
                    return

    def _is_busy(self) -> bool:
        return len(self._samples) == BUSY_SAMPLES and self._samples[-1] < self._samples[0] + BUSY_WINDOW_SECONDS

    def _tell(self, listener: Listener) -> None:
        for endpoint in self._endpoints[listener.protocol, listener.port]:
            if any(self._serves(listener, address) for address in endpoint.addresses()):
                endpoint.target.hint()

    def _serves(self, listener: Listener, address: str) -> bool:
        return self._is_here(address) if listener.takes_any else _packed(address) == _unmapped(listener.address)

    def _is_here(self, address: str) -> bool:
        """Whether it is an address of this host now, which VIPs are for a time; true for a second."""
        now = self._loop.time()
        if now > self._here_since + 1.0:
            self._here.clear()
            self._here_since = now
        if address not in self._here:
            self._here[address] = _can_bind(address)
        return self._here[address]


def _can_bind(address: str) -> bool:
    """What the kernel says without a table of its addresses: only one of its own can be bound."""
    try:
        ((family, kind, _protocol, _name, place), *_) = socket.getaddrinfo(
            address, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
        with socket.socket(family, kind) as trying:
            trying.bind(place)
    except OSError:
        return False
    return True


@functools.cache
def _packed(address: str) -> bytes:
    return _unmapped(ipaddress.ip_address(address.partition("%")[0]).packed)


def _unmapped(address: bytes) -> bytes:
    """An IPv4 address that an IPv6 socket has as ::ffff:a.b.c.d."""
    return address[12:] if len(address) == 16 and address.startswith(bytes(10) + b"\xff\xff") else address

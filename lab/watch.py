"""Who holds which address, from the kernel's own events: one timeline for the whole lab."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lab.errors import LabError
from lab.log import clock
from lab.namespace import inside
from lab.netlink import LinkChange, changes, open_socket

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AddressEvent:
    """`node` got (`added`) or lost `address`/`prefix`; `time` is seconds since the epoch, taken on receipt."""

    time: float
    node: str
    address: str
    prefix: int
    added: bool

    def __str__(self) -> str:
        return f"{clock(self.time)} {self.node} {'+' if self.added else '-'} {self.address}/{self.prefix}"


class Watch:
    """Receives the address and link events of every node.

    One thread reads a netlink socket per namespace itself, instead of the output of an `ip -ts monitor` each. Its times
    are within 0.2 ms of those; but the socket hears everything from the moment it is bound (`ip monitor` never says
    when it has begun), a waiter is woken without a second process, and none is left behind when the owner is killed.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: list[AddressEvent] = []
        self._held: dict[str, set[tuple[int, str, int]]] = {}  # by node: link index, address, prefix
        self._carrier: dict[tuple[str, str], bool] = {}  # by node and link name
        self._failure: str | None = None
        self._selector = selectors.DefaultSelector()
        self._wake, wakened = socket.socketpair()
        self._selector.register(wakened, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def add(self, node: str, namespace: str) -> None:
        """Follow `namespace`, which has no address yet, as `node`."""
        self._held[node] = set()
        self._selector.register(
            inside(namespace, open_socket), selectors.EVENT_READ, node
        )  # epoll may change while it waits

    @property
    def events(self) -> tuple[AddressEvent, ...]:
        """Everything so far, in order of receipt."""
        with self._changed:
            return tuple(self._events)

    def holds(self, node: str, address: str) -> bool:
        """Whether `node` has `address` on any link, by the events so far."""
        return any(held == address for _, held, _ in tuple(self._held[node]))

    def addresses(self, node: str) -> set[str]:
        """All addresses of `node`, by the events so far."""
        return {address for _, address, _ in tuple(self._held[node])}

    def carrier(self, node: str, link: str) -> bool:
        """Whether the far end of the node's link is up, by the events so far."""
        return self._carrier.get((node, link), False)

    def wait(self, find: Callable[[], _T | None], timeout: float) -> _T | None:
        """What `find` gives as soon as it gives something, asked again at every event; None after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while (found := find()) is None:
                if self._failure is not None:
                    raise LabError(self._failure)
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return find()
        return found

    def close(self) -> None:
        """End the thread and close the sockets. May be called again."""
        with contextlib.suppress(OSError):  # closed before
            self._wake.send(b"x")
        self._thread.join()
        self._wake.close()

    def _run(self) -> None:
        try:
            while True:
                for key, _ in self._selector.select():
                    if key.data is None:
                        return
                    assert isinstance(key.fileobj, socket.socket)
                    self._receive(key.data, key.fileobj)
        except Exception as error:  # noqa: BLE001 - ENOBUFS, say: the timeline is not to be trusted any more; waits tell
            with self._changed:
                self._failure = f"The lab's address events stopped: {error}."
                self._changed.notify_all()
        finally:
            for key in list(self._selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()
            self._selector.close()

    def _receive(self, node: str, listener: socket.socket) -> None:
        packet = listener.recv(1 << 16)
        now = time.time()
        with self._changed:
            for change in changes(packet):
                if isinstance(change, LinkChange):
                    self._carrier[node, change.name] = change.carrier
                    continue
                key = (change.index, change.address, change.prefix)
                held = self._held[node]
                if (key in held) == change.added:
                    continue  # a change of its flags or life time
                (held.add if change.added else held.remove)(key)
                self._events.append(AddressEvent(now, node, change.address, change.prefix, change.added))
            self._changed.notify_all()

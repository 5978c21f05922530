"""Work of this process inside a host's network: a socket belongs to the namespace of the thread that made it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lab.patience import LIMIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

NAMESPACES = Path("/run/netns")  # where `ip netns` keeps its names

_T = TypeVar("_T")
_CLONE_NEWNET = 0x40000000  # os.setns and its constant came with Python 3.12
_libc = ctypes.CDLL(None, use_errno=True)


def namespace_name(lab_id: str, host: str) -> str:
    """The namespace of a host, as `ip netns` knows it; with the lab's ID, so that labs can run side by side."""
    return f"ka-{lab_id}-{host}"


def namespaces_of(lab_id: str) -> list[str]:
    """The namespaces there are of a lab."""
    return sorted(path.name for path in NAMESPACES.glob(namespace_name(lab_id, "*")))


def all_labs() -> set[str]:
    """The IDs of the labs that have a namespace."""
    return {path.name.split("-")[1] for path in NAMESPACES.glob(namespace_name("[0-9a-f]" * 4, "*"))}


def _move_thread(namespace: str) -> None:
    """Move the calling thread, and nothing else of this process, into `namespace`."""
    with (NAMESPACES / namespace).open("rb") as handle:
        if _libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), namespace)


def inside(namespace: str, function: Callable[[], _T]) -> _T:
    """What `function` returns (or raises) when called inside `namespace`."""
    outcome: Future[_T] = Future()

    def work() -> None:
        try:
            _move_thread(namespace)
            outcome.set_result(function())
        except BaseException as error:  # noqa: BLE001 - handed to the caller, who waits
            outcome.set_exception(error)

    threading.Thread(target=work, name=f"in {namespace}", daemon=True).start()
    return outcome.result()


class LoopInside:
    """An asyncio loop on a thread of its own inside a namespace.

    A thread and not a process: it starts in a millisecond, its clock and records are the caller's, and no way of dying
    leaves it behind.
    """

    def __init__(self, namespace: str) -> None:
        # Made here, so that the loop's own socket pair does not hold on to the namespace.
        self._loop = asyncio.new_event_loop()
        entered: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(namespace, entered), name=namespace, daemon=True)
        self._thread.start()
        try:
            entered.result()
        except BaseException:
            self._thread.join()
            self._loop.close()
            raise

    def _run(self, namespace: str, entered: Future[None]) -> None:
        try:
            _move_thread(namespace)
        except OSError as error:
            entered.set_exception(error)
            return
        asyncio.set_event_loop(self._loop)
        entered.set_result(None)
        self._loop.run_forever()

    @property
    def closed(self) -> bool:
        """Whether close has been called."""
        return self._loop.is_closed()

    def start(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Run `work` on the loop; its outcome comes to the future."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, work: Coroutine[Any, Any, _T], timeout: float = LIMIT_SECONDS) -> _T:
        """What `work` returns when the loop has run it; TimeoutError after `timeout` seconds."""
        return self.start(work).result(timeout)

    def close(self) -> None:
        """Cancel what runs, end the loop and its thread. May be called again."""
        if self.closed:
            return
        self.call(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    # What is cancelled, and what was just accepted, may begin more.
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.sleep(0)  # a connection whose task is cancelled before it began is left open
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(3):  # the end of a task closes its transport, which drops its socket in the turn after that
        await asyncio.sleep(0)

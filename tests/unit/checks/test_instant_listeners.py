"""Who is told of which listener, and when the kernel is asked instead of telling: against a real kernel."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import TYPE_CHECKING

import pytest

from app.checks.instant import listeners as module
from app.checks.instant.listeners import Endpoint, ListenerWatch
from app.host import sock_diag
from app.host.sock_diag import TCP, UDP
from lab.patience import LIMIT_SECONDS
from tests.unit.host.test_sock_diag import PORT, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.unit.conftest import Network


class Target:
    """Counts its hints."""

    def __init__(self, *, up: bool = True) -> None:
        self.counts_as_up = up
        self.hints = 0

    def hint(self) -> None:
        self.hints += 1


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not done():  # noqa: ASYNC110 - of some of it nothing tells
            await asyncio.sleep(0.002)


def run(network: Network, work: Callable[[], Coroutine[None, None, None]]) -> None:
    network.call(lambda: asyncio.run(work()))


def endpoint(target: Target, address: str, protocol: int = TCP, port: int = PORT) -> Endpoint:
    return Endpoint(target, protocol, port, lambda: (address,))


def watch(*endpoints: Endpoint) -> ListenerWatch:
    made = ListenerWatch(endpoints, logging.getLogger("test"))
    made.start()
    return made


@pytest.mark.parametrize(
    ("listens", "target", "protocol"),
    [
        ("127.0.0.1", "127.0.0.1", TCP),
        ("0.0.0.0", "127.0.0.1", TCP),
        ("0.0.0.0", "203.0.113.11", TCP),
        ("::", "127.0.0.1", TCP),
        ("::", "2001:db8::11", TCP),
        ("::ffff:203.0.113.11", "203.0.113.11", TCP),
        ("203.0.113.11", "203.0.113.11", UDP),
        ("::", "127.0.0.1", UDP),
    ],
)
def test_the_targets_of_a_listener_that_ends_are_told(
    network: Network, listens: str, target: str, protocol: int
) -> None:
    async def work() -> None:
        serving = serve(listens, protocol)
        served, other, remote = Target(), Target(), Target()
        watching = watch(
            endpoint(served, target, protocol),
            endpoint(other, target, protocol, PORT + 1),
            endpoint(remote, "203.0.113.12", protocol),
        )
        assert watching.is_told
        serving.close()
        await until(lambda: served.hints > 0)
        assert (other.hints, remote.hints) == (0, 0)
        watching.close()

    run(network, work)


def test_nothing_is_listened_for_where_no_target_is_served(network: Network) -> None:
    async def work() -> None:
        watching = watch(endpoint(Target(), "203.0.113.12"))
        assert not watching.is_told
        watching.close()

    run(network, work)


def test_a_listener_that_comes_back_while_its_target_is_down_is_told(network: Network) -> None:
    async def work() -> None:
        target = Target()
        watching = watch(endpoint(target, "127.0.0.1"))
        target.counts_as_up = False
        watching.changed()
        serving = serve("127.0.0.1", TCP)
        await until(lambda: target.hints > 0)
        await until(lambda: watching.is_told)
        serving.close()
        watching.close()

    run(network, work)


def test_a_vip_counts_only_while_it_is_here(network: Network) -> None:
    async def work() -> None:
        serving = serve("0.0.0.0", TCP)
        second = serve("127.0.0.1", TCP, PORT + 1)
        vip, local = Target(), Target()
        watching = watch(endpoint(vip, "203.0.113.10"), endpoint(local, "127.0.0.1", TCP, PORT + 1))
        serving.close()
        second.close()
        await until(lambda: local.hints > 0)
        assert vip.hints == 0
        watching.close()

    run(network, work)


def test_beside_a_busy_server_the_kernel_is_asked_and_later_tells_again(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRIAL_SECONDS", 0.3)
    # So that no machine is too slow to count as busy.
    monkeypatch.setattr(module, "BUSY_WINDOW_SECONDS", LIMIT_SECONDS)
    monkeypatch.setattr(sock_diag, "SAMPLE", 1)

    async def work() -> None:
        serving = serve("127.0.0.1", TCP)
        target = Target()
        watching = watch(endpoint(target, "127.0.0.1"))
        assert watching.is_told
        for _number in range(50):
            socket.socket(type=socket.SOCK_DGRAM).close()
        await until(lambda: not watching.is_told)
        target.hints = 0
        serving.close()
        await until(lambda: target.hints > 0)
        again = serve("127.0.0.1", TCP)
        await until(lambda: watching.is_told)
        target.hints = 0
        again.close()
        await until(lambda: target.hints > 0)
        watching.close()

    run(network, work)


@pytest.mark.parametrize("error", [OSError(errno.EPROTONOSUPPORT, "Protocol not supported"), ZeroDivisionError()])
@pytest.mark.parametrize("where", ["listeners", "open_deaths"])
def test_a_kernel_that_tells_nothing_is_said_once(
    network: Network,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    where: str,
) -> None:
    def refuse(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(sock_diag, where, refuse)

    async def work() -> None:
        serving = serve("127.0.0.1", TCP)
        target = Target(up=False)
        watching = watch(endpoint(target, "127.0.0.1"))
        watching.changed()
        await asyncio.sleep(0)
        serving.close()
        assert not watching.is_told
        watching.close()

    with caplog.at_level(logging.INFO):
        run(network, work)
    (line,) = caplog.messages
    assert line.startswith("KA_CHECK_INSTANT: ")


def test_no_targets_no_sockets(network: Network) -> None:
    async def work() -> None:
        watching = watch()
        watching.changed()
        assert not watching.is_told
        watching.close()

    run(network, work)

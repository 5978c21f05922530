"""Connections that are held between probes: real servers, and what they see of it."""

from __future__ import annotations

import asyncio
import resource
import ssl
from typing import TYPE_CHECKING

import pytest

from app.checks.instant import hold as module
from app.checks.probe import Probers
from app.contract.checker_config import CheckTarget
from lab.patience import LIMIT_SECONDS
from lab.web_server import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from lab.web_server import Certificates

KEEPS = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 500 Oh No\r\nContent-Length: 2\r\n\r\nno"


class Watch:
    """Notes what the checker would do."""

    def __init__(self) -> None:
        self.counts_as_up = True
        self.hints = 0
        self.asked = 0

    def hint(self) -> None:
        self.hints += 1

    def ask_now(self) -> None:
        self.asked += 1


class Keeper:
    """A server that answers `answer` and leaves connections open, until it is told to close them."""

    def __init__(self, answer: bytes = KEEPS) -> None:
        self.answer = answer
        self.open: set[asyncio.StreamWriter] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        try:
            while True:
                writer.write(self.answer)
                await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            self.open.discard(writer)

    def close_all(self) -> None:
        for writer in self.open:
            writer.transport.abort()


class Target:
    """One target as the checker has it: probed by hand."""

    def __init__(self, probers: Probers, url: str, ca_file: str | None = None) -> None:
        self._prober = probers.make(CheckTarget(url, ca_file=ca_file))
        self.watch = Watch()
        probers.hold(self._prober, self.watch)

    async def probe(self, times: int = 1) -> bool:
        for _number in range(times):
            answer = await self._prober.probe(LIMIT_SECONDS)
            await answer.finish()
        return answer.ok


@pytest.fixture
async def probers() -> AsyncIterator[Probers]:
    made = Probers([])
    yield made
    await made.close()


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not done():  # noqa: ASYNC110 - of some of it nothing tells
            await asyncio.sleep(0.002)


async def test_the_last_good_answers_connection_is_held_and_its_end_is_a_hint(server: Server, probers: Probers) -> None:
    server.answer = keeper = Keeper()
    target = Target(probers, server.url)
    assert await target.probe()
    assert target.watch.asked == 1  # the trial
    for number in range(2, 6):
        assert await target.probe()
        await until(lambda: len(keeper.open) == 1)
        assert server.connections == number  # a new one each time
    assert (target.watch.asked, target.watch.hints) == (1, 0)
    keeper.close_all()
    await until(lambda: target.watch.hints == 1)


async def test_a_server_that_closes_is_not_held(server: Server, probers: Probers) -> None:
    target = Target(probers, server.url)
    assert await target.probe(3)
    assert b"connection: keep-alive" in server.requests[0].lower()
    server.answer = Keeper(KEEPS.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert await target.probe(3)
    assert (target.watch.asked, target.watch.hints) == (0, 0)


async def test_a_bad_answers_connection_is_not_held(server: Server, probers: Probers) -> None:
    server.answer = keeper = Keeper(BAD)
    target = Target(probers, server.url)
    assert not await target.probe(2)
    await until(lambda: not keeper.open)
    assert target.watch.asked == 0


async def test_of_a_target_that_is_not_up_nothing_is_held(server: Server, probers: Probers) -> None:
    server.answer = keeper = Keeper()
    target = Target(probers, server.url)
    target.watch.counts_as_up = False
    assert await target.probe(2)
    await until(lambda: not keeper.open)
    assert target.watch.asked == 0


async def test_a_server_that_serves_one_client_at_a_time_is_found_out_and_left_alone(
    server: Server, probers: Probers
) -> None:
    keeper, one = Keeper(), asyncio.Lock()

    async def one_at_a_time(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with one:
            await keeper(reader, writer)

    server.answer = one_at_a_time
    target = Target(probers, server.url)
    assert await target.probe(2)  # the second is the trial; it has its answer when the first is let go
    await until(lambda: not keeper.open)
    assert await target.probe(3)
    await until(lambda: not one.locked())
    assert b"connection: close" in server.requests[-1].lower()
    assert (target.watch.asked, target.watch.hints) == (1, 0)


async def test_over_tls_the_server_hears_no_goodbye(certificates: Certificates, probers: Probers) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.good, certificates.key)
    server = Server(keeper := Keeper())
    await server.start(tls=context)
    try:
        target = Target(probers, server.url.replace("http:", "https:"), ca_file=str(certificates.ca))
        assert await target.probe(3)
        await until(lambda: len(keeper.open) == 1)
        # Whatever the checker said to it is read by now, and it is open still.
        assert target.watch.hints == 0
        keeper.close_all()
        await until(lambda: target.watch.hints == 1)
    finally:
        await server.stop()


async def test_over_a_unix_socket(tmp_path: Path, probers: Probers) -> None:
    server = Server(keeper := Keeper())
    await server.start_unix(tmp_path / "web.sock")
    try:
        target = Target(probers, f"http+unix://{str(tmp_path / 'web.sock').replace('/', '%2F')}/")
        assert await target.probe(3)
        keeper.close_all()
        await until(lambda: target.watch.hints == 1)
    finally:
        await server.stop()


async def test_one_connection_serves_all_targets_of_a_server(server: Server, probers: Probers) -> None:
    server.answer = keeper = Keeper()
    targets = [Target(probers, f"{server.url}{path}") for path in "abc"]
    for _round in range(3):
        for target in targets:
            assert await target.probe()
    await until(lambda: len(keeper.open) == 1)
    keeper.close_all()
    await until(lambda: all(target.watch.hints == 1 for target in targets))


async def test_where_one_target_fails_another_holds(server: Server, probers: Probers) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        keeper.answer = BAD if b"/a" in server.requests[-1] else KEEPS
        await keeper(reader, writer)

    keeper, server.answer = Keeper(), answer
    bad, good = Target(probers, f"{server.url}a"), Target(probers, f"{server.url}b")
    for _round in range(3):
        assert not await bad.probe()
        assert await good.probe()
    await until(lambda: len(keeper.open) == 1)
    keeper.close_all()
    await until(lambda: bad.watch.hints == good.watch.hints == 1)


async def test_a_server_that_closes_without_a_word_costs_few_probes(server: Server, probers: Probers) -> None:
    async def answer_and_close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(KEEPS)

    server.answer = answer_and_close
    target = Target(probers, server.url)
    for number in range(20):
        assert await target.probe()
        hints = min(number + 1, module.SHORT_HOLDS)
        await until(lambda: target.watch.hints >= hints)  # noqa: B023 - waited for in this round
    assert target.watch.hints == module.SHORT_HOLDS


async def test_an_operator_who_names_the_header_is_left_alone(server: Server, probers: Probers) -> None:
    server.answer = keeper = Keeper()
    prober = probers.make(CheckTarget(server.url, headers=(("connection", "keep-alive"),)))
    probers.hold(prober, Watch())
    answer = await prober.probe(LIMIT_SECONDS)
    await answer.finish()
    await until(lambda: not keeper.open)


async def test_descriptors_are_left_for_probes(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (4, 4))
    probers = Probers([])
    other = Server(Keeper())
    await other.start()
    try:
        server.answer = keeper = Keeper()
        assert await Target(probers, server.url).probe()
        late = Target(probers, other.url)
        assert await late.probe()
        await until(lambda: len(keeper.open) == 1)
        assert late.watch.asked == 0
    finally:
        await probers.close()
        await other.stop()


async def test_nothing_is_left_open(server: Server) -> None:
    server.answer = keeper = Keeper()
    probers = Probers([])
    assert await Target(probers, server.url).probe(2)
    await probers.close()
    await until(lambda: not keeper.open)

"""What a real kernel says of listeners, asked in a network namespace of our own."""

from __future__ import annotations

import select
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from app.host import sock_diag
from app.host.sock_diag import SAMPLE, TCP, UDP, Listener, listeners, next_death, open_deaths
from lab.patience import LIMIT_SECONDS

if TYPE_CHECKING:
    from tests.unit.conftest import Network

PORT = 8080
PLACES = [("127.0.0.1", TCP), ("0.0.0.0", TCP), ("::1", TCP), ("::", TCP), ("203.0.113.11", UDP), ("::", UDP)]


def serve(address: str, protocol: int, port: int = PORT) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM if protocol == TCP else socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    if protocol == TCP:
        made.listen()
    return made


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def wait_end(hearing: socket.socket, listener: Listener) -> int:
    """Waits until the end of this one is told, and gives how many others were: some of an earlier test come late."""
    others = 0
    while True:
        assert select.select([hearing], [], [], LIMIT_SECONDS)[0], "the kernel told nothing"
        if next_death(hearing) == listener:
            return others
        others += 1


@pytest.mark.parametrize(("address", "protocol"), PLACES)
def test_a_listener_is_listed_and_its_end_is_told(network: Network, address: str, protocol: int) -> None:
    def work() -> None:
        with closing(open_deaths({PORT})) as hearing:
            serving = serve(address, protocol)
            other = serve(address, protocol, PORT + 1)
            (found,) = listeners(protocol, PORT)
            assert found._replace(cookie=b"") == (protocol, PORT, packed(address), b"")
            assert found.takes_any == (address in ("0.0.0.0", "::"))
            assert {its.port for its in listeners(protocol)} == {PORT, PORT + 1}
            serving.close()
            wait_end(hearing, found)
            assert list(listeners(protocol, PORT)) == []
            other.close()

    network.call(work)


def test_two_at_one_place_are_told_apart(network: Network) -> None:
    def work() -> None:
        with closing(open_deaths({PORT})) as hearing:
            pair = []
            for _number in range(2):
                made = socket.socket()
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                made.bind(("127.0.0.1", PORT))
                made.listen()
                pair.append(made)
            both = set(listeners(TCP, PORT))
            assert len(both) == 2
            pair[0].close()
            (left,) = listeners(TCP, PORT)
            (gone,) = both - {left}
            wait_end(hearing, gone)
            pair[1].close()
            wait_end(hearing, left)

    network.call(work)


def test_of_other_sockets_only_a_sample_comes_through(network: Network) -> None:
    def work() -> int:
        with closing(open_deaths({PORT})) as hearing, closing(serve("127.0.0.1", TCP, PORT + 1)) as server:
            for _number in range(8 * SAMPLE):
                client = socket.create_connection(("127.0.0.1", PORT + 1))
                server.accept()[0].close()
                client.close()
            last = serve("127.0.0.1", TCP)
            (found,) = listeners(TCP, PORT)
            last.close()
            return wait_end(hearing, found)

    # 16 × SAMPLE sockets: none of them, or four times the average, would be once in millions of runs.
    assert 0 < network.call(work) < 64


def test_many_ports(network: Network) -> None:
    def work() -> None:
        with closing(open_deaths(set(range(1, 900)) | {PORT})) as hearing:
            serving = serve("127.0.0.1", TCP)
            (found,) = listeners(TCP, PORT)
            serving.close()
            wait_end(hearing, found)

    network.call(work)


def test_what_the_kernel_refuses_is_an_oserror(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sock_diag._STATES, socket.IPPROTO_ICMP, 1 << 7)
    with pytest.raises(FileNotFoundError):
        network.call(lambda: list(listeners(socket.IPPROTO_ICMP)))

"""The service behind a VIP and the client that asks it."""

from __future__ import annotations

import contextlib
import gc
import socket
import time

import pytest

from lab import LIMIT_SECONDS, Answer, Lab, LabError, wait_until
from lab.namespace import inside


def test_a_service_that_ends_closes_every_connection(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    service = n1.start_service()

    def connect() -> list[socket.socket]:
        return [socket.create_connection((n1.ipv4, 80)) for _ in range(5)]

    clients = inside(n1.namespace, connect)
    with contextlib.ExitStack() as stack:
        for client in clients:
            stack.enter_context(client)
            client.settimeout(LIMIT_SECONDS)
            client.send(b"GET / HTTP/1.1\r\n")  # and no more
        service.stop()
        for client in clients:
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(100) == b""
    # The rubbish of a test is blamed on another one: its warnings are errors.
    gc.collect()


def test_the_service_fails_in_every_way_and_comes_back(lab: Lab) -> None:
    n1, client = lab.add_node("n1"), lab.add_host("client")
    service = n1.start_service(port=8080)
    asking = client.start_client(f"http://{n1.ipv4}:8080/health", rate=50, timeout=0.2)

    def wait_error(text: str) -> None:
        wait_until(lambda: any(text in str(request.error) for request in asking.requests), text)

    first = asking.wait_answer(n1)
    service.answer(500)
    wait_error("status 500")
    service.refuse()
    wait_error("Connect call failed")
    service.hang()
    wait_error("no answer within 0.2 s")
    switched = time.time()
    service.answer(200)
    asking.wait_answer(n1, since=switched)
    asking.stop()
    answers = service.answers
    assert {answer.status for answer in answers} == {200, 500}
    assert isinstance(answers[0], Answer)
    assert answers[0].client == client.ipv4
    assert answers[0].time <= first.time + first.duration
    service.stop()
    assert n1.exec(["ss", "-Hltn"]).stdout == ""
    n1.start_service()
    with pytest.raises(LabError, match=r"The service of n1 cannot listen on port 80: .*in use"):
        n1.start_service()


def test_the_client_keeps_its_rate_whatever_becomes_of_the_answers(lab: Lab) -> None:
    n1, client = lab.add_node("n1"), lab.add_host("client")
    n1.start_service().hang()
    asking = client.start_client(f"http://{n1.ipv4}/", rate=20, timeout=2)
    asking.wait_requests(11)
    asking.stop()
    first, second = asking.requests[:2]
    assert second.time < first.time + first.duration
    assert asking.lost == asking.requests
    assert {request.answered_by for request in asking.requests} == {None}

"""Probes of real servers, the well-behaved and the odd: the verdict and the words for each."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import resource
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from app.checks import resolve
from app.checks.probe import BODY_LIMIT, ProbeResult, Probers
from app.contract.checker_config import parse
from lab.web_server import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from app.contract.checker_config import CheckTarget
    from lab.web_server import Certificates

LIMIT = 30.0
"""Seconds: far more than any answer here takes, so that a busy machine decides nothing."""

BRIEF = 0.2
"""Seconds for a probe that is meant to time out."""


def target(url: str, **more: Any) -> CheckTarget:
    check = {
        "name": "t",
        "up": "0",
        "down": "1",
        "interval": 1,
        "rise": 1,
        "fall": 1,
        "targets": [{"url": url, **more}],
    }
    return parse(json.dumps({"verdicts": "/nowhere", "checks": [check]})).checks[0].targets[0]


async def ask(url: str, limit: float = LIMIT, **more: Any) -> tuple[bool, str]:
    """One probe from scratch: ok and the reason."""
    answer, _details = await ask_all(url, limit, **more)
    return answer.ok, answer.reason


async def ask_all(url: str, limit: float = LIMIT, **more: Any) -> tuple[ProbeResult, str]:
    made = target(url, **more)
    probers = Probers([made])
    try:
        answer = await probers.make(made).probe(limit)
        return answer, await answer.finish()
    finally:
        await probers.close()


def text(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An HTTP/1.1 answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_200_is_ok_and_the_request_is_plain(server: Server) -> None:
    assert await ask(f"{server.url}health?x=1") == (True, "")
    (request,) = server.requests
    head, *lines = request.decode().lower().split("\r\n")
    assert head == "get /health?x=1 http/1.1"
    assert f"host: 127.0.0.1:{server.port}" in lines
    assert "connection: close" in lines
    assert "accept-encoding: identity" in lines


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("500 Oh No", "answered 500 Internal Server Error, not 200"),
        ("404 Not Found", "answered 404 Not Found, not 200"),
        ("299 Whatever", "answered 299, not 200"),
        ("301 Moved\r\nLocation: /", "answered 301 Moved Permanently, not 200"),
        ("204 No Content", "answered 204 No Content, not 200"),
    ],
)
async def test_another_status_is_a_failure(server: Server, status: str, reason: str) -> None:
    server.answer = text(status)
    assert await ask(server.url) == (False, reason)
    assert len(server.requests) == 1


async def test_the_wanted_status_can_be_ranges(server: Server) -> None:
    server.answer = text("404 Not Found")
    assert await ask(server.url, status=[[200, 299], [404, 404]]) == (True, "")
    assert await ask(server.url, status=[[200, 299], [301, 301]]) == (
        False,
        "answered 404 Not Found, not 200-299,301",
    )


async def test_details_are_the_first_line_of_a_bad_answer(server: Server) -> None:
    server.answer = text("500 Oh No", b"\n  database is \x1b[31m gone \n more\n" + b"x" * 100_000)
    answer, details = await ask_all(server.url)
    assert not answer.ok
    assert details == "database is \x1b[31m gone"


async def test_refused(server: Server) -> None:
    await server.stop()
    assert await ask(server.url) == (False, "connection refused")
    assert await ask(f"tcp://127.0.0.1:{server.port}") == (False, "connection refused")


async def test_reset(server: Server) -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        linger = bytes([1, 0, 0, 0, 0, 0, 0, 0])
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    server.answer = reset
    assert await ask(server.url) == (False, "connection reset")
    assert server.connections == 1


async def test_closed_without_an_answer_and_asked_only_once(server: Server) -> None:
    server.answer = b""
    assert await ask(server.url) == (False, "closed the connection without an answer")
    assert server.connections == 1


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_hang(server: Server) -> None:
    server.answer = hang
    answer, _details = await ask_all(server.url, BRIEF)
    assert (answer.ok, answer.reason, answer.timed_out) == (False, "no answer within 0.2 s", True)


def drip(first: bytes, then: bytes, pause: float = 0.005) -> Callable[..., Any]:
    """Sends `first`, and `then` for ever."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(then)
            await writer.drain()
            await asyncio.sleep(pause)

    return answer


async def test_slow_headers_do_not_stretch_the_timeout(server: Server) -> None:
    server.answer = drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", 0.05)
    assert await ask(server.url, BRIEF) == (False, "no answer within 0.2 s")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"Content-Length: 99999999999\r\n\r\n", id="long"),
        pytest.param(b"\r\n", id="until the connection closes"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n", id="chunked"),
    ],
)
async def test_an_endless_body_is_cut_off(server: Server, body: bytes) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    server.answer = drip(b"HTTP/1.1 200 OK\r\n" + body, chunk, 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert await ask(server.url) == (True, "")
    answer, _details = await ask_all(server.url, body="y")
    assert (answer.ok, answer.reason) == (False, "answered with a body that does not match")
    assert len(answer.body) <= BODY_LIMIT
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nok", (True, ""), id="http-1.0"),
        pytest.param(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", (True, ""), id="no phrase"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + text("200 OK"), (True, ""), id="100-continue"),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + text("503 No"),
            (False, "answered 503 Service Unavailable, not 200"),
            id="early hints, then a failure",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", (True, ""), id="body shorter than said"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nlonger",
            (False, "answered what is not HTTP"),
            id="body longer than said",
        ),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", (False, "answered what is not HTTP"), id="another protocol"),
        pytest.param(os.urandom(16) + b"\xff\n\n" * 99, (False, "answered what is not HTTP"), id="garbage"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", (False, "answered what is not HTTP"), id="status no number"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", (False, "answered what is not HTTP"), id="length no number"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
            (False, "answered with too large a header"),
            id="huge header",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
            (False, "answered with too large a header"),
            id="many headers",
        ),
    ],
)
async def test_odd_answers(server: Server, answer: bytes, verdict: tuple[bool, str]) -> None:
    server.answer = answer
    assert await ask(server.url) == verdict


async def test_a_body_that_breaks_off_does_not_match(server: Server) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nok"
    assert await ask(server.url, body="ok") == (False, "ended the body before its time")


async def test_a_gzip_bomb_is_not_unpacked(server: Server) -> None:
    bomb = gzip.compress(b"\0" * 200_000_000, 9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    server.answer = text("200 OK", bomb, "Content-Encoding: gzip")
    assert await ask(server.url) == (True, "")
    assert await ask(server.url, body="zero") == (False, "answered with a body that does not match")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


@pytest.mark.parametrize(
    ("pattern", "ok"),
    [("ready", True), ("^status: ready$", False), ("(?m)^status: rea", True), ("é", True), ("x{3}", False)],
)
async def test_body_match(server: Server, pattern: str, ok: bool) -> None:
    server.answer = text("200 OK", "héllo\nstatus: ready\n".encode())
    assert (await ask(server.url, body=pattern))[0] is ok


async def test_a_pattern_that_would_take_for_ever_is_given_up(server: Server) -> None:
    server.answer = text("200 OK", b"a" * 64)
    reason = "answered with a body that the regular expression needs more than 0.1 s for"
    assert await ask(server.url, body="(a+)+b") == (False, reason)
    assert await ask(server.url, body="(a+)+") == (True, "")


async def test_the_body_is_looked_at_for_64_kib(server: Server) -> None:
    server.answer = text("200 OK", b"x" * (BODY_LIMIT - 3) + b"end" + b"late")
    assert (await ask(server.url, body="end$"))[0]
    assert not (await ask(server.url, body="late"))[0]


async def test_redirects_are_followed_only_when_asked(server: Server) -> None:
    async def redirect(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = server.requests[-1].startswith(b"GET / ")
        writer.write(text("302 Found", b"", "Location: /there") if first else text("200 OK"))
        await writer.drain()

    server.answer = redirect
    assert (await ask(server.url))[0] is False
    assert await ask(server.url, follow=True) == (True, "")
    assert b"GET /there " in server.requests[-1]


async def test_another_server_gets_none_of_the_headers(server: Server) -> None:
    other = Server()
    await other.start()
    server.answer = text("307 Over", b"", f"Location: {other.url}there")
    url = server.url.replace("http://", "http://me:s3cr3t@")
    assert await ask(url, follow=True, headers={"X-Token": "s3cr3t", "Host": "www.example.org"}) == (True, "")
    assert b"X-Token: s3cr3t" in server.requests[0]
    request = other.requests[0].decode()
    assert request.startswith("GET /there ")
    assert f"Host: 127.0.0.1:{other.port}\r\n" in request
    assert "s3cr3t" not in request
    assert "Authorization" not in request
    await other.stop()


async def test_the_same_server_gets_them_again(server: Server, tmp_path: Path) -> None:
    async def redirect(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = server.requests[-1].startswith(b"GET / ")
        writer.write(text("301 Moved", b"", "Location: there?x=1") if first else text("200 OK"))
        await writer.drain()

    server.answer = redirect
    await server.stop()
    await server.start_unix(tmp_path / "s")
    url = f"http+unix://me:pw@{str(tmp_path / 's').replace('/', '%2F')}/"
    assert await ask(url, follow=True, headers={"X-Token": "t"}) == (True, "")
    assert server.requests[1].startswith(b"GET /there?x=1 ")
    assert all(b"X-Token: t" in request and b"Authorization: Basic" in request for request in server.requests)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("/", "redirected too often"),
        ("gopher://x/", "redirected to what is not an http or https URL"),
        ("http://[::1", "redirected to what is not an http or https URL"),
    ],
)
async def test_redirects_to_nowhere(server: Server, place: str, reason: str) -> None:
    server.answer = text("302 Found", b"", f"Location: {place}")
    assert await ask(server.url, follow=True) == (False, reason)
    assert len(server.requests) <= 6


async def test_credentials_go_to_the_server_only(server: Server) -> None:
    server.answer = text("500 No")
    url = server.url.replace("http://", "http://me:s3cr3t@")
    answer, details = await ask_all(url)
    assert b"Authorization: Basic bWU6czNjcjN0" in server.requests[0]
    assert "s3cr3t" not in f"{answer} {details} {target(url)}"


async def test_own_headers(server: Server) -> None:
    await ask(server.url, headers={"Host": "www.example.org", "X-Probe": "é", "user-agent": "mine"})
    lines = server.requests[0].decode().split("\r\n")
    assert "Host: www.example.org" in lines
    assert "X-Probe: é" in lines
    assert [line.lower() for line in lines if line.lower().startswith("user-agent")] == ["user-agent: mine"]


async def test_the_environment_names_no_proxy_here(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    assert await ask(server.url) == (True, "")


async def test_unix_socket(server: Server, tmp_path: Path) -> None:
    url = f"http+unix://{str(tmp_path / 'app.sock').replace('/', '%2F')}/health"
    assert await ask(url) == (False, "no such socket")
    await server.stop()
    await server.start_unix(tmp_path / "app.sock")
    assert await ask(url) == (True, "")
    assert server.requests[0].startswith(b"GET /health ")


async def test_tcp_connects_and_says_nothing(server: Server) -> None:
    assert await ask(f"tcp://127.0.0.1:{server.port}") == (True, "")
    assert await ask(f"tcp://localhost:{server.port}") == (True, "")
    assert server.requests == []


async def test_tcp_that_nobody_accepts() -> None:
    # A full backlog drops the handshake: what a hanging host looks like.
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        assert await ask(f"tcp://127.0.0.1:{port}", BRIEF) == (False, "no connection within 0.2 s")
        assert await ask(f"http://127.0.0.1:{port}/", BRIEF) == (False, "no answer within 0.2 s")


async def test_a_name_without_address() -> None:
    for url in ("http://nowhere.invalid/", "tcp://nowhere.invalid:80"):
        ok, reason = await ask(url)
        assert not ok
        assert reason in ("the host name has no address", "the name server does not answer")


async def test_a_hanging_name_server_costs_one_thread_and_no_time(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = asyncio.Event()
    loop = asyncio.get_running_loop()
    calls = []

    def lookup(host: str) -> Any:
        calls.append(host)
        asyncio.run_coroutine_threadsafe(answered.wait(), loop).result()
        return socket.getaddrinfo("127.0.0.1", 0, type=socket.SOCK_STREAM)

    monkeypatch.setattr(resolve, "_addresses", lookup)
    made = target(f"http://app.example:{server.port}/")
    probers = Probers([made])
    prober = probers.make(made)
    for _round in range(3):
        assert (await prober.probe(0.05)).reason == "no answer within 0.05 s"
    assert calls == ["app.example"]
    answered.set()
    answer = await prober.probe(LIMIT)
    await answer.finish()
    assert answer.ok
    await probers.close()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_names_and_addresses(server: Server, name: str) -> None:
    assert await ask(server.url.replace("127.0.0.1", name)) == (True, "")


def tls(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def start_tls(server: Server, certificate: Path, key: Path) -> str:
    await server.stop()
    await server.start(tls(certificate, key))
    return server.url.replace("http:", "https:")


async def test_tls(server: Server, certificates: Certificates) -> None:
    url = await start_tls(server, certificates.good, certificates.key)
    ca = str(certificates.ca)
    assert await ask(url, ca_file=ca) == (True, "")
    assert await ask(url, insecure=True) == (True, "")
    assert await ask(url) == (False, "TLS: unable to get local issuer certificate")
    # The Host header says which name the certificate has to carry.
    assert await ask(url, ca_file=ca, headers={"Host": "app.example"}) == (True, "")
    ok, reason = await ask(url, ca_file=ca, headers={"Host": "other.example"})
    assert not ok
    assert reason.startswith("TLS: Hostname mismatch")


async def test_tls_expired(server: Server, certificates: Certificates) -> None:
    url = await start_tls(server, certificates.expired, certificates.key)
    assert await ask(url, ca_file=str(certificates.ca)) == (False, "TLS: certificate has expired")


async def test_tls_with_a_server_that_has_none(server: Server) -> None:
    server.answer = text("400 Bad Request")
    ok, reason = await ask(server.url.replace("http:", "https:"), BRIEF, insecure=True)
    assert not ok
    assert reason.startswith(("TLS: ", "no answer within"))

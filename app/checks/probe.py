"""One probe of one target: connect, ask, judge."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import aiohttp
from yarl import URL

from app import __version__
from app.checks import reason
from app.checks.instant.hold import Holds
from app.checks.instant.kept import KeepingResponse, KeptConnection, keeps
from app.checks.resolve import SharedResolver
from app.contract.errors import ConfigError, Problem
from app.contract.pattern import TIME_LIMIT_SECONDS, SlowPatternError, compile_pattern, search

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

    from app.checks.instant.hold import Asked, TargetHold
    from app.contract.checker_config import CheckTarget

BODY_LIMIT = 64 * 1024
"""Bytes of a body that are looked at; no more is kept, however long it goes on."""

HEADER_LIMIT = 16 * 1024
"""Bytes of one header line."""

REDIRECT_LIMIT = 5
REDIRECTS = (301, 302, 303, 307, 308)

FAREWELL_SECONDS = 0.1
"""Seconds that the rest of a body may take after the verdict, so that the server sees a proper end."""


_KEEP = {"Connection": "keep-alive"}
_OWN_HEADERS = {"User-Agent": f"docker-keepalived/{__version__}", "Accept-Encoding": "identity"}


@dataclass(slots=True)
class ProbeResult:
    """What a probe found: ok, or the reason why not. Whoever has one must call `finish` once."""

    ok: bool
    reason: str = ""
    timed_out: bool = False
    response: aiohttp.ClientResponse | None = None
    body: bytes = b""
    kept: KeptConnection | None = None

    async def finish(self) -> str:
        """Ends the exchange, which may take FAREWELL_SECONDS, and gives the first line of a bad answer's body."""
        try:
            return await self._finish()
        finally:
            if self.kept is not None:
                self.kept.hand_over(ok=self.ok)

    async def _finish(self) -> str:
        response, self.response = self.response, None
        if response is None:
            return ""
        if not response.content.is_eof() or not self.ok:
            try:
                async with asyncio.timeout(FAREWELL_SECONDS):
                    self.body = await _read(response)
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
        response.close()
        return "" if self.ok else reason.first_line(self.body)


class Prober(Protocol):
    """What can be asked for an answer again and again; one per target."""

    async def probe(self, limit: float) -> ProbeResult:
        """One probe of at most `limit` seconds, name lookup and TLS included. Failures are answers, not exceptions."""


class Probers:
    """Makes the probers of a set of targets, and holds what they share. Use within a running loop."""

    def __init__(self, targets: Sequence[CheckTarget]) -> None:
        names = {target.address.host for target in targets if not _is_literal(target.address.host)}
        self._resolver = SharedResolver(len(names))
        self._sessions: dict[str | None, aiohttp.ClientSession] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._holds = Holds()

    def make(self, target: CheckTarget) -> Prober:
        """Raises ConfigError when the target's CA file cannot be used."""
        if target.address.scheme == "tcp":
            return _TcpProber(target, self._resolver)
        return _HttpProber(target, self._session(target.address.socket), self._tls(target))

    def hold(self, prober: Prober, watch: Asked) -> None:
        """From now on `watch` is told when the connection of the prober's last good answer is closed."""
        if isinstance(prober, _HttpProber):
            prober.hold_for(watch, self._holds)

    def addresses(self, host: str) -> Sequence[str]:
        """What a target's host is now: itself, or what the last look-up of the name gave."""
        return (host,) if _is_literal(host) else self._resolver.known.get(host, ())

    async def close(self) -> None:
        """Ends every connection."""
        self._holds.close()
        for session in self._sessions.values():
            await session.close()
        await self._resolver.close()

    def _session(self, path: str | None) -> aiohttp.ClientSession:
        if path not in self._sessions:
            # A new connection for every probe: only that notices a listener that is gone while old connections live.
            connector: aiohttp.BaseConnector
            if path is None:
                connector = aiohttp.TCPConnector(
                    resolver=self._resolver, use_dns_cache=False, force_close=True, limit=0
                )
            else:
                connector = aiohttp.UnixConnector(path, force_close=True, limit=0)
            self._sessions[path] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                trust_env=False,
                auto_decompress=False,
                read_bufsize=BODY_LIMIT // 2,
                max_line_size=HEADER_LIMIT,
                max_field_size=HEADER_LIMIT,
                middlewares=(_once,),
                response_class=KeepingResponse,
            )
        return self._sessions[path]

    def _tls(self, target: CheckTarget) -> ssl.SSLContext | bool:
        """What aiohttp takes as `ssl`: its own default context, none to verify with, or one for the CA file."""
        if target.insecure:
            return False
        if target.ca_file is None:
            return True
        if target.ca_file not in self._contexts:
            # Not at the top: without an https target the module is never loaded, which saves 3.5 MiB and 65 ms.
            import ssl  # noqa: PLC0415

            try:
                context = ssl.create_default_context(cafile=target.ca_file)
                # From Python 3.13 on the default refuses what most home-made authorities lack (RFC 5280's key usage).
                context.verify_flags &= ~ssl.VERIFY_X509_STRICT
                self._contexts[target.ca_file] = context
            except OSError as error:
                why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
                raise ConfigError(Problem(target.ca_file, f"cannot be used as CA file: {why}")) from None
        return self._contexts[target.ca_file]


class _Failed(aiohttp.ClientError):
    """An exchange that broke off."""


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from asking a second time by itself: a probe is one request, and its failure is a result."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Failed(reason.for_error(error)) from None


class _HttpProber:
    __slots__ = ("_body", "_headers", "_hold", "_keeping", "_name", "_session", "_target", "_tls", "_url")

    def __init__(self, target: CheckTarget, session: aiohttp.ClientSession, tls: ssl.SSLContext | bool) -> None:
        headers = {**_OWN_HEADERS, **dict(target.headers)}
        address = target.address
        if address.authorization:
            headers["Authorization"] = address.authorization
        host = next((value for name, value in target.headers if name.lower() == "host"), None)
        self._target = target
        self._body = None if target.body is None else compile_pattern(target.body)
        self._session = session
        self._tls = tls
        self._headers = headers
        self._keeping = headers | _KEEP
        self._hold: TargetHold | None = None
        # The certificate has to fit the name that is asked for, not the address that is connected to.
        self._name = URL(f"https://{host}").host if host and address.scheme == "https" else None
        self._url = URL(address.url)

    def hold_for(self, watch: Asked, holds: Holds) -> None:
        """Has the connections of good answers held on behalf of `watch`."""
        # A redirect may lead to another server, and who names the header has a reason.
        if not self._target.follow and not any(name.lower() == "connection" for name in self._headers):
            address = self._target.address
            self._hold = holds.of((*address.origin, address.socket)).join(watch)

    async def probe(self, limit: float) -> ProbeResult:
        hold = self._hold
        if hold is None or not hold.begin(limit):
            return await self._probe(limit, self._headers, None)
        answer = await self._probe(limit, self._keeping, hold)
        if answer.kept is None:
            hold.end(None, ok=False)
        return answer

    async def _probe(self, limit: float, headers: Mapping[str, str], hold: TargetHold | None) -> ProbeResult:
        try:
            async with asyncio.timeout(limit):
                keeps.set(hold is not None)
                response = await self._ask(headers)
                answer = await self._judge(response)
                if hold is not None and isinstance(response, KeepingResponse):
                    answer.kept = KeptConnection(hold, response)
                return answer
        except TimeoutError:
            return ProbeResult(ok=False, reason=reason.for_timeout(limit), timed_out=True)
        except _Failed as error:
            return ProbeResult(ok=False, reason=str(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return ProbeResult(ok=False, reason=reason.for_error(error))

    async def _ask(self, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        response = await self._get(self._url, headers, self._name)
        redirects = REDIRECT_LIMIT if self._target.follow else 0
        while self._target.follow and response.status in REDIRECTS and "Location" in response.headers:
            response.close()
            if not redirects:
                raise _Failed("redirected too often")
            redirects -= 1
            response = await self._follow(response)
        return response

    async def _follow(self, redirect: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
        """aiohttp would do it too, but give every server the operator's headers, and they may hold a token."""
        try:
            url = redirect.url.join(URL(redirect.headers["Location"]))
        except ValueError:
            url = URL()
        if url.scheme not in ("http", "https") or not url.host:
            raise _Failed("redirected to what is not an http or https URL")
        if url.origin() == self._url.origin():
            return await self._get(url, self._headers, self._name)
        return await self._get(url, _OWN_HEADERS, None)

    async def _get(self, url: URL, headers: Mapping[str, str], name: str | None) -> aiohttp.ClientResponse:
        return await self._session.get(url, headers=headers, allow_redirects=False, ssl=self._tls, server_hostname=name)

    async def _judge(self, response: aiohttp.ClientResponse) -> ProbeResult:
        if not self._target.accepts(response.status):
            words = reason.for_status(response.status, self._target.wanted)
            return ProbeResult(ok=False, reason=words, response=response)
        if self._body is None:
            return ProbeResult(ok=True, response=response)
        try:
            body = await _read(response)
        finally:
            response.close()
        try:
            is_found = search(self._body, body.decode("utf-8", "replace"))
        except SlowPatternError:
            words = f"answered with a body that the regular expression needs more than {TIME_LIMIT_SECONDS:g} s for"
            return ProbeResult(ok=False, reason=words, body=body)
        if is_found:
            return ProbeResult(ok=True)
        return ProbeResult(ok=False, reason="answered with a body that does not match", body=body)


class _TcpProber:
    __slots__ = ("_address", "_resolver")

    def __init__(self, target: CheckTarget, resolver: SharedResolver) -> None:
        self._address = target.address
        self._resolver = resolver

    async def probe(self, limit: float) -> ProbeResult:
        try:
            async with asyncio.timeout(limit):
                await self._connect()
        except TimeoutError:
            return ProbeResult(ok=False, reason=f"no connection within {limit:g} s", timed_out=True)
        except OSError as error:
            return ProbeResult(ok=False, reason=reason.for_error(error))
        return ProbeResult(ok=True)

    async def _connect(self) -> None:
        """Connects to the first address that takes it. Raises the last one's OSError."""
        loop = asyncio.get_running_loop()
        places = await self._resolver.resolve(self._address.host, self._address.port)
        for left, place in zip(range(len(places) - 1, -1, -1), places, strict=True):
            with socket.socket(place["family"], socket.SOCK_STREAM) as connection:
                connection.setblocking(False)
                try:
                    await loop.sock_connect(connection, (place["host"], place["port"]))
                except OSError:
                    if not left:
                        raise
                else:
                    return


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, or the first BODY_LIMIT bytes of it. Raises aiohttp.ClientPayloadError when it broke off."""
    body = bytearray()
    while len(body) < BODY_LIMIT:
        chunk = await response.content.read(BODY_LIMIT - len(body))
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True

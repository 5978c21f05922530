"""Why a probe failed, in a few words for the log: never a class name, never credentials."""

from __future__ import annotations

import errno
import os
import socket
from http import HTTPStatus

import aiohttp

BODY_LINE_LIMIT = 120
"""Characters of an answer's body that a log line may quote."""

_BY_ERRNO = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "network unreachable",
    errno.ENOENT: "no such socket",
    errno.EACCES: "permission denied",
    errno.EMFILE: "too many open files",
}

_BY_TYPE = (
    (aiohttp.ServerDisconnectedError, "closed the connection without an answer"),
    ((aiohttp.RedirectClientError, aiohttp.InvalidURL), "redirected to what is not an http or https URL"),
    (aiohttp.ClientPayloadError, "ended the body before its time"),
)


def for_status(status: int, wanted: str) -> str:
    """An answer with the wrong status code."""
    return f"answered {_named(status)}, not {wanted}"


def for_timeout(seconds: float) -> str:
    """No answer in time."""
    return f"no answer within {seconds:g} s"


def for_error(error: Exception) -> str:
    """What aiohttp, asyncio and the socket layer raise when a probe fails."""
    if isinstance(error, OSError):
        return _for_connection(error)
    for kind, words in _BY_TYPE:
        if isinstance(error, kind):
            return words
    if isinstance(error, aiohttp.ClientResponseError):
        return _for_garbage(error.message)
    return "answered what is not HTTP"


def first_line(body: bytes) -> str:
    """The first line of a body that has text in it, cut short, for a person; empty when there is none."""
    for raw in body[:4096].splitlines():
        line = raw.decode("utf-8", "replace").strip()
        if line:
            return line if len(line) <= BODY_LINE_LIMIT else f"{line[: BODY_LINE_LIMIT - 1]}…"
    return ""


def _named(status: int) -> str:
    """Not the server's own phrase: it may be anything."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _for_lookup(error: OSError) -> str:
    if error.errno == socket.EAI_AGAIN:
        return "the name server does not answer"
    if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
        return "the host name has no address"
    return f"the host name cannot be resolved: {error.strerror or 'no reason given'}"


def _for_connection(error: OSError) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError(os_error=cause):
            return _for_lookup(cause)
        case socket.gaierror():
            return _for_lookup(error)
        case aiohttp.ClientConnectorCertificateError(certificate_error=problem):
            return f"TLS: {getattr(problem, 'verify_message', None) or 'the certificate is not valid'}"
        case aiohttp.ClientConnectorError(os_error=cause) if _tls_words(cause):
            return f"TLS: {_tls_words(cause)}"
    # Several addresses that failed differently come as one error that holds the first errno, or none.
    if error.errno is None:
        return "cannot connect"
    return _BY_ERRNO.get(error.errno) or os.strerror(error.errno).lower()


def _tls_words(cause: OSError) -> str:
    """OpenSSL's reason, such as `wrong version number`; empty for what is no TLS error."""
    words = getattr(cause, "reason", None)
    return words.replace("_", " ").lower() if isinstance(words, str) else ""


def _for_garbage(message: str) -> str:
    # aiohttp's own words: "Got more than 8190 bytes …", "Too many headers …".
    if "more than" in message or "Too many" in message:
        return "answered with too large a header"
    return "answered what is not HTTP"

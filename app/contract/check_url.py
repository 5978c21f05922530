"""Where a probe goes: the parts of a target's URL, the credentials kept apart from everything that may be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote, urlsplit

from app.contract.basic_auth import authorization_of

DEFAULT_PORTS = {"http": 80, "https": 443}
SCHEMES = ("http", "https", "http+unix", "tcp")

LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path (unix(7), sun_path)."""

# What of a path and query is sent as it is (RFC 3986 §3.3); all else, which is not ASCII, is sent as its %-form.
_AS_IT_IS = "/?:@!$&'()*+,;=%-._~[]"

# What may not stand in a URL as it is: controls, white space, what is no UTF-8, what RFC 3986 gives no place to.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff\s\"<>\\^`{|}]")


class CheckUrlError(ValueError):
    """What is wrong with a URL, without the URL: it may hold credentials."""


@dataclass(frozen=True, slots=True)
class CheckUrl:
    """One target's URL taken apart.

    `host` is in ASCII; `authority` is the header Host, `path` what follows GET; `label` is what people see, with `***`
    where credentials or values of a query were; `socket` is the path of a Unix socket; `authorization` the value of
    the header of that name.
    """

    scheme: str
    host: str
    port: int
    label: str
    authority: str = ""
    path: str = field(default="/", repr=False)
    socket: str | None = None
    authorization: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """What is requested, without credentials."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """What is one server to those who may trust it (RFC 6454)."""
        return self.scheme, self.host, self.port


def parse_check_url(text: str) -> CheckUrl:
    """Takes `http://`, `https://`, `tcp://HOST:PORT` and `http+unix://%2Fpath%2Fof.sock/path` apart.

    Raises CheckUrlError.
    """
    if _FORBIDDEN.search(text):
        raise CheckUrlError("has a character that cannot stand in a URL")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise CheckUrlError(f"is not a URL: {_without_input(error)}") from None
    if parts.scheme not in SCHEMES:
        raise CheckUrlError(f"must start with {', '.join(f'{scheme}://' for scheme in SCHEMES)}")
    if parts.scheme == "http+unix":
        return _unix(parts)
    if not parts.hostname:
        raise CheckUrlError("names no host")
    if port == 0:
        raise CheckUrlError("has port 0; it must be 1–65535")
    host = _ascii(parts.hostname).replace("%25", "%")
    # A zone is of this machine; the server has no use for it (RFC 6874 §4).
    shown = f"[{host.partition('%')[0]}]" if ":" in host else host
    authority = shown if port is None else f"{shown}:{port}"
    if parts.scheme == "tcp":
        return _tcp(parts, host, port, authority)
    return CheckUrl(
        scheme=parts.scheme,
        host=host,
        port=port or DEFAULT_PORTS[parts.scheme],
        label=masked_url(text),
        authority=authority,
        path=_path(parts),
        authorization=authorization_of(parts),
    )


def masked_url(text: str) -> str:
    """A URL as people may see it: no credentials, no values of its query, for those may be tokens; no fragment."""
    shown = re.sub(r"//[^/?#]*@", "//***@", text.partition("#")[0])
    place, mark, query = shown.partition("?")
    return place + mark + re.sub(r"[^&]+", _without_value, query)


def _without_value(pair: re.Match[str]) -> str:
    name, equals, _value = pair[0].partition("=")
    return f"{name}=***" if equals else "***"


def _tcp(parts: SplitResult, host: str, port: int | None, authority: str) -> CheckUrl:
    if port is None:
        raise CheckUrlError("names no port; it must be tcp://HOST:PORT")
    if "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise CheckUrlError("has more than tcp://HOST:PORT")
    return CheckUrl(scheme="tcp", host=host, port=port, label=f"tcp://{parts.netloc}", authority=authority, path="")


def _unix(parts: SplitResult) -> CheckUrl:
    path = unquote(parts.netloc.rpartition("@")[2])
    if not path.startswith("/") or "\0" in path:
        raise CheckUrlError("names no socket; it must be http+unix://%2Fpath%2Fof.sock/path")
    if len(path.encode()) > LONGEST_SOCKET:
        raise CheckUrlError(f"names a socket with a path too long; it must be at most {LONGEST_SOCKET} bytes")
    return CheckUrl(
        scheme="http",
        host="localhost",
        port=DEFAULT_PORTS["http"],
        label=masked_url(parts.geturl()),
        authority="localhost",
        path=_path(parts),
        socket=path,
        authorization=authorization_of(parts),
    )


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        raise CheckUrlError("is not a URL: its host cannot be read") from None


def _path(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe=_AS_IT_IS)
    return f"{path}?{quote(parts.query, safe=_AS_IT_IS)}" if parts.query else path


def _without_input(error: ValueError) -> str:
    """urllib's own sentences, but none that quotes a part of the URL."""
    text = str(error)
    return "its port is no number from 0 to 65535" if "ort" in text else "its host cannot be read"

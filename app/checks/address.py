"""Where a probe goes: the parts of a target's URL, the credentials kept apart from everything that may be shown."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
SCHEMES = ("http", "https", "http+unix", "tcp")

# What may not stand in a URL as it is: controls, white space and what RFC 3986 gives no place to.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\s\"<>\\^`{|}]")


class AddressError(ValueError):
    """What is wrong with a URL, without the URL: it may hold credentials."""


@dataclass(frozen=True, slots=True)
class Address:
    """One target's URL taken apart.

    `url` is what is requested, without credentials; `label` is what people see, with `***` where credentials were;
    `socket` is the path of a Unix socket; `authorization` the value of the header of that name.
    """

    scheme: str
    host: str
    port: int
    url: str
    label: str
    socket: str | None = None
    authorization: str | None = field(default=None, repr=False)


def parse(text: str) -> Address:
    """Takes `http://`, `https://`, `tcp://HOST:PORT` and `http+unix://%2Fpath%2Fof.sock/path` apart.

    Raises AddressError.
    """
    if _FORBIDDEN.search(text):
        raise AddressError("has a character that cannot stand in a URL")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise AddressError(f"is not a URL: {_without_input(error)}") from None
    if parts.scheme not in SCHEMES:
        raise AddressError(f"must start with {', '.join(f'{scheme}://' for scheme in SCHEMES)}")
    if parts.scheme == "http+unix":
        return _unix(parts)
    host = parts.hostname
    if not host:
        raise AddressError("names no host")
    if port == 0:
        raise AddressError("has port 0; it must be 1–65535")
    place = parts.netloc.rpartition("@")[2]
    if parts.scheme == "tcp":
        return _tcp(parts, host, port, place)
    return Address(
        scheme=parts.scheme,
        host=host,
        port=port or DEFAULT_PORTS[parts.scheme],
        url=parts._replace(netloc=place, path=parts.path or "/", fragment="").geturl(),
        label=_label(parts, place),
        authorization=_authorization(parts),
    )


def _tcp(parts: SplitResult, host: str, port: int | None, place: str) -> Address:
    if port is None:
        raise AddressError("names no port; it must be tcp://HOST:PORT")
    if "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise AddressError("has more than tcp://HOST:PORT")
    url = f"tcp://{place}"
    return Address(scheme="tcp", host=host, port=port, url=url, label=url)


def _unix(parts: SplitResult) -> Address:
    place = parts.netloc.rpartition("@")[2]
    path = unquote(place)
    if not path.startswith("/") or "\0" in path:
        raise AddressError("names no socket; it must be http+unix://%2Fpath%2Fof.sock/path")
    return Address(
        scheme="http",
        host="localhost",
        port=DEFAULT_PORTS["http"],
        url=parts._replace(scheme="http", netloc="localhost", path=parts.path or "/", fragment="").geturl(),
        label=_label(parts, place),
        socket=path,
        authorization=_authorization(parts),
    )


def _label(parts: SplitResult, place: str) -> str:
    shown = f"***@{place}" if "@" in parts.netloc else place
    return parts._replace(netloc=shown, path=parts.path or "/", fragment="").geturl()


def _authorization(parts: SplitResult) -> str | None:
    if "@" not in parts.netloc:
        return None
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _without_input(error: ValueError) -> str:
    """urllib's own sentences, but none that quotes a part of the URL."""
    text = str(error)
    return "its port is no number from 0 to 65535" if "ort" in text else "its host cannot be read"

"""A server that the log is forwarded to."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

FORM = "udp://, tcp://, tls:// or relp://HOST:PORT"

#: What a target's scheme means: whether it is TLS, and whether the server says that it has a message.
SCHEMES = ("udp", "tcp", "tls", "relp")

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})")


@dataclass(frozen=True)
class LogServer:
    """``host`` is a name or an address, without brackets."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted and the server must prove its name."""
        return self.scheme == "tls"

    @property
    def is_relp(self) -> bool:
        """Whether the server acknowledges each message."""
        return self.scheme == "relp"

    @property
    def has_spool(self) -> bool:
        """Whether messages wait for it: nobody can tell whether a UDP target is there."""
        return self.scheme != "udp"

    @property
    def queue(self) -> str:
        """The name of its queue files: the same after a restart, whatever other targets there are."""
        return f"forward-{hashlib.sha256(str(self).encode()).hexdigest()[:12]}"


def parse_log_server(text: str) -> LogServer:
    """``SCHEME://HOST:PORT``; raises ValueError."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:  # a port out of range, a bracket that is never closed
        raise ValueError from None
    if (
        parts.scheme not in SCHEMES
        or not host
        or not port
        or parts.netloc.count("@")
        or text != _plain(parts.scheme, text)
    ):
        raise ValueError
    if ":" in host:
        ipaddress.IPv6Address(host)  # AddressValueError is a ValueError, with words that are no form
    elif not _HOST.fullmatch(host):
        raise ValueError
    return LogServer(parts.scheme, host, port)


def _plain(scheme: str, text: str) -> str:
    """``text`` up to the end of its port: nothing may follow."""
    found = re.match(rf"{scheme}://(?:\[[0-9A-Fa-f:.]+\]|[^/?#\[\]:]+):[0-9]+", text)
    return found[0] if found else ""

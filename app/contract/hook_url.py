"""Where transitions are posted to: the parts of KA_NOTIFY_URL, and the one that may be shown."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urlsplit

from app.contract.basic_auth import authorization_of


class HookUrl(NamedTuple):
    """An URL taken apart. `label` is all of it that may be logged: the rest may be a token."""

    is_tls: bool
    host: str
    port: int | None
    path: str
    headers: dict[str, str]
    label: str


def hook_url(url: str) -> HookUrl:
    """`url` must be http:// or https://, with a host."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    headers = {"Content-Type": "application/json", "User-Agent": "docker-keepalived", "Connection": "close"}
    if authorization := authorization_of(parts):
        headers["Authorization"] = authorization
    path = quote(parts.path or "/", safe="%/:=&~+!$,;'@()*[]") + (f"?{_quoted(parts.query)}" if parts.query else "")
    place = parts.netloc.rpartition("@")[2]
    return HookUrl(parts.scheme == "https", host, parts.port, path, headers, f"{parts.scheme}://{place}/********")


def _quoted(query: str) -> str:
    return quote(query, safe="%/?:=&~+!$,;'@()*[]")

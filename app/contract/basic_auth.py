"""Credentials in a URL as the header Authorization (RFC 7617)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from urllib.parse import SplitResult


def authorization_of(parts: SplitResult) -> str | None:
    """The value of the header; None for a URL without credentials."""
    if "@" not in parts.netloc:
        return None
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()

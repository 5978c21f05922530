"""Keeps secrets out of the log, whoever prints them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from app.contract.log_config import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A secret shorter than this is masked as a word of its own only: "a" in every word would leave nothing to read.
_SHORT = 4

_PASSWORD_IN_URL = re.compile(r"(//[^/@:\s]*):[^/@\s]+@")


class Masking:
    """Replaces some secrets, and the password of any URL, in texts."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first: one secret may be the beginning of another.
        known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        words = (rf"(?<!\w){re.escape(s)}(?!\w)" if len(s) < _SHORT else re.escape(s) for s in known)
        self._secrets = re.compile("|".join(words)) if known else None

    def __call__(self, text: str) -> str:
        """``text`` without secrets."""
        if "//" in text:
            text = _PASSWORD_IN_URL.sub(rf"\1:{MASK}@", text)
        return self._secrets.sub(MASK, text) if self._secrets else text

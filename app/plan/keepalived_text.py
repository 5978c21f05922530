"""The blocks of keepalived.conf text, seen without keepalived."""

from __future__ import annotations

import re
from itertools import accumulate


def bare_lines(text: str) -> list[str]:
    """The lines without comments, and without quotations that have their end."""
    return [re.sub(r"[#!].*", "", re.sub(r'"[^"]*"', "", line)) for line in text.splitlines()]


def block_depths(text: str) -> list[int]:
    """How many blocks are open at the start and after each line; negative when more were closed than opened."""
    return list(accumulate((line.count("{") - line.count("}") for line in bare_lines(text)), initial=0))

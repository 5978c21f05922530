"""The blocks of keepalived.conf text, seen without keepalived."""

from __future__ import annotations

import re
from itertools import accumulate

#: Blocks of keepalived's other processes, which are not run here (supervisord.conf: --vrrp).
_OTHERS = re.compile(r"\s*(virtual_server_group|virtual_server|bfd_instance|SSL)\b")


def bare_lines(text: str) -> list[str]:
    """The lines without comments, and without quotations that have their end."""
    return [re.sub(r"[#!].*", "", re.sub(r'"[^"]*"', "", line)) for line in text.splitlines()]


def block_depths(text: str) -> list[int]:
    """How many blocks are open at the start and after each line; negative when more were closed than opened."""
    return list(accumulate((line.count("{") - line.count("}") for line in bare_lines(text)), initial=0))


def blocks_of_others(text: str) -> list[str]:
    """The blocks in it that only an IPVS checker or BFD would run; keepalived reads past them without a word."""
    outermost = (line for line, depth in zip(bare_lines(text), block_depths(text), strict=False) if depth == 0)
    return list(dict.fromkeys(found[1] for line in outermost if (found := _OTHERS.match(line))))

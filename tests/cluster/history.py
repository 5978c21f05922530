"""What happened to the VIP of a cluster, from what each node's kernel and client wrote down. Pure.

Times are of the nodes' own clocks, so a figure is as good as these agree.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: A line of `ip -ts -oneline monitor address`, in UTC: when, whether it went, what.
_CHANGE = re.compile(r"\[(?P<at>[0-9T:.-]+)\] (?P<gone>Deleted )?\d+: \S+ +inet6? (?P<address>[0-9a-f.:]+)/")


class Span(NamedTuple):
    """How long ``holders`` had the VIP."""

    start: float
    seconds: float
    holders: frozenset[str]


class Story(NamedTuple):
    """The figures of a stretch of time: the longest, in seconds; requests of all clients, and why some failed."""

    nobody: float
    two: float
    requests: int
    failed: int
    longest_wait: float
    reasons: str

    def __str__(self) -> str:
        held = f"nobody {self.nobody * 1000:.0f} ms, two {self.two * 1000:.0f} ms"
        failed = f"{self.failed} of {self.requests} requests failed" + (f" ({self.reasons})" if self.reasons else "")
        return f"{held}; {failed}, at most {self.longest_wait:.2f} s between answers"


def spans(changes: Mapping[str, str], vip: str, start: float, end: float) -> list[Span]:
    """Who held the VIP from ``start`` to ``end``; ``changes``: the lines of each node's kernel since its beginning."""
    events = sorted(
        (datetime.fromisoformat(f"{found['at']}+00:00").timestamp(), node, not found["gone"])
        for node, text in changes.items()
        for found in _CHANGE.finditer(text)
        if found["address"] == vip
    )
    told: list[Span] = []
    holders: set[str] = set()
    since = start
    for at, node, came in [*events, (end, "", True)]:
        if came == (node in holders):
            continue  # an address whose lifetime is renewed comes again
        moment = min(max(at, start), end)
        if moment > since:
            told.append(Span(since, moment - since, frozenset(holders)))
            since = moment
        (holders.add if came else holders.discard)(node)
    return told


def last_request(client: str) -> float:
    """When the last request was sent that the client has printed; 0 before the first."""
    return max((float(line.split()[0]) for line in client.splitlines() if len(line.split()) == 3), default=0.0)


def story(changes: Mapping[str, str], clients: Iterable[str], vip: str, start: float, end: float) -> Story:
    """The figures from ``start`` to ``end`` (seconds since the epoch); ``clients``: what each of them printed."""
    held = spans(changes, vip, start, end)
    requests = 0
    reasons: Counter[str] = Counter()
    longest = 0.0
    for text in clients:
        asked = [line.split() for line in text.splitlines()]
        asked = [words for words in asked if len(words) == 3 and start <= float(words[0]) <= end]
        answers = sorted(float(words[1]) for words in asked if not words[2].startswith("-"))
        requests += len(asked)
        reasons.update(words[2][1:] for words in asked if words[2].startswith("-"))
        edges = [start, *answers, end]
        longest = max([longest, *(after - before for before, after in pairwise(edges))])
    return Story(
        nobody=max((span.seconds for span in held if not span.holders), default=0.0),
        two=max((span.seconds for span in held if len(span.holders) > 1), default=0.0),
        requests=requests,
        failed=reasons.total(),
        longest_wait=longest,
        reasons=", ".join(f"{count} {reason}" for reason, count in reasons.most_common()),
    )

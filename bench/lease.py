"""Nodes that are stopped without being asked: how long two hold the VIP, with the lease and without it.

`python -m bench.lease [TIMES]` prints the tables of docs/decisions/0008-lease.md; the host's network stays as it is in
each case, as with `network_mode: host`.
"""

from __future__ import annotations

import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import Lab, wait_until
from lab.holding import longest_without, seconds_of_two
from lab.pair import make_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lab import Node
    from lab.pair import Pair

MS = 1000.0

#: How long it is watched after the peer has taken over: a node that is never thawed holds the VIP for ever.
AFTER_SECONDS = 1.5

#: Between a take-over and the next stop.
SETTLE_SECONDS = 1.0

#: How long a node is paused.
PAUSE_SECONDS = 10.0


@dataclass(frozen=True)
class Stop:
    """What one stop cost, in milliseconds: two holders, nobody, and from the last advert until the peer had it.

    ``is_over``: whether the VIP had left the stopped node by itself.
    """

    two: float
    nobody: float
    taken: float
    is_over: bool


def kill(node: Node) -> None:
    """All of it at once, with SIGKILL; what an engine does to containers is measured by bench.stops."""
    node.kill()


def freeze(node: Node) -> None:
    """All of it, with SIGSTOP."""
    node.freeze()


def once(pair: Pair, vips: tuple[str, ...], stop: Callable[[Node], None], back: Callable[[Node], None] | None) -> Stop:
    """Stops the master in some way, and has it back afterwards."""
    lab, n1, n2 = pair.lab, pair.n1, pair.n2
    adverts = lab.sniff()
    try:
        adverts.wait_advert(n1)
        asked = time.time()
        stop(n1)
        stopped = time.time()
        taken = max(lab.wait_holder(vip, n2, since=asked).time for vip in vips)
        last = max(advert.time for advert in adverts.adverts if advert.node == n1.name and advert.time <= stopped)
    finally:
        adverts.stop()
    if back:
        time.sleep(max(0.0, asked + PAUSE_SECONDS - time.time()))
        back(n1)
        _wait_master(pair, vips)
    else:
        time.sleep(max(0.0, taken + AFTER_SECONDS - time.time()))
    until = time.time()
    timelines = [lab.timeline(vip) for vip in vips]
    return Stop(
        max(seconds_of_two(events, asked, until) for events in timelines) * MS,
        max(longest_without(events, asked, until) for events in timelines) * MS,
        (taken - last) * MS,
        back is not None or all(n1.name not in lab.holders(vip) for vip in vips),
    )


def _wait_master(pair: Pair, vips: tuple[str, ...]) -> None:
    """Until the first node alone holds them."""
    wait_until(lambda: all(pair.lab.holders(vip) == {pair.n1.name} for vip in vips), "the first node as master")


def revive(pair: Pair, vips: tuple[str, ...], environment: dict[str, str]) -> None:
    """The first node is master again."""
    if pair.n1.running:
        pair.n1.thaw()
    else:
        pair.start(**environment)
    _wait_master(pair, vips)
    # For some milliseconds after a take-over a VIP has no lifetime yet.
    time.sleep(SETTLE_SECONDS)


CASES: dict[str, tuple[Callable[[Node], None], Callable[[Node], None] | None]] = {
    "killed": (kill, None),
    "frozen": (freeze, None),
    "paused for 10 s": (freeze, lambda node: node.thaw()),
}


def tries(times: int, vips: tuple[str, ...], environment: dict[str, str], case: str) -> list[Stop]:
    """So many, in a lab of their own."""
    stop, back = CASES[case]
    found = []
    with Lab() as lab:
        pair = make_pair(lab)
        pair.settle(*vips, **environment)
        for _ in range(times):
            found.append(once(pair, vips, stop, back))
            revive(pair, vips, environment)
    return found


def row(case: str, found: Sequence[Stop]) -> str:
    """One of the table: medians, and the most in brackets."""
    two, nobody, taken = (sorted(getattr(one, name) for one in found) for name in ("two", "nobody", "taken"))
    figures = " | ".join(f"{statistics.median(some):.0f} ({some[-1]:.0f}) ms" for some in (two, nobody, taken))
    stays = sum(not one.is_over for one in found)
    return f"| {case} | {len(found)} | {figures} | {stays} |"


IPV4, IPV6 = "203.0.113.10", "2001:db8::10"

#: Each with its VIPs and what is different in its environment.
TABLES: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    ("Without the lease", (IPV4,), {"KA_LEASE": "off"}),
    ("IPv4", (IPV4,), {}),
    ("IPv6", (IPV6,), {}),
    ("both", (IPV4, IPV6), {}),
    ("adverts of 0.1 s", (IPV4,), {"KA_ADVERT_INTERVAL": "0.1"}),
    ("adverts of 2 s", (IPV4,), {"KA_ADVERT_INTERVAL": "2"}),
)

#: Labs at once.
SIDE_BY_SIDE = 4


def main(times: int) -> None:
    """Prints the tables. Labs wait most of the time, so some run side by side."""
    with ProcessPoolExecutor(SIDE_BY_SIDE) as pool:
        for what, vips, more in TABLES:
            include = ",".join(f"{vip}/{64 if ':' in vip else 24}" for vip in vips)
            environment = {"KA_ADVERT_INTERVAL": "1", "KA_INCLUDE": include, **more}
            print(f"\n{what}\n\n| | times | two held it | nobody held it | last advert to the peer's | stayed |")
            print("|---|---|---|---|---|---|")
            for case in CASES:
                shares = [times // SIDE_BY_SIDE] * SIDE_BY_SIDE
                done = [pool.submit(tries, share, vips, environment, case) for share in shares]
                print(row(case, [one for share in done for one in share.result()]), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)

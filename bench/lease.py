"""Nodes that are stopped without being asked: how long two hold the VIP, with the lease and without it.

`python -m bench.lease [TIMES]` prints the tables of docs/decisions/0007-lease.md; the host's network stays as it is in
each case, as with `network_mode: host`.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import Lab, wait_until
from lab.holding import longest_without, seconds_of_two
from lab.pair import make_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab import Node
    from lab.pair import Pair

MS = 1000.0

#: How long it is watched after the peer has taken over: a node that is never thawed holds the VIP for ever.
AFTER_SECONDS = 2.0

#: How long a node is paused.
PAUSE_SECONDS = 10.0

CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Stop:
    """What one stop cost, in milliseconds: two holders, nobody, and from the last advert until the peer had it.

    ``is_over``: whether the VIP had left the stopped node by itself.
    """

    two: float
    nobody: float
    taken: float
    is_over: bool


@contextlib.contextmanager
def cgroup(kind: str, name: str) -> Iterator[Path]:
    """A cgroup of version 1, for the time of the block."""
    place = CGROUPS / kind / name
    place.mkdir()
    try:
        yield place
    finally:
        wait_until(lambda: not (place / "cgroup.procs").read_text(), f"the end of {place}")
        place.rmdir()


def kill(node: Node) -> None:
    """`docker kill`, and an engine that crashed or was killed with all that it runs."""
    node.kill()


def kill_by_memory(node: Node) -> None:
    """The OOM killer, with all of the container as its victim, as engines with cgroup v2 have it
    (memory.oom.group); where a process alone is killed PID 1 starts it again."""
    node.kill()


def freeze(node: Node) -> None:
    """`docker pause`, a hung host."""
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


CASES: dict[str, tuple[Callable[[Node], None], Callable[[Node], None] | None]] = {
    "killed": (kill, None),
    "frozen": (freeze, None),
    "paused for 10 s": (freeze, lambda node: node.thaw()),
}


def measure(times: int, vips: tuple[str, ...], environment: dict[str, str], cases: tuple[str, ...]) -> Iterator[str]:
    """A row for each case."""
    with Lab() as lab:
        pair = make_pair(lab)
        pair.settle(*vips, **environment)
        for case in cases:
            stop, back = CASES[case]
            found = []
            for _ in range(times):
                found.append(once(pair, vips, stop, back))
                revive(pair, vips, environment)
            two, nobody, taken = ([getattr(one, name) for one in found] for name in ("two", "nobody", "taken"))
            is_over = sum(one.is_over for one in found)
            yield (
                f"| {case} | {times} | {statistics.median(two):.0f}, {max(two):.0f} ms"
                f"{'' if is_over == times else ' and on'} | {statistics.median(nobody):.0f}, {max(nobody):.0f} ms "
                f"| {statistics.median(taken):.0f}, {max(taken):.0f} ms |"
            )


BASE = {"KA_ADVERT_INTERVAL": "1", "KA_VRID": "51"}
IPV4, IPV6 = "203.0.113.10", "2001:db8::10"


def main(times: int) -> None:
    """Prints the tables."""
    for what, vips, more in (
        ("IPv4, without the lease", (IPV4,), {"KA_LEASE": "off"}),
        ("IPv4", (IPV4,), {}),
        ("IPv6", (IPV6,), {}),
        ("both", (IPV4, IPV6), {}),
    ):
        include = ",".join(f"{vip}/{64 if ':' in vip else 24}" for vip in vips)
        print(
            f"\n{what}: median, most\n\n| | times | two held it | nobody held it | peer has it after the last advert |"
        )
        print("|---|---|---|---|---|")
        for row in measure(times, vips, {**BASE, "KA_INCLUDE": include, **more}, tuple(CASES)):
            print(row, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)

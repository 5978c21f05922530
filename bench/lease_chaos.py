"""Own faults at random, one after the other: what the lease costs a healthy master, and what it leaves.

`python -m bench.lease_chaos [FAULTS [SEED]]` prints a row for each kind of fault, in milliseconds.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import defaultdict
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM
from typing import TYPE_CHECKING

from lab import Lab, wait_until
from lab.holding import longest_without, seconds_of_two
from lab.log import clock
from lab.pair import KEEPALIVED, ka, make_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Node
    from lab.pair import Pair

MS = 1000.0
VIPS = ("203.0.113.10", "2001:db8::10")
ENVIRONMENT = {
    "KA_ADVERT_INTERVAL": "1",
    "KA_INCLUDE": f"{VIPS[0]}/24,{VIPS[1]}/64",
}
KEEPER = r"app\.lease\.keeper"

#: What a healthy master may be without its VIP, and two may hold it.
MOST_WITHOUT, MOST_TWO = 100.0, 5.0


def _kill(pattern: str) -> Callable[[Node], object]:
    return lambda node: node.signal(pattern, SIGKILL)


def _hang_keeper(node: Node) -> None:
    """For as long as its VIPs live, and they come back without a lifetime."""
    since = time.time()
    pids = node.signal(KEEPER, SIGSTOP)
    if all(node._watch.holds(node.name, vip) for vip in VIPS):
        wait_until(lambda: _gone_since(node, since), "a lifetime that ends")
    for pid in pids:
        os.kill(pid, SIGCONT)


def _gone_since(node: Node, since: float) -> bool:
    lost = {e.address for e in node._watch.events if e.node == node.name and not e.added and e.time >= since}
    return lost >= set(VIPS) and all(node._watch.holds(node.name, vip) for vip in VIPS)


def _delete(node: Node) -> None:
    for vip, prefix in zip(VIPS, (24, 64), strict=True):
        node.exec(["ip", "address", "del", f"{vip}/{prefix}", "dev", "eth0"], check=False)


def _flap(node: Node) -> None:
    node.cut_link()
    node.mend_link()


def _drain(node: Node) -> None:
    ka(node, "drain")
    ka(node, "undrain")


def _freeze(node: Node) -> None:
    node.freeze()
    time.sleep(random.uniform(0.1, 5))  # noqa: S311 - no secret
    node.thaw()


#: Each, and whether the master is healthy all the time.
FAULTS: dict[str, tuple[Callable[[Node], object], bool]] = {
    "keeper killed": (_kill(KEEPER), True),
    "keeper told to end": (lambda node: node.signal(KEEPER, SIGTERM), True),
    "keeper stopped": (_hang_keeper, True),
    "VIPs deleted by hand": (_delete, True),
    "reload": (lambda node: node.signal("^.*app.pid1", SIGHUP), True),
    "keepalived killed": (_kill(KEEPALIVED), False),
    "keepalived stopped": (lambda node: node.signal(KEEPALIVED, SIGSTOP), False),
    "link cut and mended": (_flap, False),
    "drained and undrained": (_drain, False),
    "frozen for up to 5 s": (_freeze, False),
    "node killed and started": (lambda node: node.kill(), False),
}


def _is_steady(pair: Pair) -> bool:
    """Whether the better node holds all VIPs, with lifetimes, and the other one is ready."""
    for node in (pair.n1, pair.n2):
        if not node.running:
            return False
        if "FAULT" in (said := ka(node, "health").stdout) or "keepalived" in said or "has no lifetime" in said:
            return False
    return all(pair.lab.holders(vip) == {pair.n1.name} for vip in VIPS)


def main(faults: int, seed: int) -> int:
    """The rows; 1 when a limit is missed."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with Lab() as lab:
        pair = make_pair(lab)
        pair.settle(*VIPS, **ENVIRONMENT)
        for _ in range(faults):
            wait_until(lambda: _is_steady(pair), "a master and a backup", 60, pause=0.2)
            # The next one is due at any time between two adverts.
            time.sleep(chance.uniform(0, 1))
            what = chance.choice(tuple(FAULTS))
            node = chance.choice((pair.n1, pair.n1, pair.n2))
            since = time.time()
            FAULTS[what][0](node)
            pair.start(**ENVIRONMENT)
            wait_until(lambda: _is_steady(pair), f"a master and a backup after: {node.name} {what}", 60, pause=0.2)
            time.sleep(1.2)  # a stray would live for a second or two
            timelines = [lab.timeline(vip) for vip in VIPS]
            until = time.time()
            found[what].append(
                (
                    max(longest_without(events, since, until) for events in timelines) * MS,
                    max(seconds_of_two(events, since, until) for events in timelines) * MS,
                )
            )
            if found[what][-1][1] > MOST_TWO or (FAULTS[what][1] and found[what][-1][0] > MOST_WITHOUT):
                print(f"{node.name} {what} at {clock(since)}: {found[what][-1]}\n{lab.report()[-9000:]}", flush=True)
    print("| fault | times | nobody held it, at most | two held it, at most |\n|---|---|---|---|")
    missed = False
    for what, (_, is_healthy) in FAULTS.items():
        if what in found:
            without, two = (max(one[place] for one in found[what]) for place in (0, 1))
            print(f"| {what} | {len(found[what])} | {without:.0f} ms | {two:.1f} ms |")
            missed |= two > MOST_TWO or (is_healthy and without > MOST_WITHOUT)
    return int(missed)


if __name__ == "__main__":
    _faults, _seed = [*map(int, sys.argv[1:]), *(300, 1)[len(sys.argv) - 1 :]]
    sys.exit(main(_faults, _seed))

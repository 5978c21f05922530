"""`python -m bench.stops [TIMES]`: containers that end or stop unasked, on a real engine, as fleet.md has it.

Two machines (lab/engine.py) at priorities 254 and 253 and adverts of 1 s; each stop is one of lab/stops.py. Needs root,
a Docker Engine and the image (make image).
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.engine import Engine, docker
from lab.holding import longest_without, seconds_of_two
from lab.stops import ENDS, MEMORY_LIMIT, pause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.engine import Machine

MS = 1000.0
SUBNET, VIP = "192.0.2.0/24", "192.0.2.10"
COMMON = {"KA_TRACK_IFACE": "auto", "KA_INCLUDE": f"{VIP}/24", "KA_VRID": "51"}

#: How long it is watched from the stop on: a node that nobody starts again may hold the VIP for ever.
WATCH_SECONDS = 10.0

#: For some milliseconds after a take-over a VIP has no lifetime yet.
SETTLE_SECONDS = 2.0


@dataclass(frozen=True)
class Cost:
    """Of one stop, in milliseconds: two holders, nobody, and from the stop until the peer had the VIP."""

    two: float
    nobody: float
    taken: float


def once(engine: Engine, machines: tuple[Machine, Machine], case: str, lease: str) -> Cost:
    """Stops the master of a new pair."""
    first, second = machines
    values = COMMON | {"KA_LEASE": lease}
    n1 = first.node("n1", values | {"KA_PRIORITY": "254"}, *MEMORY_LIMIT)
    engine.wait_holder(VIP, first)
    n2 = second.node("n2", values | {"KA_PRIORITY": "253"})
    n2.log.wait_for("Entering BACKUP STATE")
    time.sleep(SETTLE_SECONDS)
    asked = time.time()
    ENDS.get(case, pause)(n1)
    taken = engine.wait_event(second.name, VIP, since=asked)
    time.sleep(max(0.0, asked + WATCH_SECONDS - time.time()))
    if case not in ENDS:
        docker("unpause", n1.id)
        engine.wait_holder(VIP, first)
    until = time.time()
    events = [event for event in engine.watch.events if event.address == VIP]
    cost = Cost(
        seconds_of_two(events, asked, until) * MS,
        longest_without(events, asked, until) * MS,
        (taken - asked) * MS,
    )
    for node in (n1, n2):
        if not node.is_removed:
            docker("stop", node.id)
            node.remove()
    # What a node without a lease left behind.
    if f"{VIP}/24" in first.addresses():
        first.configure("address", "del", f"{VIP}/24", "dev", "eth0")
    return cost


def row(case: str, lease: str, costs: Sequence[Cost]) -> str:
    """One of the table: medians, and the most in brackets."""
    columns = (sorted(getattr(cost, name) for cost in costs) for name in ("two", "nobody", "taken"))
    figures = " | ".join(f"{statistics.median(some):.0f} ({some[-1]:.0f}) ms" for some in columns)
    return f"| {case} | {lease} | {len(costs)} | {figures} |"


def main(times: int) -> None:
    """Prints the table."""
    print(f"| | KA_LEASE | times | two held it in {WATCH_SECONDS:g} s | nobody held it | stop to the peer's |")
    print("|---|---|---|---|---|---|")
    with Engine() as engine:
        network = engine.network(SUBNET)
        machines = engine.machine("m1", network), engine.machine("m2", network)
        for case in (*ENDS, f"paused for {WATCH_SECONDS:g} s"):
            for lease in ("off", "auto"):
                costs = [once(engine, machines, case, lease) for _ in range(times)]
                print(row(case, lease, costs), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)

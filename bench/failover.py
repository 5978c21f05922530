"""The fail-over itself: ours, and bare keepalived beside it in the same run."""

from __future__ import annotations

import itertools
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from app.guard import DEATHS
from bench.measure import Row, repeat
from lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Node

VIP = "203.0.113.10"
ENVIRONMENT = {
    "KA_TRACK_IFACE": "eth0",
    "KA_INCLUDE": f"{VIP}/24",
    "KA_VRID": "51",
    "KA_AUTH_PASS": "bench-12",
    "KA_ENABLE_CHECK": "http://127.0.0.1/",
    "KA_CHECK_INTERVAL": "0.2",
    "KA_CHECK_RISE": "1",
    "KA_CHECK_FALL": "1",
}
MS = 1000.0

#: keepalived alone, with a track_file that the benchmark writes.
BARE = """
track_file verdict {{
    file "{verdict}"
    weight 0
}}
vrrp_instance main {{
    state BACKUP
    interface eth0
    virtual_router_id 52
    priority {priority}
    advert_int 1
    virtual_ipaddress {{
        {vip}/24 dev eth0
    }}
    track_file {{
        verdict
    }}
}}
"""


def rows(times: int) -> Iterator[Row]:
    """All of it; ``times`` for the hand-over after a failed probe, half of that for the rest."""
    yield _bare(times)
    with Lab() as lab:
        first, second = lab.add_node("n1"), lab.add_node("n2")
        service = first.start_service()
        second.start_service()
        for node, priority in ((first, "254"), (second, "253")):
            node.start({**ENVIRONMENT, "KA_PRIORITY": priority})
        lab.wait_holder(VIP, first)

        def failed_probe() -> float:
            asked = time.time()
            service.answer(500)
            taken = lab.wait_holder(VIP, second, since=asked)
            answered = next(answer.time for answer in service.answers if answer.time >= asked and answer.status == 500)
            asked = time.time()
            service.answer(200)
            lab.wait_holder(VIP, first, since=asked)
            return (taken.time - answered) * MS

        yield repeat("failed probe's end to the VIP on the peer", times, failed_probe, limit=25)

        kills = itertools.count(1)

        def killed() -> float:
            if next(kills) % (DEATHS - 1) == 0:
                # One that dies DEATHS times within a minute has failed for good, and its node ends.
                first.stop()
                asked = time.time()
                first.start({**ENVIRONMENT, "KA_PRIORITY": "254"})
                lab.wait_holder(VIP, first, since=asked)
            asked = time.time()
            first.signal(r"^keepalived ", signal.SIGKILL)
            released = lab.wait_released(VIP, first, since=asked)
            lab.wait_holder(VIP, first, since=released.time)
            return (released.time - asked) * MS

        yield repeat("keepalived killed with -9 to its VIP off the host", times // 2, killed, limit=200)

        def stopped() -> float:
            asked = time.time()
            first.stop()
            taken = lab.wait_holder(VIP, second, since=asked)
            first.start({**ENVIRONMENT, "KA_PRIORITY": "254"})
            lab.wait_holder(VIP, first, since=taken.time)
            return (taken.time - asked) * MS

        yield repeat("SIGTERM of PID 1 to the VIP on the peer", times // 2, stopped, limit=100)


def start_rows(times: int) -> Iterator[Row]:
    """From ``ka run`` to keepalived at work, with one node on the machine."""
    with Lab() as lab:
        node = lab.add_node("n1")
        node.start_service()

        def started() -> float:
            mark = node.log.mark()
            node.start({**ENVIRONMENT, "KA_PRIORITY": "254"})
            line = node.log.wait_for(r"Starting VRRP child process", timeout=20, since=mark)
            node.stop()
            return (line.time - (node.started or 0.0)) * MS

        yield repeat("ka run to keepalived running", times, started, limit=500)

        node.start({**ENVIRONMENT, "KA_PRIORITY": "254"})
        lab.wait_holder(VIP, node)
        sizes = {name: _pss(node, pattern) for name, pattern in PROGRAMS.items()}
        node.stop()
    for name, size in sizes.items():
        yield Row(f"memory of {name}", (size,), "MiB")
    yield Row("memory of all processes of a node (PSS)", (sum(sizes.values()),), "MiB", 50)


PROGRAMS = {
    "PID 1": r"app\.pid1 ",
    "http-checker": r"app\.checks\.http",
    "log-forwarder": r"^rsyslogd",
    "guard": r"app\.guard",
    "lease": r"app\.lease\.keeper",
    "keepalived": r"^keepalived",
}


def _pss(node: Node, pattern: str) -> float:
    """Proportional set size of the processes that match, in MiB (proc(5), smaps_rollup)."""
    total = 0
    for pid in node.processes(pattern):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total / 1024


def _bare(times: int) -> Row:
    with Lab() as lab, tempfile.TemporaryDirectory(dir="/run") as directory:
        first, second = lab.add_node("n1"), lab.add_node("n2")
        verdicts = {}
        for node, priority in ((first, 254), (second, 253)):
            place = Path(directory) / node.name
            place.mkdir()
            verdicts[node.name] = place / "verdict"
            verdicts[node.name].write_text("0\n", encoding="ascii")
            (place / "keepalived.conf").write_text(
                BARE.format(verdict="/ka-data/verdict", priority=priority, vip=VIP), encoding="ascii"
            )
            command = ["keepalived", "--dont-fork", "--vrrp", "--use-file", "/ka-data/keepalived.conf"]
            node.start(command=command, data=place)
        lab.wait_holder(VIP, first)

        def verdict_written() -> float:
            asked = time.time()
            verdicts[first.name].write_text("1\n", encoding="ascii")
            taken = lab.wait_holder(VIP, second, since=asked)
            verdicts[first.name].write_text("0\n", encoding="ascii")
            lab.wait_holder(VIP, first, since=taken.time)
            return (taken.time - asked) * MS

        return repeat("bare keepalived: verdict written to the VIP on the peer", times, verdict_written)

"""`python -m bench.logs [COUNT]`: the log when servers and the forwarder die; the figures of docs/logs.md.

The figures of a server that is never there take five minutes.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab import Lab
from lab.log_load import ENVIRONMENT, Sender, tally, trial

if TYPE_CHECKING:
    from lab import Node


def never_there(seconds: float) -> None:
    """What a server costs that nobody has ever seen, beside a node that forwards nothing."""
    for scheme in ("none", "tcp", "relp"):
        with Lab() as lab:
            first, second = lab.add_node("n1"), lab.add_node("n2")
            environ = dict(ENVIRONMENT)
            if scheme != "none":
                # One that refuses, and one that is not there at all: nobody has that address.
                environ["KA_LOG_FORWARD"] = f"{scheme}://{second.ipv4}:9,{scheme}://203.0.113.250:9"
            first.start(environ)
            lab.wait_holder("203.0.113.10", first)
            second.start({**environ, "KA_PRIORITY": "253"})
            second.log.wait_for("BACKUP STATE")
            sender = Sender(first, int(seconds * 2), rate=2)
            figures = []
            for _ in range(5):
                time.sleep(seconds / 5)
                figures.append(_cost(first))
            sender.join()
            asked = time.time()
            first.signal("^keepalived ", signal.SIGKILL)
            first.stop()
            taken = lab.wait_holder("203.0.113.10", second, since=asked)
            not_printed, _ = tally([line.text for line in first.log.lines], sender.count)
            second.stop()
        steps = "; ".join(f"{cpu:.2f} s, {rss:.1f} MiB" for cpu, rss in figures)
        print(
            f"server never there ({scheme}), {seconds:.0f} s: processor time and memory of the forwarder: {steps}; "
            f"{len(not_printed)} lines not printed; longest send {sender.longest * 1000:.1f} ms; "
            f"the VIP was on the peer {(taken.time - asked) * 1000:.0f} ms after keepalived was killed",
            flush=True,
        )


def _cost(node: Node) -> tuple[float, float]:
    """Processor time (seconds) and resident memory (MiB) of the node's forwarder."""
    (pid,) = node.processes("^rsyslogd")
    times = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    ticks = os.sysconf("SC_CLK_TCK")
    return (int(times[11]) + int(times[12])) / ticks, pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def main(count: int) -> int:
    """Measures and prints; exit status 1 when a message was lost where none may be."""
    outcomes = []
    for scheme, kind in (
        ("tcp", "rsyslog"),
        ("tcp", "syslog-ng"),
        ("tls", "rsyslog"),
        ("tls", "syslog-ng"),
        ("relp", "rsyslog"),
    ):
        outcome = trial(scheme, kind, count, outage=20, kills=5)
        print(outcome, flush=True)
        outcomes.append(outcome)
    for scheme, kind in (("tcp", "rsyslog"), ("tls", "rsyslog"), ("relp", "rsyslog")):
        print(trial(scheme, kind, 5000, outage=2, kills=0, hang=1), flush=True)
    never_there(300)
    return int(any(outcome.missing or outcome.duplicates > count / 1000 for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))

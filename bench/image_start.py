"""`python -m bench.image_start [TIMES]`: from the start of a container to keepalived, and where the time goes.

It needs a Docker Engine and the image (make image). The engine's times, the files' and the log's are of one clock.
Exit status 1 when the median misses its limit.
"""

from __future__ import annotations

import re
import sys
from datetime import datetime

from bench.measure import Row, table
from lab.engine import RESTRICTED, Engine, environment

#: Seconds from the start of the container to keepalived's first message.
LIMIT = 1.0
MS = 1000.0

VALUES = {
    "KA_TRACK_IFACE": "auto",
    "KA_INCLUDE": "198.51.100.10/24",
    "KA_PRIORITY": "254",
    "KA_VRID": "51",
    "KA_AUTH_PASS": "bench-12",
    "KA_ENABLE_CHECK": "http://127.0.0.1:8080/",
}

#: What happens between two of the moments that `_moments` finds.
PHASES = (
    "interpreter, imports of pydantic and Jinja2, host facts, plan",
    "files, keepalived -t, sweep",
    "new interpreter, import of supervisor",
    "log forwarder",
)


def _moments(engine: Engine, network: str, number: int) -> list[float]:
    """Seconds since the epoch: started; first file; ``ka run`` done; PID 1 listens; keepalived's first message."""
    node = engine.run(f"start-{number}", ["--network", network, *RESTRICTED, *environment(VALUES)])
    said = node.log.wait_for("Starting Keepalived").text
    # A tmpfs keeps times to the timer's tick, 1 to 10 ms. The link /dev/log is what `ka run` makes last.
    written = node.execute("stat", "-c", "%.Y", "/run/ka/keepalived.conf", "/dev/log", "/run/ka/notify").stdout
    moments = [_time(node.state["StartedAt"]), *map(float, written.split()), _time(said.split(" ", 1)[0])]
    node.remove()
    return moments


def _time(text: str) -> float:
    """Of RFC 3339 text with nanoseconds or microseconds."""
    return datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*(Z|\+00:00)", r"\1+00:00", text)).timestamp()


def main(times: int) -> int:
    """Measures, prints the table."""
    with Engine() as engine:
        network = engine.network()
        runs = [_moments(engine, network, number) for number in range(times)]
    rows = [
        Row("container started to keepalived's first message", _between(runs, 0, -1), "ms", LIMIT * MS),
        *(Row(f"… {what}", _between(runs, phase, phase + 1), "ms") for phase, what in enumerate(PHASES)),
    ]
    print(table(rows))
    return 0 if rows[0].keeps_limit else 1


def _between(runs: list[list[float]], first: int, last: int) -> tuple[float, ...]:
    return tuple((moments[last] - moments[first]) * MS for moments in runs)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))

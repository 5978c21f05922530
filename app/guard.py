"""The event listener that asks PID 1 to end the container when a program has failed for good.

supervisord restarts a program for ever that fails after its start, and stays up without one that it has given up
(http://supervisord.org/events.html). Run with ``-S`` it takes 3 MiB; supervisor's own listener helpers would take
four times that, so the few lines of the protocol stand here.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import defaultdict, deque

from app.contract import reports
from app.contract.programs import BY_NAME

#: A program that ended this often ...
DEATHS = 5
#: ... within this many seconds has failed for good.
WITHIN = 60.0


class Guard:
    """Remembers deaths, and decides when there were too many."""

    def __init__(self) -> None:
        self._deaths: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=DEATHS))

    def judge(self, event: str, program: str, now: float, *, expected: bool = False) -> str | None:
        """Why ``program`` has failed for good with this event, at ``now`` (monotonic seconds), or None.

        What ends as it should (supervisord.conf: exitcodes) is restarted because its file has changed.
        """
        if event == "PROCESS_STATE_FATAL":
            return f"{program} could not be started"
        if expected or not BY_NAME[program].counts_deaths:
            return None
        deaths = self._deaths[program]
        deaths.append(now)
        if len(deaths) == DEATHS and now - deaths[0] <= WITHIN:
            return f"{program} ended {DEATHS} times within {now - deaths[0]:.0f} s"
        return None


def pairs(line: str) -> dict[str, str]:
    """supervisor's ``key:value key:value``."""
    return dict(word.split(":", 1) for word in line.split() if ":" in word)


def main(ready_socket: str) -> None:
    """Listens until supervisord closes the pipe. The socket takes sd_notify(3) datagrams."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    guard = Guard()
    while True:
        sys.stdout.write("READY\n")
        sys.stdout.flush()
        header = sys.stdin.readline()
        if not header:
            return
        about = pairs(header)
        payload = pairs(sys.stdin.read(int(about["len"])))
        expected = payload.get("expected") == "1"
        verdict = guard.judge(about["eventname"], payload["processname"], time.monotonic(), expected=expected)
        if verdict:
            reports.send(reports.FAILED, verdict, ready_socket)
        sys.stdout.write("RESULT 2\nOK")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])

"""Programs in a node that log a lot, and what becomes of their lines when servers and the forwarder die."""

from __future__ import annotations

import re
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.network import Lab
from lab.pair import LOG_FORWARDER
from lab.patience import LIMIT_SECONDS, wait_until
from lab.receivers import RELP, TCP, TLS, Receiver, make_pki

if TYPE_CHECKING:
    from lab.node import Node

RATE = 500
ENVIRONMENT = {
    "KA_TRACK_IFACE": "eth0",
    "KA_INCLUDE": "203.0.113.10/24",
    "KA_VRID": "51",
    "KA_AUTH_PASS": "bench-12",
    "KA_PRIORITY": "254",
    "KA_LOG_FORMAT": "json",
}
PORTS = {"tcp": TCP, "tls": TLS, "relp": RELP}


@dataclass
class Sender:
    """Logs ``count`` numbered messages at ``rate`` a second to a node's /dev/log, as a program in it would."""

    node: Node
    count: int
    rate: float = RATE
    sent: int = 0
    #: The longest that one message took to get rid of, in seconds.
    longest: float = 0.0
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.connect(f"/proc/{self.node.pid}/root/run/ka/log-socket")
            begin = time.monotonic()
            for number in range(self.count):
                time.sleep(max(0.0, begin + number / self.rate - time.monotonic()))
                before = time.monotonic()
                log.send(f"<30>sender[1]: number {number:06d} of many, {'and on ' * 10}".encode())
                self.longest = max(self.longest, time.monotonic() - before)
                self.sent = number + 1

    def wait_for(self, sent: int) -> None:
        """Returns when so many were sent."""
        wait_until(lambda: self.sent >= sent, f"message {sent}", LIMIT_SECONDS + self.count / self.rate)

    def join(self) -> None:
        """Returns when all were sent; LabError when one of them is not got rid of."""
        self._thread.join(LIMIT_SECONDS + self.count / self.rate)
        if self._thread.is_alive():
            raise LabError(f"Message {self.sent + 1} of {self.count} waits to be taken.")


def tally(texts: list[str], count: int) -> tuple[list[int], int]:
    """The numbers that are missing, and how many came more than once too often."""
    found = Counter(int(match[1]) for text in texts if (match := re.search(r"number (\d{6}) of many", text)))
    return [number for number in range(count) if number not in found], sum(times - 1 for times in found.values())


@dataclass(frozen=True)
class Outcome:
    """What became of the messages of one trial. Times in seconds."""

    what: str
    sent: int
    missing: list[int]
    duplicates: int
    printed: int
    longest_send: float
    drained_after: float

    def __str__(self) -> str:
        which = f" ({', '.join(map(str, self.missing[:10]))} …)" if self.missing else ""
        return (
            f"{self.what}: {self.sent} sent, {len(self.missing)} missing{which}, {self.duplicates} duplicates, "
            f"{self.printed} of them printed, all there {self.drained_after:.1f} s after the last, "
            f"longest send {self.longest_send * 1000:.1f} ms"
        )


def trial(
    scheme: str, kind: str, count: int, *, outage: float, kills: int, rate: float = RATE, hang: float = 0.0
) -> Outcome:
    """A server that is away for ``outage`` seconds in the middle, and a forwarder that is killed ``kills`` times.

    With ``hang`` the server reads nothing in the last seconds before it goes, and is killed.
    """
    with tempfile.TemporaryDirectory(prefix="ka-bench-") as made, Lab() as lab:
        directory = Path(made)
        node, host = lab.add_node("n1"), lab.add_host("logs")
        pki = make_pki(directory, host.ipv4)
        receiver = Receiver(host, directory, kind, asks=True)
        receiver.start()
        environ = ENVIRONMENT | {"KA_LOG_FORWARD": f"{scheme}://{host.ipv4}:{PORTS[scheme]}"}
        if scheme == "tls":
            environ |= {f"KA_LOG_FORWARD_{name}": f"/pki/{file}" for name, file in TLS_FILES.items()}
            environ["KA_LOG_FORWARD_NAME"] = "server.example"
        node.start(environ, binds={pki: "/pki"})
        node.log.wait_for("MASTER STATE")
        sender = Sender(node, count, rate)
        away = int(outage * rate)
        first, back = (count - away) // 2, (count + away) // 2
        # Spread over the whole, one of them while the server is away and one just after it is back.
        events = [(first, "away"), (back, "back")] + [(at, "kill") for at in _spread(kills, count, first, back, rate)]
        if hang:
            events.append((first - int(hang * rate), "hang"))
        for at, event in sorted(events):
            sender.wait_for(at)
            if event == "kill":
                node.signal(LOG_FORWARDER, signal.SIGKILL)
            elif event == "hang":
                receiver.hang()
            elif event == "away":
                receiver.stop(kill=bool(hang))
            else:
                receiver.start()
        sender.join()
        ended = time.monotonic()
        texts, last = _until_quiet(receiver, count)
        drained = last - ended
        node.stop()
        missing, duplicates = tally(texts, count)
        not_printed, _ = tally([line.text for line in node.log.lines], count)
        receiver.stop()
    what = f"{scheme} to {kind}" + (f", which hung for {hang:g} s" if hang else "")
    return Outcome(what, count, missing, duplicates, count - len(not_printed), sender.longest, max(drained, 0.0))


TLS_FILES = {"CA": "ca.pem", "CERT": "client.pem", "KEY": "client.key"}
#: Seconds without a new line after which all have come: when none is missing, and otherwise (tried again every 10).
QUIET, QUIET_FOR_GOOD = 3.0, 15.0


def _spread(kills: int, count: int, first: int, back: int, rate: float) -> list[int]:
    """When to kill, as numbers of messages: while the server is away, just after it is back, the rest elsewhere."""
    during = [(first + back) // 2, back + int(rate / 4)][:kills]
    others = kills - len(during)
    before = [first * (number + 1) // (others // 2 + 1) for number in range(others // 2)]
    last = others - others // 2
    after = [back + (count - back) * (number + 1) // (last + 1) for number in range(last)]
    return during + before + after


def _until_quiet(receiver: Receiver, count: int) -> tuple[list[str], float]:
    """What has come when no more comes, and when the last did (time.monotonic)."""
    size, since, quiet = -1, time.monotonic(), QUIET
    while time.monotonic() - since < quiet:
        if (now := receiver.size) != size:
            size, since = now, time.monotonic()
            texts = [line.message for line in receiver.lines]
            quiet = QUIET_FOR_GOOD if tally(texts, count)[0] else QUIET
        time.sleep(0.05)
    return texts, since

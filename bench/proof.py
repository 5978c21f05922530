"""Every fault, ours against a hand-written keepalived.conf in one run, as somebody sees it who uses the VIP."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.contestants import Contestant, HandWritten, Ours
from lab import Lab, LabError
from lab.pair import VIP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lab import Request

#: What is done, in the order of the plots: to the service, on purpose, to the node.
FAULTS = (
    "service killed",
    "service answers 500",
    "service hangs",
    "SIGTERM",
    "drain",
    "node killed",
    "node frozen",
    "link cut",
)
#: Those after which nothing of the node is left that could give the VIP up.
SILENT = ("node killed", "node frozen")

#: Seconds for which a second holder is looked at; one that is there longer stays until somebody does something.
WATCHED_SECONDS = 5.0
#: The longest interval of anything that runs: a fault comes at a random moment of it.
INTERVAL_SECONDS = 2.0


@dataclass(frozen=True)
class Outcome:
    """One fault, in seconds: until the first advert that tells of it, from there until the VIP was on the peer, from
    there until the peer's first answer was with the client; how long the client had no answer, and how many of its
    requests were lost; how long two had the VIP (None: until the watch ended).
    """

    detection: float
    hand_over: float
    arp: float
    dark: float
    lost: int
    two: float | None


def measure(times: int, faults: Sequence[str] = FAULTS) -> dict[str, Any]:
    """Each fault `times` times with each contestant in turn; the outcomes by fault and name."""
    found: dict[str, dict[str, list[Outcome]]] = {fault: {} for fault in faults}
    with contextlib.ExitStack() as ends:
        contestants = [ends.enter_context(_running(kind)) for kind in (Ours, HandWritten)]
        for fault in faults:
            for _ in range(times):
                for contestant in contestants:
                    # While one is measured the other comes back.
                    found[fault].setdefault(contestant.name, []).append(_once(contestant, fault))
            for name, outcomes in found[fault].items():
                total = median(one.detection + one.hand_over + one.arp for one in outcomes)
                two = [one.two for one in outcomes]
                print(f"{fault}, {name}: {total * 1000:.0f} ms, two holders {two}", flush=True)
    return {fault: {name: [asdict(one) for one in many] for name, many in by.items()} for fault, by in found.items()}


@contextlib.contextmanager
def _running(kind: type[Contestant]) -> Iterator[Contestant]:
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="ka-bench-", dir="/run") as directory:
        Path(directory).chmod(0o755)
        contestant = kind(lab, Path(directory))
        with contextlib.ExitStack() as servers:
            for server in contestant.servers.values():
                servers.enter_context(server)
            contestant.begin()
            yield contestant


def _once(contestant: Contestant, fault: str) -> Outcome:
    contestant.wait_ready()
    with contestant.asked() as client:
        time.sleep(random.uniform(0.1, INTERVAL_SECONDS))  # noqa: S311 - no secret
        asked = time.time()
        mend = _cause(contestant, fault)
        taken = contestant.lab.wait_holder(VIP, contestant.second, since=asked)
        answer = client.wait_answer(contestant.second, since=asked)
        two = _two_holders(contestant, taken.time)
        client.wait_requests(len(client.requests) + 20)
    told = min(
        advert.time
        for advert in contestant.adverts.adverts
        if advert.time >= asked and (advert.node == contestant.second.name or advert.priority == 0)
    )
    dark, lost = _dark(client.requests, asked)
    mend()
    # Two threads received the advert and the address: their order within a millisecond says nothing.
    hand_over, arp = (max(span, 0.0) for span in (taken.time - told, answer.time + answer.duration - taken.time))
    return Outcome(told - asked, hand_over, arp, dark, lost, two)


def _cause(contestant: Contestant, fault: str) -> Callable[[], None]:
    """Does it, and gives what undoes it (without waiting for what comes of that)."""
    server = contestant.servers[contestant.first]
    match fault:
        case "service killed":
            server.kill()
            return server.start
        case "service answers 500":
            server.send(signal.SIGUSR1)
            return lambda: server.send(signal.SIGUSR2)
        case "service hangs":
            server.send(signal.SIGSTOP)
            return lambda: server.send(signal.SIGCONT)
        case "drain":
            contestant.drain()
            return contestant.undrain
    return _cause_node(contestant, fault)


def _cause_node(contestant: Contestant, fault: str) -> Callable[[], None]:
    """The same, for what befalls a whole node."""
    node = contestant.first

    def restart() -> None:
        node.wait()
        contestant.start(node)

    match fault:
        case "SIGTERM":
            os.kill(node.pid, signal.SIGTERM)
            return restart
        case "node killed":
            node.kill()
            return restart
        case "node frozen":
            frozen = node.processes("")
            _send_all(frozen, signal.SIGSTOP)
            return lambda: _send_all(frozen, signal.SIGCONT)
        case "link cut":
            node.cut_link()
            return node.mend_link
    raise ValueError(fault)


def _send_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # a script that has just ended
            os.kill(pid, number)


def _two_holders(contestant: Contestant, taken: float) -> float | None:
    """Seconds from `taken` for which the first node held the VIP as well."""
    try:
        limit = max(taken + WATCHED_SECONDS - time.time(), 0.1)
        released = contestant.lab.wait_released(VIP, contestant.first, timeout=limit)
    except LabError:
        return None
    return max(released.time - taken, 0.0)


def _dark(requests: Sequence[Request], since: float) -> tuple[float, int]:
    """From the first request that was lost after `since` to the end of the first answer after the last lost one."""
    lost = [request for request in requests if request.error is not None and request.time >= since]
    if not lost:
        return 0.0, 0
    after = (request for request in requests if request.time > lost[-1].time and request.error is None)
    back = min(request.time + request.duration for request in after)
    return back - lost[0].time, len(lost)

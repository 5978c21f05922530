"""What a history of faults must look like: read afterwards, so that old histories can be judged by new rules."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.contract.lease_config import LEAST_SECONDS, lifetime
from lab.log import clock

#: The status of a node whose keepalived was killed again and again.
FAILED_FOR_GOOD = 70

#: Faults that keep a node apart from the others, each of which may have a master of its own meanwhile.
PARTITIONS = {"link cut", "packets lost"}

#: Faults that leave the VIP to its lifetime.
SILENT = {"node killed", "node frozen", "keepalived frozen"}

#: Faults from which a master goes on as master, with its VIP.
HARMLESS = {
    "checker killed",
    "forwarder killed",
    "guard killed",
    "keeper killed",
    "keeper frozen",
    "reload",
    "VIP deleted",
}

#: Seconds without a holder while no node has any other fault: less than a stall would not be the product's.
BLINK_SECONDS = 0.3

#: Seconds for which a node that ended by itself may have been away before that was seen.
UNSEEN_SECONDS = 2.0

#: Adverts that a peer waits for.
DEAD_ADVERTS = 3

#: Seconds that the kernel takes at most to end the least lifetime, and what a busy machine adds.
LIFETIME_SECONDS, SLOW_SECONDS = 1.4, 0.4


@dataclass(frozen=True)
class Bounds:
    """What is let pass, in seconds, by the seconds between two adverts."""

    interval: float = 0.25

    @property
    def two(self) -> float:
        """Two nodes on the same network hold the VIP: where the least lifetime ends after a peer has taken over."""
        return max(0.0, LIFETIME_SECONDS - DEAD_ADVERTS * self.interval) + SLOW_SECONDS

    @property
    def lifetime(self) -> float:
        """A node that can no longer let go of the VIP has it at most."""
        return (lifetime(self.interval) or LEAST_SECONDS) + SLOW_SECONDS

    @property
    def none(self) -> float:
        """Nobody holds it while one node is sound throughout: two failed probes of a service that hangs, then three
        adverts and the skew."""
        return 3.25 + DEAD_ADVERTS * self.interval

    @property
    def grace(self) -> float:
        """A node that was at fault is sound again after that: it starts, its check rises, it listens for three
        adverts."""
        return 7.25 + DEAD_ADVERTS * self.interval


@dataclass(frozen=True)
class Span:
    """A time, in seconds since the epoch."""

    start: float
    end: float

    @property
    def length(self) -> float:
        """Seconds."""
        return self.end - self.start


@dataclass
class History:
    """A history, by node."""

    end: float
    bounds: Bounds = field(default_factory=Bounds)
    held: dict[str, list[Span]] = field(default_factory=dict)
    faults: dict[str, list[tuple[Span, str]]] = field(default_factory=dict)
    stalls: list[Span] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def read(path: Path) -> History:
    """A history file."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines.sort(key=lambda line: line["time"])
    history = History(lines[-1]["time"])
    holding: dict[str, float] = {}
    faulty: dict[str, tuple[float, str]] = {}
    for line in lines:
        _take(history, line, holding, faulty)
    for node, start in holding.items():
        history.held.setdefault(node, []).append(Span(start, history.end))
    for node, (start, fault) in faulty.items():
        history.faults.setdefault(node, []).append((Span(start, history.end), fault))
    return history


def _take(
    history: History, line: dict[str, Any], holding: dict[str, float], faulty: dict[str, tuple[float, str]]
) -> None:
    node, now = line.get("node", ""), line["time"]
    match line["what"]:
        case "begin":
            history.bounds = Bounds(line["interval"])
        case "address" if line["added"]:
            holding[node] = now
        case "address" if node in holding:
            history.held.setdefault(node, []).append(Span(holding.pop(node), now))
        case "fault":
            faulty[node] = now, line["fault"]
        case "healed":
            start, fault = faulty.pop(node)
            history.faults.setdefault(node, []).append((Span(start, now), fault))
        case "ended":
            history.faults.setdefault(node, []).append((Span(now - UNSEEN_SECONDS, now), "ended"))
            if line["status"] != FAILED_FOR_GOOD:
                history.said.append(f"{clock(now)} {node} ended by itself with {line['status']}")
        case "stall":
            history.stalls.append(Span(now - line["seconds"], now))
        case "exit" if line["status"] != 0:
            history.said.append(f"{clock(now)} {node} ended with {line['status']} when it was told to stop")
        case "broken off" | "foreign address gone" | "defect":
            history.said.append(" ".join(filter(None, (clock(now), node, f"{line['what']}: {line['text']}"))))


def judge(history: History) -> list[str]:
    """What was violated, a sentence each."""
    return [*history.said, *_two(history), *_none(history), *_blinks(history)]


def _two(history: History) -> list[str]:
    found = []
    for one, other in itertools.combinations(sorted(history.held), 2):
        # Two masters that meet again hear of each other with the next advert.
        apart = [
            Span(span.start, span.end + history.bounds.interval)
            for node in (one, other)
            for span, fault in history.faults.get(node, ())
            if fault in PARTITIONS
        ]
        for a, b in itertools.product(history.held[one], history.held[other]):
            both = Span(max(a.start, b.start), min(a.end, b.end))
            gone = _taken_from(history, one, b) + _taken_from(history, other, a)
            for part in _without(both, apart + gone + history.stalls):
                if part.length > history.bounds.two:
                    at = [_fault_at(history, node, part) for node in (one, other)]
                    found.append(
                        f"{clock(part.start)} {one} ({at[0]}) and {other} ({at[1]}) held it for {part.length:.2f} s"
                    )
    return found


def _taken_from(history: History, node: str, by: Span) -> list[Span]:
    """Times in which the node could not let go, and another one took the VIP as the better one, not for its silence:
    nothing ends that but the lifetime."""
    bounds = history.bounds
    return [
        Span(span.start, span.start + bounds.lifetime)
        for span, fault in history.faults.get(node, ())
        # Its last advert may be an interval older than the fault.
        if fault in SILENT and by.start < span.start + (DEAD_ADVERTS - 1) * bounds.interval
    ]


def _none(history: History) -> list[str]:
    held = sorted((span for spans in history.held.values() for span in spans), key=lambda span: span.start)
    if not held:
        return ["nobody ever held it"]
    found = []
    for gap in _without(Span(held[0].start, history.end), held):
        for node in history.held:
            # Sound from before the gap to its end: then it should have taken the VIP.
            bad = [Span(span.start, span.end + history.bounds.grace) for span, _ in history.faults.get(node, ())]
            worst = max((part.length for part in _without(gap, bad + history.stalls)), default=0.0)
            if worst > history.bounds.none:
                though = f"though {node} was sound for {worst:.2f}"
                found.append(f"{clock(gap.start)} nobody held it for {gap.length:.2f} s, {though}")
                break
    return found


def _blinks(history: History) -> list[str]:
    """Times without a holder in which no node had a reason to leave."""
    held = sorted((span for spans in history.held.values() for span in spans), key=lambda span: span.start)
    bad = [
        Span(span.start, span.end + history.bounds.grace)
        for faults in history.faults.values()
        for span, fault in faults
        if fault not in HARMLESS
    ]
    whole = Span(held[0].start, held[-1].end) if held else Span(0, 0)
    return [
        f"{clock(gap.start)} nobody held it for {gap.length:.2f} s, though no master had to leave"
        for gap in _without(whole, held)
        if gap.length > BLINK_SECONDS and _without(gap, bad + history.stalls) == [gap]
    ]


def _without(span: Span, others: list[Span]) -> list[Span]:
    """The parts of ``span`` in which none of the others is."""
    parts = [span] if span.length > 0 else []
    for other in others:
        parts = [
            part
            for whole in parts
            for part in (Span(whole.start, min(whole.end, other.start)), Span(max(whole.start, other.end), whole.end))
            if part.length > 0
        ]
    return parts


def _fault_at(history: History, node: str, span: Span) -> str:
    there = [fault for its, fault in history.faults.get(node, ()) if its.start < span.end and its.end > span.start - 3]
    return ", ".join(there) or "sound"


if __name__ == "__main__":
    print("\n".join(judge(read(Path(sys.argv[1])))) or "nothing was violated")

"""False fail-overs on a machine that has no time and no memory left, at several advert intervals side by side.

The nodes and the load share a group's memory (cgroups(7)), so that its edge is not the machine's. Each node has its own
share of the processors, as a container has, and so has the load as a whole: what else the machine does keeps its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from app.contract.capabilities import NAMES
from bench.server import KillableServer
from lab import Lab, wait_until
from lab.pair import VIP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab import Node

#: The name of the load's group.
LOAD = "load"

INTERVALS = (1.0, 0.1, 0.02)
BUSY, EATERS = 64, 8
MIB = 1 << 20

#: The nodes' own share of the processors, or one share for them and the load.
OWN, SHARED = "own", "the load's"


@dataclass(frozen=True)
class Variant:
    """Where a node has its processor time from, what a user could add in conf.d, and the capabilities for that."""

    share: str
    words: str = ""
    capabilities: tuple[str, ...] = ()


VARIANTS = (
    Variant(OWN),
    Variant(SHARED),
    Variant(SHARED, "max_auto_priority 30", ("SYS_NICE",)),
    Variant(SHARED, "vrrp_rt_priority 10", ("SYS_NICE",)),
    Variant(SHARED, "vrrp_rt_priority 10\nvrrp_no_swap", ("SYS_NICE", "IPC_LOCK")),
)

#: What the eaters leave free of the group's memory, and the file that they read again and again: more than is free.
SLACK_BYTES, FILE_BYTES = 64 * MIB, 256 * MIB

#: What the group's memory has room for: the eaters', and a node's.
EATEN_BYTES, NODE_BYTES = 768 * MIB, 64 * MIB

#: Takes memory, and then reads the file for ever, so that the group always has to give pages back. The first to go when
#: there is none.
EATER = """
import pathlib, sys
pathlib.Path("/proc/self/oom_score_adj").write_text("1000")
taken = bytearray(int(sys.argv[1]))
while True:
    with open(sys.argv[2], "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
    for page in range(0, len(taken), 4096):
        taken[page] = 1
"""


@dataclass(frozen=True)
class Pair:
    """Two nodes with the same advert interval."""

    variant: Variant
    interval: float
    lab: Lab
    first: Node
    second: Node

    def settled(self) -> bool:
        """Whether the first node, and only it, holds the VIP."""
        return self.lab.holders(VIP) == {self.first.name}

    def record(self, began: float, ended: float) -> dict[str, Any]:
        """What became of it in that time: how often the second node took the VIP, and how often the first had given it
        up because of its check.
        """
        taken = [
            event
            for event in self.lab.timeline(VIP)
            if event.added and event.node == self.second.name and began <= event.time <= ended
        ]
        lines = self.first.log.lines
        failed = [line for line in lines if "Entering FAULT" in line.text and began <= line.time <= ended]
        return {
            "interval": self.interval,
            "share": self.variant.share,
            "words": self.variant.words.replace("\n", ", "),
            "fail_overs": len(taken),
            "by_check": len(failed),
        }


class Groups:
    """Control groups (cgroups(7), version 1) for the time of a `with` block: one for the memory of all, and one for the
    processor time of each container and of the load, as engines make them.
    """

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._own = {
            controller: Path("/sys/fs/cgroup") / controller / path.lstrip("/")
            for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
            for _, controllers, path in [line.split(":", 2)]
            for controller in controllers.split(",")
        }
        self._name = f"ka-bench-{os.getpid()}"
        self._memory = Path("/sys/fs/cgroup/memory") / self._name
        self._made: list[Path] = []
        #: The most that all of them together may have, in bytes.
        self.limit = EATEN_BYTES + nodes * NODE_BYTES

    def __enter__(self) -> Self:
        for controller in ("memory", "cpu"):
            for left in Path("/sys/fs/cgroup", controller).glob("ka-bench-*"):
                if not Path("/proc", left.name.split("-")[2]).exists():  # whoever made it was killed
                    _removed(left)
        self._make(self._memory)
        (self._memory / "memory.limit_in_bytes").write_text(f"{self.limit}\n", encoding="ascii")
        return self

    def __exit__(self, *_: object) -> None:
        # A process that has just been killed may be in one for a moment.
        for directory in self._made:
            wait_until(partial(_removed, directory), f"the end of {directory}")

    def _make(self, directory: Path) -> None:
        directory.mkdir()
        self._made.append(directory)

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """What this process starts meanwhile is in the groups, with processor time of its own called `name`."""
        processor = Path("/sys/fs/cgroup/cpu") / f"{self._name}-{name}"
        if processor not in self._made:
            self._make(processor)
            share = processor / "cpu.rt_runtime_us"
            if share.exists():  # without it nothing of the group may run in real time
                # All together at most 95 % of a second, and those of the load's many nodes half of that.
                microseconds = 450_000 if name == LOAD else 450_000 // self._nodes
                share.write_text(f"{microseconds}\n", encoding="ascii")
        try:
            _move(self._memory)
            _move(processor)
            yield
        finally:
            _move(self._own["memory"])
            _move(self._own["cpu"])

    @property
    def used(self) -> int:
        """Bytes of memory."""
        return int((self._memory / "memory.usage_in_bytes").read_text(encoding="ascii"))


def _move(directory: Path) -> None:
    (directory / "cgroup.procs").write_text(f"{os.getpid()}\n", encoding="ascii")


def obstacle() -> str | None:
    """What keeps this machine from the measurement, as a sentence."""
    if not Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists():
        return "The load is confined by control groups of version 1, whose memory controller is not here: left out."
    return None


def measure(
    seconds: float, intervals: Sequence[float] = INTERVALS, variants: Sequence[Variant] = VARIANTS
) -> list[dict[str, Any]]:
    """Every interval and variant at once, under each load for `seconds`; a record for each."""
    found = []
    asked = list(itertools.product(variants, intervals))
    with contextlib.ExitStack() as ends:
        groups = ends.enter_context(Groups(2 * len(asked)))
        place = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="ka-bench-", dir="/var/tmp")))
        place.chmod(0o755)
        pairs = [ends.enter_context(_pair(groups, place, *what)) for what in asked]
        for load in (f"{BUSY} busy", f"{BUSY} busy, {EATERS} eat memory"):
            for pair in pairs:
                wait_until(pair.settled, f"{pair}: n1 alone with the VIP", 120, pause=0.2)
            with _busy(groups), _eaters(groups, place) if "eat" in load else contextlib.nullcontext():
                began = time.time()
                # A measurement's length, no wait for an event.
                time.sleep(seconds)
                ended = time.time()
            for pair in pairs:
                record = {"load": load, "seconds": seconds, **pair.record(began, ended)}
                print(record, flush=True)
                found.append(record)
    return found


@contextlib.contextmanager
def _pair(groups: Groups, place: Path, variant: Variant, interval: float) -> Iterator[Pair]:
    data = Path(tempfile.mkdtemp(dir=place))
    data.chmod(0o755)
    (data / "conf.d").mkdir()
    if variant.words:
        (data / "conf.d" / "load.conf").write_text(f"global_defs {{\n{variant.words}\n}}\n", encoding="ascii")
    told = {
        "KA_TRACK_IFACE": "eth0",
        "KA_INCLUDE": f"{VIP}/24",
        "KA_VRID": "51",
        "KA_ADVERT_INTERVAL": f"{interval:g}",
        "KA_ENABLE_CHECK": "http://127.0.0.1/",
    }
    with Lab() as lab, contextlib.ExitStack() as ends:
        first, second = lab.add_node("n1"), lab.add_node("n2")
        for node, priority in ((first, "254"), (second, "253")):
            with groups.inside(LOAD if variant.share == SHARED else f"{lab.id}-{node.name}"):
                ends.enter_context(KillableServer(node))
                node.start({**told, "KA_PRIORITY": priority}, data=data, capabilities=(*NAMES, *variant.capabilities))
            lab.wait_holder(VIP, first)
        second.log.wait_for("Entering BACKUP STATE")
        yield Pair(variant, interval, lab, first, second)


@contextlib.contextmanager
def _busy(groups: Groups) -> Iterator[None]:
    with _processes(groups, [["sh", "-c", "while :; do :; done"]] * BUSY):
        yield


@contextlib.contextmanager
def _eaters(groups: Groups, place: Path) -> Iterator[None]:
    file = place / "read"
    with file.open("wb") as written:
        for _ in range(FILE_BYTES // MIB):
            written.write(os.urandom(MIB))
    each = (groups.limit - groups.used - SLACK_BYTES) // EATERS
    with _processes(groups, [[sys.executable, "-I", "-S", "-c", EATER, str(each), str(file)]] * EATERS):
        wait_until(lambda: groups.used > groups.limit - SLACK_BYTES, "the edge of the memory", 120, pause=0.1)
        yield


@contextlib.contextmanager
def _processes(groups: Groups, commands: Sequence[Sequence[str]]) -> Iterator[None]:
    begun: list[subprocess.Popen[bytes]] = []
    try:
        with groups.inside(LOAD):
            begun += [subprocess.Popen(command) for command in commands]
        yield
    finally:
        for process in begun:
            process.kill()
            process.wait()


def _removed(directory: Path) -> bool:
    with contextlib.suppress(OSError):
        directory.rmdir()
    return not directory.exists()

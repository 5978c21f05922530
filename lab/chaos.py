"""Seeded random faults on real nodes, and the history of what came of them, which lab.judge reads afterwards.

``python -m lab.chaos --steps 200 --seed 7``. A step causes a fault on one node; it is healed some steps later. Every
few steps all is healed, and the nodes have to settle.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, Signals
from typing import TYPE_CHECKING, TextIO

from lab import judge
from lab.errors import LabError
from lab.network import Lab
from lab.pair import ENVIRONMENT, GUARD, HTTP_CHECKER, KEEPALIVED, LOG_FORWARDER, VIP, ka
from lab.patience import LIMIT_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.node import Node
    from lab.service import Service

#: Steps after which all is healed.
ROUND = 12

#: Nodes that are at fault at the same time: one is always left.
MOST_AT_FAULT = 2

#: Seconds between two steps, at the most.
PACE_SECONDS = 1.5

#: Seconds that this process wakes up late, after which the machine counts as stalled: nothing is judged by such a time.
STALL_SECONDS = 0.3

#: The host's own addresses beside the one of the lab's network: nothing may touch them.
FOREIGN = ("192.0.2.{number}/24", "203.0.113.1{number}/32")

#: The program that gives VIPs their lifetimes; there is none with KA_LEASE=off.
KEEPER = r"app\.lease\.keeper"

#: Faults of which a node is not to run.
DOWN = {"node killed", "node stopped"}


@dataclass(frozen=True)
class Fault:
    """Something that happens to a node. ``heal`` undoes it; without one it is over at once."""

    cause: Callable[[Chaos, Node], None]
    heal: Callable[[Chaos, Node], None] | None = None


def _signal(pattern: str, signal: Signals) -> Callable[[Chaos, Node], None]:
    def send(_chaos: Chaos, node: Node) -> None:
        with contextlib.suppress(LabError):  # it may not run just now
            node.signal(pattern, signal, timeout=1.0)

    return send


def _stop(chaos: Chaos, node: Node) -> None:
    status = node.stop()
    chaos.note("exit", node, status=status)


def _service(fault: str) -> Callable[[Chaos, Node], None]:
    def cause(chaos: Chaos, node: Node) -> None:
        service = chaos.services[node.name]
        match fault:
            case "refuse":
                service.refuse()
            case "hang":
                service.hang()
            case _:
                service.answer(int(fault))

    return cause


def _mend_service(chaos: Chaos, node: Node) -> None:
    chaos.services[node.name].answer(200)


def _take_vip(_chaos: Chaos, node: Node) -> None:
    node.exec(["ip", "address", "del", f"{VIP}/24", "dev", "eth0"], check=False)


def _start(chaos: Chaos, node: Node) -> None:
    chaos.start(node)


def _ka(command: str) -> Callable[[Chaos, Node], None]:
    def run(_chaos: Chaos, node: Node) -> None:
        ka(node, command)

    return run


#: Every process of a node.
ALL = "."

FAULTS: dict[str, Fault] = {
    "node killed": Fault(lambda _, node: node.kill(), _start),
    "node stopped": Fault(_stop, _start),
    "node frozen": Fault(_signal(ALL, SIGSTOP), _signal(ALL, SIGCONT)),
    "link cut": Fault(lambda _, node: node.cut_link(), lambda _, node: node.mend_link()),
    "packets lost": Fault(lambda _, node: node.cut_link(keep_carrier=True), lambda _, node: node.mend_link()),
    "service refuses": Fault(_service("refuse"), _mend_service),
    "service hangs": Fault(_service("hang"), _mend_service),
    "service answers 500": Fault(_service("500"), _mend_service),
    "keepalived killed": Fault(_signal(KEEPALIVED, SIGKILL)),
    "keepalived frozen": Fault(_signal(KEEPALIVED, SIGSTOP), _signal(KEEPALIVED, SIGCONT)),
    "checker killed": Fault(_signal(HTTP_CHECKER, SIGKILL)),
    "checker frozen": Fault(_signal(HTTP_CHECKER, SIGSTOP), _signal(HTTP_CHECKER, SIGCONT)),
    "forwarder killed": Fault(_signal(LOG_FORWARDER, SIGKILL)),
    "guard killed": Fault(_signal(GUARD, SIGKILL)),
    "keeper killed": Fault(_signal(KEEPER, SIGKILL)),
    "keeper frozen": Fault(_signal(KEEPER, SIGSTOP), _signal(KEEPER, SIGCONT)),
    "reload": Fault(_signal(r"app\.pid1", SIGHUP)),
    "drain": Fault(_ka("drain"), _ka("undrain")),
    "VIP deleted": Fault(_take_vip),
}


@dataclass
class Chaos:
    """A run: the nodes, what is wrong with each, and the history as it is written."""

    lab: Lab
    random: random.Random
    history: TextIO
    changes: dict[str, str] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    at_fault: dict[str, str] = field(default_factory=dict)

    def note(self, what: str, node: Node | None = None, **more: object) -> None:
        """Writes a line of the history."""
        line = {"time": time.time(), "what": what, **({"node": node.name} if node else {}), **more}
        self.history.write(json.dumps(line) + "\n")

    def watch_the_machine(self, over: threading.Event) -> None:
        """Notes when this machine had no time for anybody. A thread of its own."""
        before = time.monotonic()
        while not over.wait(0.05):
            now = time.monotonic()
            if now - before > STALL_SECONDS:
                self.note("stall", seconds=now - before)
            before = now

    def begin(self, count: int) -> None:
        """Starts so many nodes, and returns when one of them is master."""
        self.note("begin", interval=float({**ENVIRONMENT, **self.changes}["KA_ADVERT_INTERVAL"]))
        for number in range(count):
            node = self.lab.add_node(f"n{number + 1}")
            for address in FOREIGN:
                node.exec(["ip", "address", "add", address.format(number=number + 1), "dev", "eth0"])
            self.services[node.name] = node.start_service()
            self.start(node)
        self.settle()

    def start(self, node: Node) -> None:
        """Starts a node with the environment of all."""
        priority = str(254 - list(self.lab.nodes).index(node.name))
        node.start({**ENVIRONMENT, "KA_PRIORITY": priority, **self.changes})

    def step(self) -> str:
        """Causes a fault, or heals one; gives what was done."""
        self._start_ended()
        if len(self.at_fault) >= MOST_AT_FAULT or (self.at_fault and self.random.random() < 0.4):
            return self.heal(self.random.choice(sorted(self.at_fault)))
        name = self.random.choice(sorted(set(self.lab.nodes) - set(self.at_fault)))
        fault = self.random.choice(sorted(FAULTS))
        node = self.lab.nodes[name]
        self.note("fault", node, fault=fault)
        FAULTS[fault].cause(self, node)
        if FAULTS[fault].heal is None:
            self.note("healed", node, fault=fault)
        else:
            self.at_fault[name] = fault
        return f"{name}: {fault}"

    def heal(self, name: str) -> str:
        """Heals what is wrong with a node."""
        fault, node = self.at_fault.pop(name), self.lab.nodes[name]
        heal = FAULTS[fault].heal
        assert heal is not None
        heal(self, node)
        self.note("healed", node, fault=fault)
        return f"{name}: {fault} healed"

    def settle(self) -> None:
        """Heals all, and waits until one node holds the VIP and every node is well."""
        for name in list(self.at_fault):
            self.heal(name)
        self.note("quiet")
        wait_until(self._is_settled, "one holder, and every node well", 2 * LIMIT_SECONDS)
        self.note("settled")

    def _start_ended(self) -> None:
        """Starts nodes that ended by themselves, as an engine does."""
        for name, node in self.lab.nodes.items():
            if not node.running and self.at_fault.get(name) not in DOWN:
                self.note("ended", node, status=node.wait())
                self.start(node)

    def _is_settled(self) -> bool:
        self._start_ended()
        return len(self.lab.holders(VIP)) == 1 and all(
            node.running and ka(node, "health").returncode == 0 for node in self.lab.nodes.values()
        )

    def end(self) -> None:
        """Stops every node, and writes what the kernel and the nodes have said."""
        for node in self.lab.nodes.values():
            if node.running:
                _stop(self, node)
        for event in self.lab.timeline():
            if not event.added and event.address != VIP and ":" not in event.address:
                line = {"time": event.time, "what": "foreign address gone", "node": event.node, "text": event.address}
                self.history.write(json.dumps(line) + "\n")
        for node in self.lab.nodes.values():
            texts = [line.text for log in (node.log, node.stderr) for line in log.lines]
            for text in texts:
                if "Traceback" in text or "a defect of its own" in text:
                    self.note("defect", node, text=text)
        for event in self.lab.timeline(VIP):
            what = {"time": event.time, "what": "address", "node": event.node, "added": event.added}
            self.history.write(json.dumps(what) + "\n")


def run(
    steps: int, seed: int, path: Path, *, nodes: int = 3, changes: dict[str, str] | None = None, say: bool = False
) -> list[str]:
    """The violations that the judge finds in the history, which is at ``path`` afterwards."""
    with path.open("w", encoding="utf-8", buffering=1) as history, Lab() as lab:
        chaos = Chaos(lab, random.Random(seed), history, changes or {})  # noqa: S311 - no secret
        over = threading.Event()
        threading.Thread(target=chaos.watch_the_machine, args=(over,), daemon=True).start()
        try:
            chaos.begin(nodes)
            for number in range(steps):
                done = chaos.step()
                if say:
                    print(f"{number + 1:5} {done}", flush=True)
                time.sleep(chaos.random.random() * PACE_SECONDS)
                if (number + 1) % ROUND == 0:
                    chaos.settle()
            chaos.settle()
        except LabError as error:
            chaos.note("broken off", text=str(error))
            print(lab.report(), file=sys.stderr)
        finally:
            over.set()
            chaos.end()
    return judge.judge(judge.read(path))


def main() -> int:
    """The command; status 1 when something was violated."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--history", type=Path, help="where the history goes; a temporary file if not given")
    parser.add_argument("variable", nargs="*", help="KA_NAME=VALUE, what every node has beside the lab's environment")
    options = parser.parse_args()
    path = options.history or Path(tempfile.mkstemp(prefix="ka-chaos-", suffix=".jsonl")[1])
    changes = dict(text.split("=", 1) for text in options.variable)
    found = run(options.steps, options.seed, path, nodes=options.nodes, changes=changes, say=True)
    print("\n".join(found) or "nothing was violated")
    print(f"the history is {path}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

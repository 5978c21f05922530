"""The main job, to watch: two nodes, one virtual IP, a client that never stops asking, and three things going wrong.

The last of them, a machine that dies, is shown twice: with adverts every second, which is the default, and every 0.1 s.

`make demo` runs it. It ends with status 0 only if every hand-over happened. With KEEP=1 in the environment the nodes
stay until Ctrl-C, to be looked at.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.network import Lab

if TYPE_CHECKING:
    from lab.client import Client
    from lab.node import Node
    from lab.watch import AddressEvent

VIP = "203.0.113.10"
ENVIRONMENT = {
    "KA_TRACK_IFACE": "auto",
    "KA_INCLUDE": f"{VIP}/24",
    "KA_VRID": "51",
    "KA_AUTH_PASS": "demo-123",
    "KA_ENABLE_CHECK": "http://127.0.0.1/",
    "KA_CHECK_INTERVAL": "0.2",
}
PRIORITIES = {"n1": "254", "n2": "253"}

#: What the quick form changes; adverts below a second need version 3 of VRRP, which has no passwords.
QUICK = {"KA_ADVERT_INTERVAL": "0.1", "KA_AUTH_PASS": ""}

#: Seconds that every hand-over may take, generously: a busy machine is slow, not broken.
PATIENCE = 20.0
#: Requests after a hand-over that show the new holder at work.
ANSWERS_TO_SEE = 5


@dataclass(frozen=True)
class HandOver:
    """One line of the summary. ``gap`` is the time without a holder, ``lost`` the requests nobody answered."""

    cause: str
    holder: str
    gap: float
    lost: int


class Screen:
    """Prints the timeline: time since the start, then what happened."""

    def __init__(self) -> None:
        self._start = time.time()
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def title(self, text: str) -> None:
        """A step of the demo."""
        print(f"\n{self._paint('1', text)}", flush=True)

    def line(self, text: str, *, moment: float | None = None, colour: str = "") -> None:
        """Something that happened, at ``moment`` (seconds since the epoch; now when not given)."""
        since = (time.time() if moment is None else moment) - self._start
        print(f"  {since:6.2f} s  {self._paint(colour, text)}", flush=True)

    def _paint(self, colour: str, text: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if self._colour and colour else text


class Demo:
    """The steps, in order."""

    def __init__(self, lab: Lab, screen: Screen) -> None:
        self._lab = lab
        self._screen = screen
        self._nodes = {name: lab.add_node(name) for name in PRIORITIES}
        self._visitor = lab.add_host("client")
        self._hand_overs: list[HandOver] = []
        self._clients: list[Client] = []
        self._changes: dict[str, str] = {}

    def run(self) -> None:
        """All of it. Raises LabError when something that should happen does not."""
        first, second = self._nodes.values()
        self._screen.title("Two nodes start, each with a web service behind it and the same environment")
        for name, text in ENVIRONMENT.items():
            print(f"            {name}={'********' if 'PASS' in name else text}")
        services = {name: node.start_service() for name, node in self._nodes.items()}
        for name, node in self._nodes.items():
            self._start(name, node)
        event = self._lab.wait_holder(VIP, first, timeout=PATIENCE)
        self._screen.line(f"{first.name} holds {VIP}: it has the higher priority", moment=event.time, colour="32")
        client = self._ask()
        self._screen.line(f"a client asks http://{VIP}/ ten times a second; {self._answered(client)} answers")

        self._screen.title("The service on the master stops")
        asked = time.time()
        services[first.name].refuse()
        self._screen.line(f"the service on {first.name} refuses connections")
        self._watch("service stopped", client, asked, first, second)

        self._screen.title("The service comes back")
        asked = time.time()
        services[first.name].answer(200)
        self._screen.line(f"the service on {first.name} answers again")
        self._watch("service came back", client, asked, second, first)

        self._screen.title("The master's whole machine loses power")
        self._die("1 s", client)
        client.stop()

        self._screen.title("The same death in the quick form: an advert every 0.1 s instead of every second")
        for name, text in QUICK.items():
            print(f"            {name}={text}{'' if text else '   (VRRP version 3 has no passwords)'}")
        self._changes = QUICK
        self._screen.line(f"{first.name} is repaired, and both nodes start anew")
        self._restart()
        client = self._ask()
        self._die("0.1 s", client)
        client.stop()

        self._summary()

    def _die(self, interval: str, client: Client) -> None:
        first, second = self._nodes.values()
        asked = time.time()
        first.power_off()
        self._screen.line(
            f"{first.name} died without a goodbye: the other waits until three adverts, {interval} apart, are missing"
        )
        self._watch(f"machine died ({interval})", client, asked, first, second)

    def _ask(self) -> Client:
        """A client that never stops asking, and has been answered."""
        client = self._visitor.start_client(f"http://{VIP}/")
        self._clients.append(client)
        client.wait_requests(ANSWERS_TO_SEE)
        return client

    def _restart(self) -> None:
        """Both nodes anew, the first on its feet again and master; the other is its backup."""
        first, second = self._nodes.values()
        second.stop()
        asked = time.time()
        self._revive(first)
        holds = self._lab.wait_holder(VIP, first, since=asked, timeout=PATIENCE)
        self._screen.line(f"{first.name} holds {VIP}", moment=holds.time, colour="32")
        mark = second.log.mark()
        self._start(second.name, second)
        second.log.wait_for("Entering BACKUP STATE", since=mark, timeout=PATIENCE)

    def _revive(self, node: Node) -> None:
        node.power_on()
        node.start_service()
        self._start(node.name, node)

    def keep(self) -> None:
        """Brings the dead node back and leaves everything running until Ctrl-C."""
        first, second = self._nodes.values()
        asked = time.time()
        self._revive(first)
        self._lab.wait_holder(VIP, first, since=asked, timeout=PATIENCE)
        self._screen.title("Everything is left running; Ctrl-C ends it. To look at it, in another terminal:")
        print(f"  who holds the VIP        ip netns exec {first.namespace} ip address show eth0")
        print(f"  ask as the client does   ip netns exec {self._visitor.namespace} curl http://{VIP}/")
        print(f"  cut the master's link    ip netns exec {first.namespace} ip link set eth0 down")
        print(f"  the adverts on the wire  ip netns exec {second.namespace} tcpdump -ni eth0 vrrp")
        print(f"  stop the master          kill {first.pid}")
        print("\n  What the nodes log:\n", flush=True)
        marks = dict.fromkeys(self._nodes.values(), 0)
        while any(node.running for node in self._nodes.values()):
            for node in marks:
                lines = node.log.lines[marks[node] :]
                marks[node] += len(lines)
                for line in lines:
                    print(f"  {node.name}  {line.text}", flush=True)
            time.sleep(0.2)  # a screen needs no more

    def _start(self, name: str, node: Node) -> None:
        node.start({**ENVIRONMENT, **self._changes, "KA_PRIORITY": PRIORITIES[name]})
        self._screen.line(f"{name} starts with KA_PRIORITY={PRIORITIES[name]}")

    def _watch(self, cause: str, client: Client, asked: float, before: Node, after: Node) -> None:
        taken = self._lab.wait_holder(VIP, after, since=asked, timeout=PATIENCE)
        gap = self._gap(asked, before, taken)
        client.wait_answer(after, since=taken.time, timeout=PATIENCE)
        client.wait_requests(len(client.requests) + ANSWERS_TO_SEE)
        lost = sum(1 for request in client.lost if request.time >= asked)
        if before.running and gap:
            self._screen.line(f"{before.name} gives {VIP} up", moment=taken.time - gap)
        later = f", {gap * 1000:.0f} ms later" if gap else ": it took over, the other let go after that"
        self._screen.line(f"{after.name} holds {VIP}{later}", moment=taken.time, colour="32")
        self._screen.line(f"{self._answered(client)} answers; requests lost: {lost}", colour="33" if lost else "")
        self._hand_overs.append(HandOver(cause, after.name, gap, lost))

    def _gap(self, asked: float, before: Node, taken: AddressEvent) -> float:
        """Seconds without a holder. A dead machine gives nothing up: its VIP is out of service from its death on."""
        if not before.running:
            return taken.time - asked
        given_up = [
            event.time
            for event in self._lab.timeline(VIP)
            if event.node == before.name and not event.added and asked <= event.time <= taken.time
        ]
        return taken.time - given_up[-1] if given_up else 0.0

    @staticmethod
    def _answered(client: Client) -> str:
        return next((request.answered_by for request in reversed(client.requests) if request.answered_by), "nobody")

    def _summary(self) -> None:
        self._screen.title("Hand-overs")
        print(f"  {'cause':<22}{'new holder':<12}{'without a holder':>18}{'requests lost':>15}")
        for hand_over in self._hand_overs:
            milliseconds = f"{hand_over.gap * 1000:.0f} ms"
            print(f"  {hand_over.cause:<22}{hand_over.holder:<12}{milliseconds:>18}{hand_over.lost:>15}")
        asked, lost = (sum(map(len, each)) for each in zip(*((c.requests, c.lost) for c in self._clients), strict=True))
        print(f"\n  {asked} requests, {lost} lost", flush=True)


def main() -> int:
    """Runs the demo and gives its exit status."""
    screen = Screen()
    try:
        with Lab() as lab:
            demo = Demo(lab, screen)
            demo.run()
            if os.environ.get("KEEP"):
                demo.keep()
    except LabError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nEnded; nothing is left behind.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

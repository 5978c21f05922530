"""A fleet: nodes with one environment, the name server that lists them, and who was master when."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from app.peers.rule import HOLD_ROUNDS, HOLD_SECONDS
from lab import LIMIT_SECONDS, LabError, wait_until
from lab.namespace import inside
from lab.pair import VIP, wait_state
from lab.programs import PATH

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from lab import Host, Lab, Node

NAME = "nodes.fleet.example"
REFRESH = 1.0
#: Seconds that a node which has just been listed waits before it takes part.
HOLD = HOLD_ROUNDS * REFRESH + HOLD_SECONDS

#: One for all nodes.
FLEET = {
    "KA_TRACK_IFACE": "auto",
    "KA_INCLUDE": f"{VIP}/24",
    "KA_PRIORITY": "auto",
    "KA_VRID": "51",
    "KA_AUTH_PASS": "fleet-51",
    "KA_UNICAST_PEERS": f"dns:{NAME}",
    "KA_PEER_REFRESH": f"{REFRESH:g}",
}


class NameServer:
    """dnsmasq on a host of the lab; it says what `names` says at the moment, and nothing may be cached."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self._records = directory / f"{host.name}-records"
        self._resolver = directory / f"{host.name}-resolv.conf"
        self._resolver.write_text(f"nameserver {host.ipv4}\noptions timeout:1 attempts:1\n", encoding="ascii")
        self._resolver.chmod(0o644)
        self._records.write_text("", encoding="ascii")
        #: Other names than NAME, and the address of each; they count with the next answer that is changed.
        self.others: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def binds(self) -> dict[Path, str]:
        """What makes a node ask this server."""
        return {self._resolver: "/etc/resolv.conf"}

    def start(self) -> None:
        """Answer, and return when the first answer could be had; LabError where there is no dnsmasq."""
        if shutil.which("dnsmasq", path=PATH) is None:
            raise LabError("A name server needs dnsmasq, not found here: run `apt-get install -y dnsmasq-base`.")
        self._process = subprocess.Popen(
            [
                *("ip", "netns", "exec", self.host.namespace, "dnsmasq", "--keep-in-foreground", "--user=root"),
                *("--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--local-ttl=0", "--pid-file="),
                *(f"--addn-hosts={self._records}", f"--listen-address={self.host.ipv4}", "--bind-interfaces"),
                *("--local=/example/", "--log-facility=-"),
            ],
            stderr=subprocess.DEVNULL,
        )
        self._await(None)

    def stop(self) -> None:
        """Answer no more: questions are refused at once. May be called again."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def say(self, *hosts: Host, ipv6: bool = False) -> None:
        """NAME stands for these hosts from now on."""
        addresses = [host.ipv6 if ipv6 else host.ipv4 for host in hosts]
        lines = [
            *(f"{address} {NAME}\n" for address in addresses),
            *(f"{its} {name}\n" for name, its in self.others.items()),
        ]
        self._records.write_text("".join(lines), encoding="ascii")
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)
            self._await(set(addresses))

    def _await(self, addresses: set[str] | None) -> None:
        """Wait for that answer; for any, if None."""

        def said() -> bool:
            with contextlib.suppress(OSError):
                answer = inside(self.host.namespace, self._ask)
                return addresses is None or answer == addresses
            return False

        wait_until(said, f"the name server's answer {addresses}")

    def _ask(self) -> set[str]:
        """The server's answer for NAME, both families."""
        found = set()
        for kind, family, size in ((1, socket.AF_INET, 4), (28, socket.AF_INET6, 16)):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
                question.settimeout(0.5)
                question.connect((self.host.ipv4, 53))
                labels = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split(".")) + b"\0"
                asked = labels + kind.to_bytes(2, "big") + b"\0\1"
                question.send(b"\0\1\1\0\0\1\0\0\0\0\0\0" + asked)
                reply = question.recv(4096)
            position = 12 + len(asked)
            for _ in range(int.from_bytes(reply[6:8], "big")):
                # Each record: a pointer to the name, type, class, time to live, length, address.
                start = position + 12
                found.add(socket.inet_ntop(family, reply[start : start + size]))
                position = start + size
        return found


@dataclass(frozen=True)
class Span:
    """`node` was master from `start` to `end`, in seconds since the epoch."""

    node: str
    start: float
    end: float


def spans(lab: Lab, vip: str, ends: dict[str, list[float]] | None = None) -> list[Span]:
    """Who held `vip` and when, in order; a node that was killed holds nothing after each of its `ends`."""
    holding: dict[str, float] = {}
    found = []
    for event in lab.timeline(vip):
        if event.added:
            holding[event.node] = event.time
        elif event.node in holding:
            found.append(Span(event.node, holding.pop(event.node), event.time))
    found += [Span(node, start, time.time()) for node, start in holding.items()]
    cut = []
    for span in found:
        end = min((end for end in (ends or {}).get(span.node, ()) if end > span.start), default=span.end)
        cut.append(Span(span.node, span.start, min(span.end, end)))
    return sorted(cut, key=lambda span: span.start)


class Fleet:
    """Nodes with one environment, and the name server that lists them."""

    def __init__(self, lab: Lab, names: NameServer, nodes: list[Node], environment: dict[str, str]) -> None:
        self.lab, self.names, self.nodes, self.environment = lab, names, nodes, environment
        self.died: dict[str, list[float]] = {}

    def start(self, *nodes: Node) -> None:
        """Start these nodes."""
        for node in nodes:
            node.start(self.environment, binds=self.names.binds)

    def spans(self, since: float = 0.0) -> list[Span]:
        """Who was master, from `since` on."""
        return [span for span in spans(self.lab, VIP, self.died) if span.end > since]

    def kill(self, node: Node) -> None:
        """Kill a node; its address stays on its host, but nobody is master there."""
        self.died.setdefault(node.name, []).append(time.time())
        node.kill()

    def power_off(self, node: Node) -> None:
        """Take a node's power away."""
        self.died.setdefault(node.name, []).append(time.time())
        node.power_off()

    def master(self, *, other_than: Node | None = None) -> Node:
        """The only master, once there is one."""

        def single() -> Node | None:
            now = time.time()
            holders = [span.node for span in self.spans() if span.end >= now]
            if len(holders) == 1 and (other_than is None or holders[0] != other_than.name):
                return self.lab.nodes[holders[0]]
            return None

        return wait_until(single, f"a single master of {VIP}")

    def wait_part(self, *nodes: Node) -> None:
        """Wait until these nodes take part."""
        for node in nodes:
            wait_state(node, "BACKUP", "MASTER", timeout=HOLD + LIMIT_SECONDS)

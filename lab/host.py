"""A host on the lab's switch: a network namespace with eth0, and what can happen to its cable."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.client import Client
from lab.errors import LabError
from lab.namespace import namespace_name
from lab.patience import LIMIT_SECONDS
from lab.programs import run
from lab.service import Service

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from lab.watch import Watch

#: Whether this kernel speaks IPv6 at all; without it the lab is an IPv4 network.
IPV6 = Path("/proc/sys/net/ipv6").is_dir()

#: The name of the switch, which no host can have, and of its bridge, whose ports have the names of the hosts.
SWITCH, BRIDGE = "switch", "br0"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,14}")  # it becomes the name of the switch's port: 15 characters at most

# As systemd has it on every host: with the kernel's 10 keepalived, which waits for whoever reads its log, waits
# after the tenth line.
_LOG_QUEUE = "echo 512 >/proc/sys/net/unix/max_dgram_qlen"

# Duplicate address detection would make VRRP for IPv6 wait two seconds for its link-local source address.
_SYSCTLS = (
    "for scope in all default; do cd /proc/sys/net/ipv6/conf/$scope; echo 0 >disable_ipv6; echo 0 >accept_dad; done"
)


def make_switch(namespace: str) -> None:
    """Make `namespace` with a bridge that forwards at once and everything: no STP, no delay, no multicast snooping."""
    run(["ip", "netns", "add", namespace])
    bridge = f"link add {BRIDGE} up type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n"
    run(["ip", "-n", namespace, "-batch", "-"], text=bridge)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a host needs of its lab: names, events, who starts processes, and who makes an error out of a sentence."""

    lab_id: str
    switch: str
    watch: Watch
    launcher: Executor
    explain: Callable[[str], LabError]


class Host:
    """A namespace with lo, eth0 on the switch, and the host number `number` in the lab's two networks."""

    def __init__(self, name: str, number: int, lab: Surroundings) -> None:
        if not _NAME.fullmatch(name) or name in {SWITCH, BRIDGE, "lo"}:
            raise LabError(f"A host cannot be called {name!r}: use up to 15 lower-case letters, digits and hyphens.")
        self.name = name
        self.namespace = namespace_name(lab.lab_id, name)
        self.ipv4 = f"203.0.113.{number}"
        self.ipv6 = f"2001:db8::{number}"
        self._lab = lab
        self._watch = lab.watch
        self._started: list[Service | Client] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def connect(self) -> None:
        """Make the namespace, plug it into the switch and wait until its addresses can be used."""
        run(["ip", "netns", "add", self.namespace])
        self.exec(["sh", "-c", _LOG_QUEUE])
        if IPV6:
            self.exec(["sh", "-c", _SYSCTLS])
        self._watch.add(self.name, self.namespace)
        # The switch has its bridge first, so a port never has the link index of the eth0 at its other end: the kernel
        # takes such a pair for one device and may report the loss of its carrier up to a second late.
        self._on_switch(
            f"link add {self.name} type veth peer name eth0 netns {self.namespace}\n"
            f"link set {self.name} master {BRIDGE} up\n"
        )
        self._configure("link set lo up\nlink set eth0 up\n" + self._address_lines())
        self._wait(self._ready, "has no link and addresses")

    def _address_lines(self) -> str:
        lines = f"address replace {self.ipv4}/24 dev eth0\n"
        return lines + f"address replace {self.ipv6}/64 dev eth0 nodad\n" if IPV6 else lines

    def _ready(self) -> bool:
        addresses = self._watch.addresses(self.name)
        found = self.ipv4 in addresses
        if IPV6:
            found = found and self.ipv6 in addresses and any(address.startswith("fe80:") for address in addresses)
        return found and self._watch.carrier(self.name, "eth0")

    def exec(
        self, command: Sequence[str], *, check: bool = True, timeout: float = LIMIT_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` in the host's network, outside any container; see lab.programs.run for the rest."""
        return run(["ip", "netns", "exec", self.namespace, *command], check=check, timeout=timeout)

    def cut_link(self, *, keep_carrier: bool = False) -> None:
        """Cut the cable: eth0 loses its carrier; or it keeps it, and the switch drops all its packets."""
        if keep_carrier:
            self._on_switch(f"link set {self.name} nomaster\n")
            return
        self._on_switch(f"link set {self.name} down\n")
        self._wait(lambda: not self._watch.carrier(self.name, "eth0"), "still has its link")

    def mend_link(self) -> None:
        """Undo cut_link, whichever it was."""
        self._on_switch(f"link set {self.name} master {BRIDGE} up\n")
        self._wait(lambda: self._watch.carrier(self.name, "eth0"), "has no link")

    def start_service(self, port: int = 80) -> Service:
        """Start a web service on every address of this host, on the host and not in the node's container."""
        service = Service(self.namespace, self.name, port, ipv6=IPV6)
        self._started.append(service)
        return service

    def start_client(self, url: str, *, rate: float = 10.0, timeout: float = 0.5) -> Client:
        """Start asking `url` from this host `rate` times a second; an answer counts within `timeout` seconds."""
        client = Client(self.namespace, url, rate=rate, timeout=timeout, explain=self._lab.explain)
        self._started.append(client)
        return client

    def close(self) -> None:
        """Stop everything that this process runs on the host; the namespace stays."""
        while self._started:
            self._started.pop().stop()

    def _configure(self, lines: str) -> None:
        run(["ip", "-n", self.namespace, "-batch", "-"], text=lines)

    def _on_switch(self, lines: str) -> None:
        run(["ip", "-n", self._lab.switch, "-batch", "-"], text=lines)

    def _wait(self, condition: Callable[[], bool], problem: str, timeout: float = LIMIT_SECONDS) -> None:
        """Wait for an address or link event that makes `condition` true; else LabError: this host `problem`."""
        if self._watch.wait(lambda: True if condition() else None, timeout) is None:
            raise self._lab.explain(f"{self.name} {problem} after {timeout:g} s.")

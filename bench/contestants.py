"""Who is measured in one run: this project's node at its defaults, and a keepalived.conf as people write it by hand."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from app.contract.capabilities import NAMES
from bench.server import KillableServer
from lab import wait_until
from lab.pair import KA, VIP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Client, Lab, Node

#: keepalived as public descriptions have it: curl in a vrrp_script, at this project's interval and counts.
HAND_WRITTEN = """
global_defs {{
    router_id {name}
    script_user root
    enable_script_security
}}
vrrp_script service {{
    script "/usr/bin/curl --silent --fail --output /dev/null --max-time 2 http://127.0.0.1/"
    interval 2
    rise 2
    fall 2
}}
vrrp_instance main {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 1
    virtual_ipaddress {{
        {vip}/24 dev eth0
    }}
    track_script {{
        service
    }}
}}
"""

#: What README.md tells a user to set, and nothing else; the priorities are those that KA_PRIORITY=auto gives.
DEFAULTS = {
    "KA_TRACK_IFACE": "eth0",
    "KA_INCLUDE": f"{VIP}/24",
    "KA_VRID": "51",
    "KA_AUTH_PASS": "bench-12",
    "KA_ENABLE_CHECK": "http://127.0.0.1/",
}


class Contestant:
    """Two nodes with a service each, and somebody who asks the VIP every 5 ms."""

    name = ""
    priorities: tuple[int, int]

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self._directory = directory
        self.first, self.second = lab.add_node("n1"), lab.add_node("n2")
        self.servers = {node: KillableServer(node) for node in (self.first, self.second)}
        self._visitor = lab.add_host("client")
        self.adverts = lab.sniff()

    def start(self, node: Node) -> None:
        """Starts a node."""
        raise NotImplementedError

    def drain(self) -> None:
        """Takes the first node out as a user of this kind does."""
        raise NotImplementedError

    def undrain(self) -> None:
        """Takes it in again."""
        raise NotImplementedError

    def priority(self, node: Node) -> int:
        """The node's number."""
        return self.priorities[node is self.second]

    def begin(self) -> None:
        """Starts both, the first as master."""
        self.start(self.first)
        self.lab.wait_holder(VIP, self.first)
        self.start(self.second)
        wait_until(self._second_listens, "the second node as backup")

    def _second_listens(self) -> bool:
        said = (*self.second.log.lines, *self.second.stderr.lines)
        return any("Entering BACKUP STATE" in line.text for line in said)

    def wait_ready(self) -> None:
        """Wait until the first node, and only it, holds the VIP, as before any fault."""
        wait_until(
            lambda: self.lab.holders(VIP) == {self.first.name}, f"{self.name}: n1 alone holds the VIP", 90, pause=0.2
        )

    @contextlib.contextmanager
    def asked(self) -> Iterator[Client]:
        """A request every 5 ms; the first have been answered by the first node."""
        client = self._visitor.start_client(f"http://{VIP}/", rate=200)
        try:
            client.wait_answer(self.first)
            yield client
        finally:
            client.stop()


class Ours(Contestant):
    """`ka run` at its defaults."""

    name = "docker-keepalived"
    priorities = (254, 253)

    def start(self, node: Node) -> None:
        node.start({**DEFAULTS, "KA_PRIORITY": str(self.priority(node))})

    def drain(self) -> None:
        self.first.enter([*KA, "drain"])

    def undrain(self) -> None:
        self.first.enter([*KA, "undrain"])


class HandWritten(Contestant):
    """The same keepalived with HAND_WRITTEN, as PID 1 of its container; it is stopped where ours is drained."""

    name = "vrrp_script and curl"
    priorities = (100, 90)

    def start(self, node: Node) -> None:
        config = self._directory / f"{node.name}.conf"
        config.write_text(HAND_WRITTEN.format(name=node.name, priority=self.priority(node), vip=VIP), encoding="ascii")
        config.chmod(0o644)
        command = ["keepalived", "--dont-fork", "--vrrp", "--log-console", "--use-file", "/run/keepalived.conf"]
        node.start(command=command, binds={config: "/run/keepalived.conf"}, capabilities=NAMES)

    def drain(self) -> None:
        os.kill(self.first.pid, signal.SIGTERM)

    def undrain(self) -> None:
        self.first.wait()
        self.start(self.first)

"""Nodes whose settings are in files that they mount, and reloads of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from signal import SIGHUP
from typing import TYPE_CHECKING

from lab.pair import KEEPALIVED, VIP, ka, wait_state

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from lab import Lab, Node

#: The variables whose values are in files here, which change while the environment stays.
IN_FILES = ("KA_AUTH_PASS", "KA_ENABLE_CHECK", "KA_UNICAST_PEERS")

ENVIRONMENT = {
    "KA_TRACK_IFACE": "eth0",
    "KA_INCLUDE": f"{VIP}/24",
    "KA_VRID": "51",
    "KA_CHECK_INTERVAL": "0.5",
    "KA_CHECK_TIMEOUT": "1",
    "KA_CHECK_RISE": "1",
}


@dataclass(frozen=True)
class Mounted:
    """A node and the files that it mounts."""

    node: Node
    data: Path

    def start(self, priority: int) -> None:
        """Start it; those of IN_FILES that have a file are told by it."""
        files = {f"{name}_FILE": f"/ka-data/{name}" for name in IN_FILES if (self.data / name).exists()}
        self.node.start({**ENVIRONMENT, "KA_PRIORITY": str(priority), **files}, data=self.data)

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Change a file that the node mounts."""
        path = self.data / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def reload(self) -> subprocess.CompletedProcess[str]:
        """`ka reload`, as `docker exec` runs it."""
        return ka(self.node, "reload")

    def hang_up(self, line: str = "") -> None:
        """SIGHUP to PID 1, until the log has `line`; it must not be the same as last time, which the log would fold."""
        mark = self.node.log.mark()
        os.kill(self.node.pid, SIGHUP)
        if line:
            self.node.log.wait_for(line, since=mark)


def mounted(lab: Lab, name: str, directory: Path) -> Mounted:
    """A node that is yet to be started, its service, and a directory for its files."""
    data = directory / name
    data.mkdir()
    node = lab.add_node(name)
    node.start_service()
    return Mounted(node, data)


def change_auth_pass(number: int, *nodes: Mounted) -> None:
    """A new password, on all nodes before one of them hears of it."""
    for node in nodes:
        node.write("KA_AUTH_PASS", f"pass-{number}\n")


def change_conf_d(number: int, first: Mounted, *_: Mounted) -> None:
    """Own text: another instance, with another VIP each time."""
    first.write(
        "conf.d/own.conf",
        "vrrp_instance own {\n    interface eth0\n    virtual_router_id 77\n    priority 9\n"
        f"    virtual_ipaddress {{\n        203.0.113.{20 + number}/24\n    }}\n}}\n",
    )


def change_check(number: int, *nodes: Mounted) -> None:
    """Other URLs to ask."""
    for node in nodes:
        node.write("KA_ENABLE_CHECK", f"http://127.0.0.1/{number}\n")


def change_peers(number: int, *nodes: Mounted) -> None:
    """A peer more or less."""
    addresses = [node.node.ipv4 for node in nodes] + [f"203.0.113.{30 + number}"]
    for node in nodes:
        node.write("KA_UNICAST_PEERS", f"{','.join(addresses)}\n")


CHANGES = (change_auth_pass, change_conf_d, change_check, change_peers)


def lost_in_reloads(
    lab: Lab, directory: Path, times: int, *, rate: float = 50.0, timeout: float = 0.5
) -> tuple[int, int]:
    """Reloads both nodes of a pair, `times` times in all, while `rate` requests a second go to the VIP.

    Gives how many requests there were, and how many had no good answer within `timeout` seconds. The VIP must have
    stayed where it was.
    """
    n1, n2 = mounted(lab, "n1", directory), mounted(lab, "n2", directory)
    for change in CHANGES:
        change(0, n1, n2)
    n1.start(254)
    lab.wait_holder(VIP, n1.node)
    n2.start(253)
    wait_state(n2.node, "BACKUP")
    client = lab.add_host("client").start_client(f"http://{VIP}/", rate=rate, timeout=timeout)
    client.wait_answer(n1.node)
    running = n1.node.processes(KEEPALIVED)
    for number in range(times):
        CHANGES[number % len(CHANGES)](number + 1, n1, n2)
        for node in (n1, n2):
            node.hang_up(r"reloaded, changed: |nothing has changed")
    asked = len(client.requests)
    client.wait_requests(asked + int(rate))  # what the last reload did shows by now
    client.stop()
    assert n1.node.processes(KEEPALIVED) == running
    assert [(event.node, event.added) for event in lab.timeline(VIP)] == [("n1", True)]
    assert {request.answered_by for request in client.requests} == {"n1"}
    return len(client.requests), len(client.lost)

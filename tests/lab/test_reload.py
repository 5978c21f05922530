"""SIGHUP and `ka reload`: what changed is applied without a request lost, and what is wrong is refused."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from signal import SIGHUP
from typing import TYPE_CHECKING

from lab.sandbox import interpreter
from tests.lab.fleet import VIP, wait_state

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from lab import Lab, Node

CONFIG = "/run/ka/keepalived.conf"
KEEPALIVED = r"^keepalived "
REFUSED = "nothing was changed, the old configuration goes on"

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
        return self.node.enter([str(interpreter()), "-m", "app", "reload"], check=False)

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


def lost_in_reloads(lab: Lab, directory: Path, times: int, *, rate: float = 50.0) -> tuple[int, int]:
    """Reloads both nodes of a pair, `times` times in all, while `rate` requests a second go to the VIP.

    Gives how many requests there were, and how many were lost. The VIP must have stayed where it was.
    """
    n1, n2 = mounted(lab, "n1", directory), mounted(lab, "n2", directory)
    for change in CHANGES:
        change(0, n1, n2)
    n1.start(254)
    lab.wait_holder(VIP, n1.node)
    n2.start(253)
    wait_state(n2.node, "BACKUP")
    client = lab.add_host("client").start_client(f"http://{VIP}/", rate=rate)
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


def test_no_request_is_lost_in_reloads(lab: Lab, tmp_path: Path) -> None:
    requests, lost = lost_in_reloads(lab, tmp_path, 2 * len(CHANGES))
    assert lost == 0
    assert requests > 100
    config = lab.nodes["n1"].read(CONFIG)
    assert '"pass-5"' in config
    assert "203.0.113.38" in config
    assert "http://127.0.0.1/7" in lab.nodes["n1"].read("/run/ka/http-checker.json")


WRONG: dict[str, tuple[Callable[[Mounted], None], str]] = {
    "password": (
        lambda node: node.write("KA_AUTH_PASS", "much-too-long\n"),
        r"KA_AUTH_PASS: cannot be a text of 13 characters; it must be 1–8 printable ASCII characters",
    ),
    "no password file": (
        lambda node: (node.data / "KA_AUTH_PASS").unlink(),
        r"KA_AUTH_PASS_FILE: cannot read /ka-data/KA_AUTH_PASS: No such file",
    ),
    "unknown keyword": (
        lambda node: node.write("conf.d/own.conf", "vrrp_instance own {\n    interfaces eth0\n}\n"),
        r"/ka-data/conf\.d/own\.conf: Line 2\) Unknown keyword 'interfaces'",
    ),
    "absent link": (
        lambda node: node.write("conf.d/own.conf", "vrrp_instance own {\n    interface eth9\n}\n"),
        r"/ka-data/conf\.d/own\.conf: Line 2\).*eth9.*doesn't exist",
    ),
    "cut off": (
        lambda node: node.write("conf.d/own.conf", "vrrp_instance own {\n"),
        r"/ka-data/conf\.d/own\.conf: ends too early, a brace is never closed",
    ),
    "executable": (
        lambda node: node.write("conf.d/own.conf", "# Nothing.\n", 0o755),
        r"/ka-data/conf\.d/own\.conf: is executable, which makes keepalived skip it",
    ),
    "template's syntax": (
        lambda node: node.write("templates/keepalived.conf", "{% if %}\n"),
        r"/ka-data/templates/keepalived\.conf: cannot be used, line 1: .*; it must be a Jinja2 template",
    ),
    "template's names": (
        lambda node: node.write("templates/keepalived.conf", "{{ plan.nothing }}\n"),
        r"template /ka-data/templates/keepalived\.conf: cannot be rendered: .*nothing",
    ),
    "template's result": (
        lambda node: node.write("templates/keepalived.conf", "nonsense {\n}\n"),
        r"by /ka-data/templates/keepalived\.conf\).*nonsense",
    ),
}


def test_a_wrong_change_is_refused_and_the_old_configuration_goes_on(lab: Lab, tmp_path: Path) -> None:
    n1 = mounted(lab, "n1", tmp_path)
    change_auth_pass(1, n1)
    n1.start(254)
    lab.wait_holder(VIP, n1.node)
    before = n1.node.read(CONFIG)
    running = n1.node.processes(KEEPALIVED)

    assert (n1.reload().returncode, n1.reload().stdout) == (0, "nothing has changed\n")
    for what, (spoil, sentence) in WRONG.items():
        spoil(n1)
        done = n1.reload()
        assert done.returncode == 78, what
        assert re.search(sentence, done.stderr), (what, done.stderr)
        assert done.stderr.splitlines()[-1] == REFUSED
        # The same by SIGHUP, in the log.
        n1.hang_up(REFUSED)
        assert re.search(sentence, n1.node.log.text), what
        assert n1.node.read(CONFIG) == before
        for path in ("conf.d/own.conf", "templates/keepalived.conf"):
            (n1.data / path).unlink(missing_ok=True)
        change_auth_pass(1, n1)
    assert n1.node.processes(KEEPALIVED) == running
    assert [(event.node, event.added) for event in lab.timeline(VIP)] == [("n1", True)]

    change_auth_pass(2, n1)
    done = n1.reload()
    assert done.returncode == 0
    assert done.stdout.startswith("reloaded, changed: keepalived.conf")
    assert '"pass-2"' in n1.node.read(CONFIG)


def test_own_text_and_an_own_template(lab: Lab, tmp_path: Path) -> None:
    n1 = mounted(lab, "n1", tmp_path)
    change_conf_d(1, n1)
    n1.start(254)
    lab.wait_holder("203.0.113.21", n1.node)
    lab.wait_holder(VIP, n1.node)

    # A template may do everything itself, this one with another VIP; keepalived lets go of the one that is no more.
    change_conf_d(2, n1)
    n1.hang_up()
    lab.wait_holder("203.0.113.22", n1.node)
    lab.wait_released("203.0.113.21", n1.node)
    n1.write(
        "templates/keepalived.conf",
        "vrrp_instance {{ plan.instances[0].name }} {\n    interface eth0\n    virtual_router_id 51\n    priority 7\n"
        "    virtual_ipaddress {\n        203.0.113.40/24\n    }\n}\n",
    )
    n1.hang_up()
    lab.wait_holder("203.0.113.40", n1.node)
    for gone in (VIP, "203.0.113.22"):
        lab.wait_released(gone, n1.node)

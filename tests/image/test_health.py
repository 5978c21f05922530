"""HEALTHCHECK: healthy, and unhealthy when keepalived hangs or claims what the kernel does not have."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from lab import wait_until
from lab.engine import RESTRICTED, environment

if TYPE_CHECKING:
    from lab.engine import Container, Engine

VALUES = {
    "KA_TRACK_IFACE": "auto",
    "KA_PRIORITY": "254",
    "KA_VRRP_VERSION": "3",
    "KA_ADVERT_INTERVAL": "0.2",
}


def wait_health(node: Container, status: str) -> None:
    """Returns when the engine calls ``node`` that: it checks every 5 s, and believes the second failure in a row."""
    wait_until(lambda: node.health == status, f"{node.name} is {status}\n{node.report()}")


def last_words(node: Container) -> str:
    """What the last health check printed."""
    said: str = node.state["Health"]["Log"][-1]["Output"]
    return said.strip()


def test_healthy_and_unhealthy_when_it_is_not_what_it_claims(engine: Engine) -> None:
    """Three nodes at once, for each takes its two failures."""
    network = engine.network()

    def start(name: str, vrid: int, vip: str) -> Container:
        told = VALUES | {"KA_VRID": str(vrid), "KA_INCLUDE": vip}
        return engine.run(name, ["--network", network, *RESTRICTED, *environment(told)])

    hangs = start("hangs", 51, "198.51.100.10/24")
    half = start("half", 52, "198.51.100.11/24")
    # The VIP is on another link than the adverts, as with routed services.
    empty = start("empty", 53, "198.51.100.12/32/lo")
    for node in (hangs, half, empty):
        wait_health(node, "healthy")
        assert last_words(node) == "main is MASTER, priority 254"

    for node in (hangs, half):  # PID 1 would end a keepalived that does not go on
        pid_1 = next(pid for _, pid, command in node.processes() if "app.pid1" in command)
        os.kill(pid_1, signal.SIGSTOP)
    for pid in hangs.pid_of("keepalived"):
        os.kill(pid, signal.SIGSTOP)
    os.kill(half.pid_of("keepalived")[-1], signal.SIGSTOP)  # the one that speaks VRRP
    # Below 68 bytes a link carries no IPv4 (RFC 791): the kernel takes the address away and gives it to nobody again.
    assert empty.execute("ip", "link", "set", "lo", "mtu", "60").returncode == 0
    for node in (hangs, half, empty):
        wait_health(node, "unhealthy")
    assert last_words(hangs) == last_words(half) == "keepalived does not answer within 1 s"
    assert last_words(empty) == "main claims MASTER but this host does not hold 198.51.100.12"


def test_failed_service_is_no_failed_container(engine: Engine) -> None:
    """FAULT is the node's work, and restarting its container would cure nothing."""
    checked = VALUES | {"KA_VRID": "54", "KA_INCLUDE": "198.51.100.13/24", "KA_ENABLE_CHECK": "http://127.0.0.1:8080/"}
    node = engine.run("fault", ["--network", engine.network(), *RESTRICTED, *environment(checked)])
    wait_health(node, "healthy")
    assert last_words(node).startswith("main is FAULT")

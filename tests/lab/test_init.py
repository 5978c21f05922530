"""`ka init VIP`: what it prints makes a working pair with no other input, and a VIP that is taken is refused."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from app.contract.advert import GROUPS, VRRP, checksum
from lab import wait_until
from lab.doctor import IDLE, SOUND, doctor
from lab.namespace import inside
from lab.pair import VIP, VIP6, ka, wait_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lab import Host, Lab, Node


def settings_of(printed: str) -> dict[str, str]:
    """The environment that docker's --env-file makes of it."""
    lines = [line for line in printed.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def n1(lab: Lab) -> Node:
    """A node in which nothing runs, without any variable."""
    node = lab.add_node("n1")
    node.start({}, command=IDLE)
    return node


@pytest.mark.parametrize(("vip", "prefix"), [(VIP, 24), (VIP6, 64)])
def test_what_it_prints_makes_a_working_pair(lab: Lab, n1: Node, vip: str, prefix: int) -> None:
    done = ka(n1, "init", vip)
    assert (done.returncode, done.stderr) == (0, "")
    settings = settings_of(done.stdout)
    assert settings["KA_INCLUDE"] == f"{vip}/{prefix}"
    if vip == VIP:
        assert re.fullmatch(r"[A-Za-z0-9]{8}", settings["KA_AUTH_PASS"])
    n1.kill()
    n2 = lab.add_node("n2")
    n1.start(settings)
    lab.wait_holder(vip, n1)
    n2.start(settings)
    wait_state(n2, "BACKUP")
    assert [doctor(node).codes for node in (n1, n2)] == [set(), set()]
    stopped = time.time()
    n1.stop()
    lab.wait_holder(vip, n2, since=stopped)


def test_both_of_a_pair_started_at_once(lab: Lab, n1: Node) -> None:
    settings = settings_of(ka(n1, "init", VIP).stdout)
    n1.kill()
    n2 = lab.add_node("n2")
    n1.start(settings)
    n2.start(settings)
    # Of equal ones that begin at once the higher address wins (RFC 5798 §6.4.3), else who began first.
    wait_until(lambda: len(lab.holders(VIP)) == 1, "one holder")
    (holder,) = lab.holders(VIP)
    master, backup = (n1, n2) if holder == "n1" else (n2, n1)
    wait_state(master, "MASTER")
    wait_state(backup, "BACKUP")


@contextmanager
def routers(host: Host, vrids: Iterable[int]) -> Iterator[None]:
    """Adverts of so many routers, on one host: keepalived would take a minute for that."""
    address = socket.inet_aton("198.51.100.10")
    packets = []
    for vrid in vrids:
        head = struct.pack("!BBBBBB", 2 << 4 | 1, vrid, 100, 1, 0, 1)
        packets.append(head + struct.pack("!H", checksum(head + bytes(2) + address + bytes(8))) + address + bytes(8))
    ended = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, VRRP) as raw:
            raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host.ipv4))
            while not ended.wait(0.2):
                for packet in packets:
                    raw.sendto(packet, (GROUPS[4], 0))

    thread = threading.Thread(target=inside, args=(host.namespace, send))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_vrid_that_is_used_is_not_chosen(lab: Lab, n1: Node) -> None:
    with routers(lab.add_host("others"), set(range(1, 256)) - {77, 78}):
        done = ka(n1, "init", VIP)
    assert settings_of(done.stdout)["KA_VRID"] in {"77", "78"}
    assert "203.0.113.101 has 51" in done.stdout


def test_a_vip_that_is_taken(lab: Lab, n1: Node) -> None:
    def refused(vip: str) -> str:
        done = ka(n1, "init", vip)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    stranger = lab.add_host("stranger")
    mac = stranger.exec(["cat", "/sys/class/net/eth0/address"]).stdout.strip()
    for vip, prefix in ((VIP, 24), (VIP6, 64)):
        stranger.exec(["ip", "address", "add", f"{vip}/{prefix}", "dev", "eth0"])
        assert refused(vip) == f"ka: {vip}: {mac} on eth0 answers for it; it must be an address that nobody has\n"
        stranger.exec(["ip", "address", "del", f"{vip}/{prefix}", "dev", "eth0"])
    assert refused(n1.ipv4).startswith(f"ka: {n1.ipv4}: this machine has it already; ")
    assert "is in no subnet" in refused("198.51.100.10/24/eth0")
    assert "cannot be 203.0.113.300" in refused("203.0.113.300")
    other = lab.add_node("n2")
    other.start(SOUND)
    lab.wait_holder(VIP, other)
    assert "203.0.113.12 sends adverts with it on eth0, VRID 51" in refused(VIP)

"""`ka doctor`: what is wrong with checks, with what they ask, with the log and with Kubernetes, each made for real."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from app.host.link_states import SYSCTL
from lab import wait_until
from lab.doctor import IDLE, SOUND, doctor
from lab.namespace import inside
from lab.pair import VIP, make_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Host, Lab, Node

HEALTH = {"KA_ENABLE_CHECK": "http://127.0.0.1:8080/health"}


@contextmanager
def listening(host: Host, address: str, port: int) -> Iterator[None]:
    """Something that listens there."""
    with inside(host.namespace, lambda: socket.create_server((address, port))):
        yield


def test_a_time_out_that_is_longer_than_the_interval(idle: Node) -> None:
    slow = {**HEALTH, "KA_CHECK_INTERVAL": "2", "KA_CHECK_TIMEOUT": "5"}
    found = doctor(idle, "checks", **slow)
    assert (found.status, found.codes) == (1, {"KA0601"})
    assert found.cures["KA0601"] == "KA_CHECK_TIMEOUT=2"
    assert doctor(idle, "checks", **HEALTH).codes == set()


def test_a_check_that_asks_the_vip(idle: Node) -> None:
    found = doctor(idle, "checks", KA_ENABLE_CHECK=f"http://ka:pa55w0rd@{VIP}:8080/health")
    assert found.codes == {"KA0602"}
    assert found.cures["KA0602"] == "KA_ENABLE_CHECK=http://***@127.0.0.1:8080/health"
    assert "pa55w0rd" not in str(found)


def test_a_service_that_is_not_reached_at_the_vip(idle: Node) -> None:
    with listening(idle, "127.0.0.1", 8080):
        found = doctor(idle, "checks", **HEALTH)
        assert found.codes == {"KA0603"}
        assert (
            f"port 8080 listens at 127.0.0.1 alone, so nobody reaches that port at {VIP}" in found.sentences["KA0603"]
        )
    with listening(idle, "0.0.0.0", 8080):
        assert doctor(idle, "checks", **HEALTH).codes == set()


def test_a_service_that_could_not_start_on_a_backup(idle: Node) -> None:
    idle.exec(["ip", "address", "add", f"{VIP}/24", "dev", "eth0"])
    with listening(idle, VIP, 8080):
        assert doctor(idle, "checks").codes == {"KA0604"}
        idle.exec(["sh", "-c", f"echo 1 >{SYSCTL}/ipv4/ip_nonlocal_bind"])
        assert doctor(idle, "checks").codes == set()


@contextmanager
def dns(host: Host, address: str) -> Iterator[None]:
    """A DNS service that answers everything and does not look at where it was asked."""
    server = inside(host.namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.bind((address, 53))
    server.settimeout(0.2)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                question, asker = server.recvfrom(512)
            except TimeoutError:
                continue
            server.sendto(question[:2] + b"\x81\x80" + question[4:], asker)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        server.close()


def test_dns_that_answers_from_another_address(idle: Node) -> None:
    idle.exec(["ip", "address", "add", f"{VIP}/24", "dev", "eth0"])
    with dns(idle, "0.0.0.0"):
        found = doctor(idle, "checks")
        assert found.codes == {"KA0605"}
        assert found.sentences["KA0605"].startswith(f"{VIP}: the DNS service on UDP port 53 answers")
    with dns(idle, VIP):
        assert doctor(idle, "checks").codes == set()


def test_a_script_that_calls_what_is_not_there(lab: Lab, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    texts = {
        "check": "#!/bin/sh\n# mongosh would do\nif ! mongosh --quiet --eval 1; then exit 1; fi\n",
        "tell": "#!/usr/bin/env fish\necho $argv\n",
        "good": "#!/bin/sh\necho 'curl, or mongosh; say'\n",
    }
    for name, text in texts.items():
        (scripts / name).write_text(text, encoding="ascii")
        (scripts / name).chmod(0o755)
    tmp_path.chmod(0o755)
    scripts.chmod(0o755)
    node = lab.add_node("n1")
    node.start(SOUND, command=IDLE, data=tmp_path)
    found = doctor(node, "checks", KA_OVERRIDE_CHECK="check")
    assert found.codes == {"KA0606"}
    assert found.sentences["KA0606"] == "KA_OVERRIDE_CHECK: /ka-data/scripts/check calls mongosh, which is not there"
    assert found.cures["KA0606"] == "sed -n 3p /ka-data/scripts/check"
    assert "calls fish" in doctor(node, "checks", KA_NOTIFY="tell").sentences["KA0606"]
    assert doctor(node, "checks", KA_OVERRIDE_CHECK="good", KA_NOTIFY="good").codes == set()


def test_a_check_that_fails_now(lab: Lab) -> None:
    pair = make_pair(lab)
    pair.settle(**{**SOUND, "KA_ENABLE_CHECK": "http://127.0.0.1/"})
    assert doctor(pair.n1, "checks").codes == set()
    pair.services["n1"].answer(503)
    wait_until(lambda: doctor(pair.n1, "checks").codes == {"KA0607"}, "the failure")
    found = doctor(pair.n1, "KA0607").sentences["KA0607"]
    assert found == "check http: http://127.0.0.1/: answered 503 Service Unavailable, not 200"


def test_the_log(lab: Lab, idle: Node) -> None:
    assert doctor(idle, "logs").codes == set()
    idle.enter(["ln", "-s", "/run/systemd/journal/dev-log", "/dev/log"])
    assert doctor(idle, "logs").codes == {"KA0703"}
    idle.enter(["mkdir", "-p", "/run/systemd/journal"])
    idle.enter(["touch", "/run/systemd/journal/dev-log"])
    assert doctor(idle, "logs").codes == {"KA0701"}
    idle.enter(["rm", "/dev/log"])
    server = lab.add_host("logs")
    forward = {"KA_LOG_FORWARD": f"tcp://{server.ipv4}:514"}
    found = doctor(idle, "logs", **forward)
    assert found.sentences == {"KA0702": f"tcp://{server.ipv4}:514: Connection refused"}
    with listening(server, server.ipv4, 514):
        assert doctor(idle, "logs", **forward).codes == set()


def test_kube_proxy_that_answers_for_the_vip(idle: Node) -> None:
    """Its link stands in for kube-proxy, which no package has: what it does to a node is that link."""
    idle.exec(["ip", "link", "add", "kube-ipvs0", "type", "veth", "peer", "name", "far"])
    idle.exec(["ip", "address", "add", f"{VIP}/32", "dev", "kube-ipvs0"])
    assert doctor(idle, "Kubernetes").codes == {"KA0801"}
    idle.exec(["sh", "-c", f"echo 1 >{SYSCTL}/ipv4/conf/all/arp_ignore"])
    assert doctor(idle, "kubernetes").codes == set()


@pytest.mark.parametrize(
    ("resolver", "codes"),
    [
        ("nameserver 127.0.0.1\n", {"KA0802"}),
        ("search default.svc.cluster.local svc.cluster.local\nnameserver 127.0.0.1\n", set()),
    ],
)
def test_a_pod_that_asks_the_name_servers_of_its_node(lab: Lab, tmp_path: Path, resolver: str, codes: set[str]) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(resolver, encoding="ascii")
    path.chmod(0o644)
    tmp_path.chmod(0o755)
    node = lab.add_node("n1")
    names = {"KA_UNICAST_PEERS": "dns:nodes.default.svc.cluster.local", "KUBERNETES_SERVICE_HOST": "203.0.113.1"}
    node.start({**SOUND, **names}, command=IDLE, binds={path: "/etc/resolv.conf"})
    assert doctor(node, "Kubernetes").codes == codes

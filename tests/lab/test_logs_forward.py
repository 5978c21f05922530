"""A remote copy of the log that loses nothing: real rsyslog and syslog-ng, TLS with a private CA, RELP."""

from __future__ import annotations

import re
import time
from signal import SIGKILL
from typing import TYPE_CHECKING

import pytest

from lab.log_load import Sender, tally, trial
from lab.pair import ENVIRONMENT, LOG_FORWARDER, NO_CHECK, VIP
from lab.receivers import RELP, TCP, TLS, UDP, Receiver, make_pki

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Host, Lab, Node

PORTS = {"udp": UDP, "tcp": TCP, "tls": TLS, "relp": RELP}
CERTIFICATES = {
    "KA_LOG_FORWARD_CA": "/pki/ca.pem",
    "KA_LOG_FORWARD_CERT": "/pki/client.pem",
    "KA_LOG_FORWARD_KEY": "/pki/client.key",
    "KA_LOG_FORWARD_NAME": "server.example",
}


def url(scheme: str, host: Host) -> str:
    return f"{scheme}://{host.ipv4}:{PORTS[scheme]}"


def start(node: Node, target: str, pki: Path | None = None, **changes: str) -> None:
    """Starts a node that forwards."""
    tls = CERTIFICATES if "tls:" in target else {}
    environ = {**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254", "KA_LOG_FORWARD": target, **tls, **changes}
    node.start({name: text for name, text in environ.items() if text}, binds={pki: "/pki"} if pki else {})


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [
        *(("rsyslog", scheme) for scheme in ("udp", "tcp", "tls", "relp")),
        *(("syslog-ng", scheme) for scheme in ("udp", "tcp", "tls")),
    ],
)
def test_a_server_understands_every_line(lab: Lab, tmp_path: Path, kind: str, scheme: str) -> None:
    """TLS both ways: the server has to prove its name, and wants to see the node's certificate."""
    node, host = lab.add_node("n1"), lab.add_host("logs")
    pki = make_pki(tmp_path, host.ipv4)
    receiver = Receiver(host, tmp_path, kind, asks=True)
    receiver.start()
    try:
        start(node, url(scheme, host), pki)
        lab.wait_holder(VIP, node)
        line = receiver.wait_for(r"Entering MASTER STATE")
        assert (line.host, line.program, line.id) == ("n1", "Keepalived_vrrp", "state")
        assert line.parameters("ka@32473") == {
            "node": ["n1"],
            "event": ["state"],
            "instance": ["main"],
            "state": ["MASTER"],
            "old_state": ["BACKUP"],
            "priority": ["254"],
            "vip": [f"{VIP}/24"],
            "reason": ["Receive advertisement timeout"],
        }
        awkward = 'quote " backslash \\ bracket ] {"json": 1} é 100% %msg% \x1b[31m'
        node.enter(["logger", "-t", "my-script", awkward])
        line = receiver.wait_for("quote")
        assert line.message == awkward.replace("\x1b", "\\x1b")
        assert int(line.parameters("meta")["sequenceId"][0]) > 1
        assert node.stop() == 0
        # Everything that was printed is there, but what the forwarder said of itself.
        receiver.wait_for("^Stopping$")
        # A line that comes twice was on its way when the forwarder said that the server is away.
        printed = [line.text.split("]: ", 1)[1] for line in node.log.lines if " rsyslogd[" not in line.text]
        got = {line.message for line in receiver.lines}
        assert [text for text in printed[: printed.index("Stopping")] if text not in got] == []
    finally:
        receiver.stop()


@pytest.mark.parametrize(
    ("certificate", "changes", "why"),
    [
        ("server", {"KA_LOG_FORWARD_NAME": "log.example"}, r"peer name not authorized"),
        ("server", {"KA_LOG_FORWARD_CA": "/pki/other.pem"}, r"not trusted|signer"),
        ("expired", {}, r"expired"),
    ],
    ids=["name", "CA", "expired"],
)
def test_a_server_that_cannot_prove_its_name_gets_nothing(
    lab: Lab, tmp_path: Path, certificate: str, changes: dict[str, str], why: str
) -> None:
    node, host = lab.add_node("n1"), lab.add_host("logs")
    pki = make_pki(tmp_path, host.ipv4)
    receiver = Receiver(host, tmp_path, "rsyslog", asks=True, certificate=certificate)
    receiver.start()
    try:
        start(node, url("tls", host), pki, **changes)
        lab.wait_holder(VIP, node)
        node.log.wait_for(rf"rsyslogd\[\d+\]: .*{why}")
        assert node.stop() == 0
        assert receiver.lines == []
    finally:
        receiver.stop()


@pytest.mark.parametrize(
    ("scheme", "kind"), [("tcp", "rsyslog"), ("tls", "rsyslog"), ("tls", "syslog-ng"), ("relp", "rsyslog")]
)
def test_nothing_is_lost(lab_possible: None, scheme: str, kind: str) -> None:
    """A server that is away for a while, and a forwarder that is killed; bench/logs.py has the full figures."""
    outcome = trial(scheme, kind, 600, outage=2, kills=3, rate=100)
    assert outcome.missing == [], outcome
    # Three deaths, and one server that went away: app/pid1/log/intake.py has how many lines each repeats.
    assert outcome.duplicates <= 3 * 5 + 32, outcome


def test_two_servers_do_not_wait_for_each_other(lab: Lab, tmp_path: Path) -> None:
    node, first, second = lab.add_node("n1"), lab.add_host("one"), lab.add_host("two")
    make_pki(tmp_path, first.ipv4)
    receivers = [Receiver(host, tmp_path, "rsyslog") for host in (first, second)]
    receivers[1].start()
    try:
        start(node, f"{url('relp', first)}, {url('tcp', second)}")
        receivers[1].wait_for("Entering MASTER STATE")
        assert receivers[0].lines == []
        receivers[0].start()
        receivers[0].wait_for("Entering MASTER STATE")
        assert node.stop() == 0
        sequences = [line.parameters("meta")["sequenceId"][0] for line in receivers[0].lines]
        assert list(dict.fromkeys(sequences)) == sorted(set(sequences), key=int)
    finally:
        for receiver in receivers:
            receiver.stop()


def test_a_full_spool_drops_and_counts_and_nobody_waits(lab: Lab) -> None:
    node, host = lab.add_node("n1"), lab.add_host("logs")
    start(node, f"tcp://{host.ipv4}:9", KA_LOG_SPOOL_SIZE="1M", KA_LOG_FORMAT="json")
    lab.wait_holder(VIP, node)
    sender = Sender(node, 4000, rate=2000)
    sender.join()
    said = node.log.wait_for(r"messages were dropped on their way to tcp://").text
    dropped = int(re.search(r'"dropped": (\d+)', said)[1])  # type: ignore[index]
    assert 0 < dropped < 4000
    spool = node.exec(["du", "--bytes", "--summarize", f"/proc/{node.pid}/root/run/ka/spool"]).stdout
    assert int(spool.split()[0]) < 1.3 * (1 << 20)
    node.log.wait_for("number 003999 of many")
    assert tally([line.text for line in node.log.lines], 4000)[0] == []
    assert node.stop() == 0


def test_a_full_disk_drops_and_counts_and_nobody_waits(lab: Lab) -> None:
    node, host = lab.add_node("n1"), lab.add_host("logs")
    start(node, f"tcp://{host.ipv4}:9", KA_LOG_FORMAT="json")
    lab.wait_holder(VIP, node)
    inside = ["nsenter", "--target", str(node.pid), "--mount"]
    node.exec([*inside, "mount", "-t", "tmpfs", "-o", "size=128k,mode=777", "none", "/run/ka/spool"])
    node.signal(LOG_FORWARDER, SIGKILL)
    sender = Sender(node, 3000, rate=1000)
    sender.join()
    node.log.wait_for("number 002999 of many")
    assert tally([line.text for line in node.log.lines], 3000)[0] == []
    node.log.wait_for(r"rsyslogd.*(disk|space)")
    # Its death, too, takes nobody along.
    assert lab.holders(VIP) == {"n1"}
    assert node.stop() == 0


def test_a_damaged_spool_does_not_stop_the_log(lab: Lab) -> None:
    """As a crash or a full disk leaves it: rsyslog goes on without, and everybody waits for the server."""
    node, host = lab.add_node("n1"), lab.add_host("logs")
    start(node, f"tcp://{host.ipv4}:9")
    lab.wait_holder(VIP, node)
    Sender(node, 200).join()
    node.log.wait_for("number 000199 of many")
    node.exec(["sh", "-c", f"truncate --size=0 /proc/{node.pid}/root/run/ka/spool/forward-*.00000001"])
    node.signal(LOG_FORWARDER, SIGKILL)
    Sender(node, 100).join()
    mark = node.log.mark()
    node.log.wait_for(f"what waited for tcp://{host.ipv4}:9 in /run/ka/spool cannot be read any more and is given up")
    node.enter(["logger", "-t", "my-script", "the log goes on"])
    node.log.wait_for("the log goes on", since=mark)
    assert tally([line.text for line in node.log.lines], 200)[0] == []
    assert node.stop() == 0


def test_what_waits_outlives_the_forwarder(lab: Lab, tmp_path: Path) -> None:
    node, host = lab.add_node("n1"), lab.add_host("logs")
    make_pki(tmp_path, host.ipv4)
    receiver = Receiver(host, tmp_path, "rsyslog")
    start(node, url("tcp", host))
    lab.wait_holder(VIP, node)
    for number in range(5):
        node.enter(["logger", "-t", "my-script", f"early {number}"])
    mark = node.log.mark()
    node.signal(LOG_FORWARDER, SIGKILL)
    node.log.wait_for("exited: log-forwarder", since=mark)
    receiver.start()
    try:
        receiver.wait_for("exited: log-forwarder")
        early = [line.message for line in receiver.lines if line.message.startswith("early")]
        assert list(dict.fromkeys(early)) == [f"early {number}" for number in range(5)]
        assert node.stop() == 0
    finally:
        receiver.stop()


def test_a_server_that_is_never_there_costs_nothing(lab: Lab) -> None:
    """One that refuses, one whose address nobody has, one that is no name; five minutes of it are in docs/logs.md."""
    first, second = lab.add_node("n1"), lab.add_node("n2")
    targets = f"tcp://{second.ipv4}:9, relp://203.0.113.250:2514, tcp://nobody.invalid:6514"
    start(first, targets)
    lab.wait_holder(VIP, first)
    start(second, targets, KA_PRIORITY="253")
    second.log.wait_for("Entering BACKUP STATE")
    sender = Sender(first, 200, rate=50)
    sender.join()
    since = time.time()
    first.signal("^keepalived ", SIGKILL)
    lab.wait_released(VIP, first, since=since)
    assert first.stop() == 0
    assert tally([line.text for line in first.log.lines], 200)[0] == []
    # It was said that they are away, once each, and not at every attempt.
    suspended = [line.text for line in first.log.lines if "suspended" in line.text]
    assert 1 <= len(suspended) <= 4, suspended

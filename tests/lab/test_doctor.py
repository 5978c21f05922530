"""`ka doctor`: a healthy pair has no finding, and each thing that is wrong with a host or a link is found."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from app.contract.capabilities import NAMES
from lab.doctor import IDLE, SOUND, doctor
from lab.namespace import inside
from lab.no_inotify import WITHOUT_INOTIFY
from lab.pair import KA, VIP, VIP6, ka, make_pair, wait_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab, Node

CHECKED = {"KA_ENABLE_CHECK": "http://127.0.0.1/"}


def test_a_healthy_pair_has_no_finding_before_it_runs_and_while_it_does(lab: Lab) -> None:
    pair = make_pair(lab)
    pair.n1.start({**SOUND, **CHECKED}, command=IDLE)
    before = doctor(pair.n1)
    assert (before.codes, before.skipped) == (set(), {})
    pair.n1.kill()
    pair.settle(**{**SOUND, **CHECKED, "KA_PRIORITY": "254"})
    pair.n2.kill()
    pair.n2.start({**SOUND, **CHECKED, "KA_PRIORITY": "253"})
    wait_state(pair.n2, "BACKUP")
    for node in (pair.n1, pair.n2):
        diagnosis = doctor(node)
        assert (diagnosis.codes, diagnosis.skipped) == (set(), {}), node.name
    # Nobody but the master takes notice of what was sent.
    assert "VRID 0" not in pair.n1.log.text + pair.n2.log.text
    assert lab.holders(VIP) == {"n1"}


def test_what_is_printed_for_people(idle: Node) -> None:
    done = ka(idle, "doctor", "--only", "environment", "--only", "ka0301")
    assert (done.returncode, done.stdout) == (0, "✓ environment\n✓ link\n")
    done = idle.enter(["env", "KA_VRID=0", *KA, "doctor"], check=False)
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert lines[0] == "× environment"
    assert lines[1].startswith("  × KA0101 KA_VRID: cannot be 0; ")
    assert lines[2] == "      ka env --format dotenv | grep -E -B 4 '^#?KA_VRID='"
    assert lines[3] == "      docs/doctor.md#ka0101"
    assert "– link: not looked at, the environment has errors" in lines
    assert ka(idle, "doctor", "--only", "KA9999").returncode == 3


def test_the_environment(idle: Node) -> None:
    wrong = doctor(idle, KA_VRID="300", KA_AUTH_PASS="s3cr3t-that-is-too-long", KA_PRIORTY="1")
    assert wrong.status == 2
    assert wrong.codes == {"KA0101"}
    assert "s3cr3t" not in str(wrong)
    # The lines that are to be pasted print something.
    for name in ("KA_INSTANCES__WEB__VRID", "KA_CHECK_CA_FILE", "KA_AUTH_PASS_FILE"):
        found = doctor(idle, "KA0101", **{name: "/nowhere", "KA_ENABLE_CHECK": "https://127.0.0.1/"})
        line = found.cures["KA0101"].replace("ka env", f"{' '.join(KA)} env")
        assert name.removesuffix("_FILE").rpartition("__")[2] in idle.enter(["sh", "-c", line]).stdout
    absent = {"KA_UNICAST_PEERS": "203.0.113.12", "KA_UNICAST_SRC_IP": "203.0.113.99"}
    assert "cannot be 203.0.113.99" in doctor(idle, "KA0101", **absent).sentences["KA0101"]
    doubtful = doctor(idle, "environment", KA_VRID="")
    assert (doubtful.status, doubtful.codes) == (1, {"KA0103"})
    assert doubtful.sentences["KA0103"].startswith("KA_VRID: is not set, so it is 1")
    hidden = doctor(idle, "environment", KA_RUN_DIR_FILE="/nowhere")
    assert (hidden.status, hidden.codes) == (2, {"KA0101"})


def test_keepalived_refuses_the_text_of_the_operator(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "own.conf").write_text("vrrp_nonsense 5\n", encoding="ascii")
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    node = lab.add_node("n1")
    node.start(SOUND, command=IDLE, data=tmp_path)
    found = doctor(node, "environment")
    assert (found.status, found.codes) == (2, {"KA0102"})
    assert "/ka-data/conf.d/own.conf" in found.sentences["KA0102"]


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_capability(lab: Lab, name: str) -> None:
    node = lab.add_node("n1")
    node.start(SOUND, command=IDLE, capabilities=[other for other in NAMES if other != name])
    found = doctor(node)
    # keepalived says in its own words what it would not run.
    assert found.codes - {"KA0102"} == {"KA0201"}
    assert found.sentences["KA0201"].startswith(f"capability {name}: is missing, needed ")
    assert found.cures["KA0201"] == f"--cap-add {name}"
    heard = "listening needs the capability NET_RAW"
    assert found.skipped == ({"network": heard, "VRRP": heard} if name == "NET_RAW" else {})


def test_no_inotify_instance_is_left(idle: Node) -> None:
    found = doctor(idle, "host", prefix=WITHOUT_INOTIFY)
    assert (found.status, found.codes) == (2, {"KA0202"})


@contextmanager
def sysctl(node: Node, **values: int) -> Iterator[None]:
    """Numbers below net.ipv4.conf or net.ipv6.conf of eth0, and what was before after the block."""
    before: dict[str, str] = {}
    for name, value in values.items():
        version = "ipv6" if name == "disable_ipv6" else "ipv4"
        path = f"/proc/sys/net/{version}/conf/eth0/{name}"
        before[path] = node.exec(["cat", path]).stdout.strip()
        node.exec(["sh", "-c", f"echo {value} >{path}"])
    yield
    for path, text in before.items():
        node.exec(["sh", "-c", f"echo {text} >{path}"])


def test_the_link(lab: Lab, idle: Node) -> None:
    assert doctor(idle, "link").codes == set()
    idle.exec(["ip", "link", "set", "eth0", "down"])
    found = doctor(idle)
    assert found.codes == {"KA0301"}
    assert set(found.skipped) == {"network", "VRRP"}
    idle.exec(["ip", "link", "set", "eth0", "up"])
    idle.cut_link()
    assert doctor(idle, "link").codes == {"KA0302"}
    idle.mend_link()
    idle.exec(["ip", "link", "set", "eth0", "multicast", "off"])
    assert doctor(idle, "link").codes == {"KA0303"}
    assert doctor(idle, "link", KA_UNICAST_PEERS="203.0.113.11,203.0.113.12").codes == set()
    idle.exec(["ip", "link", "set", "eth0", "multicast", "on"])
    idle.exec(["ip", "link", "set", "eth0", "mtu", "100"])
    many = ",".join(f"203.0.113.{number}/24" for number in range(150, 180))
    assert doctor(idle, "link", KA_INCLUDE=many).codes == {"KA0304"}
    idle.exec(["ip", "link", "set", "eth0", "mtu", "1500"])


def test_addresses_of_the_link(idle: Node) -> None:
    assert doctor(idle, "link", KA_INCLUDE="198.51.100.10/24").codes == {"KA0307"}
    ipv6 = {"KA_INCLUDE": f"{VIP6}/64", "KA_AUTH_PASS": ""}
    assert doctor(idle, "link", **ipv6).codes == set()
    with sysctl(idle, disable_ipv6=1):
        assert doctor(idle, "link", **ipv6).codes >= {"KA0306"}
    idle.exec(["ip", "-4", "address", "flush", "dev", "eth0"])
    assert doctor(idle, "KA0305").codes == {"KA0305"}


def test_switches_of_the_kernel(idle: Node) -> None:
    """A second link is the way out, and in the VIP's subnet."""
    idle.exec(["ip", "link", "add", "eth1", "type", "veth", "peer", "name", "far"])
    idle.exec(["ip", "link", "set", "eth1", "up"])
    idle.exec(["ip", "address", "add", "198.51.100.5/24", "dev", "eth1"])
    idle.exec(["ip", "route", "add", "default", "via", "198.51.100.1", "dev", "eth1"])
    assert doctor(idle, "link").codes == set()
    with sysctl(idle, rp_filter=1):
        assert doctor(idle, "link").codes == {"KA0308"}
    with sysctl(idle, arp_ignore=2):
        assert doctor(idle, "link", KA_INCLUDE=VIP).codes == {"KA0309"}
        assert doctor(idle, "link").codes == set()
    with sysctl(idle, arp_ignore=8):
        assert doctor(idle, "link").codes == {"KA0309"}
    idle.exec(["ip", "address", "add", "203.0.113.50/24", "dev", "eth1"])
    assert doctor(idle, "link").codes == {"KA0310"}
    with sysctl(idle, arp_ignore=1):
        assert doctor(idle, "link").codes == set()


def set_lifetime(node: Node, seconds: str) -> None:
    """Of the node's own address."""
    lifetimes = ["valid_lft", seconds, "preferred_lft", seconds]
    node.exec(["ip", "address", "change", f"{node.ipv4}/24", "dev", "eth0", *lifetimes])


def test_a_program_that_manages_the_link(lab: Lab, idle: Node, tmp_path: Path) -> None:
    """The socket is the program's whole mark, and DHCP's the lifetime; neither program runs in the lab."""
    places = {"NetworkManager": "NetworkManager/private", "networkd": "systemd/netif/io.systemd.Network"}
    for name, place in places.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True)
        listening = inside(idle.namespace, lambda: socket.socket(socket.AF_UNIX))
        with listening:
            listening.bind(str(path))
            assert doctor(idle, "host").codes == set()
            set_lifetime(idle, "600")
            found = doctor(idle, "host")
            assert found.codes == {"KA0203"}
            assert name in found.sentences["KA0203"]
            set_lifetime(idle, "forever")


def test_pydantic_is_not_waited_for_where_nobody_needs_it(idle: Node) -> None:
    for choice in (["--list"], ["--only", "host"]):
        traced = idle.enter([KA[0], "-X", "importtime", *KA[1:], "doctor", *choice])
        assert "app.operate.doctor" in traced.stderr
        assert "pydantic" not in traced.stderr

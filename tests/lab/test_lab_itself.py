"""The lab does what the other tests take for granted; real keepalived, without `ka run`."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab import AddressEvent, Advert, Answer, Lab, LabError, Node, obstacle
from lab.namespace import NAMESPACES, inside, namespaces_of

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[2]
REGISTRY = Path("/run/ka-lab")
VIP, VIP6 = "203.0.113.10", "2001:db8::10"
SH = ["sh", "-c"]
# One process, which waits for ever without starting another.
FOREVER = [*SH, "trap 'exit 0' TERM; mkfifo /run/never; exec 3<>/run/never; echo ready; read never <&3"]


def keepalived(node: Node, directory: Path, priority: int, *, interval: float = 0.1, vip: str = f"{VIP}/24") -> None:
    """Start bare keepalived with one VIP on `node`."""
    version = 2 if interval >= 1 else 3
    config = directory / f"{node.name}.conf"
    config.write_text(
        f"global_defs {{ vrrp_version {version} }}\n"
        "vrrp_instance lab {\n"
        "    state BACKUP\n    interface eth0\n    virtual_router_id 7\n"
        f"    priority {priority}\n    advert_int {interval:g}\n"
        f"    virtual_ipaddress {{ {vip} dev eth0 }}\n"
        "}\n"
    )
    config.chmod(0o644)
    node.start(
        command=["keepalived", "--dont-fork", "--log-console", "--log-detail", "--use-file", "/run/keepalived.conf"],
        binds={config: "/run/keepalived.conf"},
    )


def pair(lab: Lab, directory: Path, *, interval: float = 0.1, vip: str = f"{VIP}/24") -> tuple[Node, Node]:
    """Two nodes with keepalived at priorities 254 and 253, the first of which holds the VIP."""
    n1, n2 = lab.add_node("n1"), lab.add_node("n2")
    keepalived(n1, directory, 254, interval=interval, vip=vip)
    keepalived(n2, directory, 253, interval=interval, vip=vip)
    lab.wait_holder(vip, n1)
    return n1, n2


# --- The network -----------------------------------------------------------------------------------------------------


def test_hosts_reach_each_other_by_both_families(lab: Lab) -> None:
    n1, n2, client = lab.add_node("n1"), lab.add_node("n2"), lab.add_host("client")
    assert (n1.ipv4, n1.ipv6) == ("203.0.113.11", "2001:db8::11")
    assert (n2.ipv4, n2.ipv6) == ("203.0.113.12", "2001:db8::12")
    assert (client.ipv4, client.ipv6) == ("203.0.113.101", "2001:db8::101")
    n2.start_service()
    for url in (f"http://{n2.ipv4}/", f"http://[{n2.ipv6}]/"):
        asking = client.start_client(url)
        assert asking.wait_answer(n2, timeout=2).answered_by == "n2"
        asking.stop()


def test_the_machines_own_network_stays_as_it_is(lab: Lab) -> None:
    def own_network() -> str:
        listings = (["link"], ["address"], ["route", "show", "table", "all"], ["rule"])
        done = [subprocess.run(["ip", "-o", *what], capture_output=True, text=True, check=True) for what in listings]
        return re.sub(r"_lft \S+", "", "".join(listing.stdout for listing in done))  # life times count down

    before = own_network()
    lab.add_node("n1")
    assert own_network() == before


@pytest.mark.parametrize("name", ["switch", "br0", "lo", "N1", "sixteen-letters1", "a/b", ""])
def test_a_name_that_cannot_be_a_port_is_refused(lab: Lab, name: str) -> None:
    with pytest.raises(LabError, match="cannot be called"):
        lab.add_node(name)


def test_a_name_is_given_once(lab: Lab) -> None:
    lab.add_node("n1")
    with pytest.raises(LabError, match="There is a host called n1 already"):
        lab.add_host("n1")


def test_cut_link_takes_the_carrier_and_mend_link_brings_it_back(lab: Lab) -> None:
    n1 = lab.add_node("n1")

    def flags() -> list[str]:
        found: list[str] = json.loads(n1.exec(["ip", "-json", "link", "show", "eth0"]).stdout)[0]["flags"]
        return found

    began = time.monotonic()
    n1.cut_link()
    assert "LOWER_UP" not in flags()
    n1.mend_link()
    assert "LOWER_UP" in flags()
    n1.cut_link(keep_carrier=True)
    assert "LOWER_UP" in flags()
    assert time.monotonic() - began < 0.5  # the kernel may hold back link events for a second: not here


# --- VRRP ------------------------------------------------------------------------------------------------------------


def test_sigterm_of_the_master_hands_over_at_once(lab: Lab, tmp_path: Path) -> None:
    sniffer = lab.sniff()
    n1, n2 = pair(lab, tmp_path, interval=1)
    assert lab.holders(VIP) == {"n1"}
    stopped = time.time()
    assert n1.stop() == 0
    released = lab.wait_released(VIP, n1, since=stopped)
    taken = lab.wait_holder(VIP, n2, since=stopped)
    assert stopped < released.time < taken.time < stopped + 0.1
    assert taken == AddressEvent(taken.time, "n2", VIP, 24, added=True)
    assert lab.holders(VIP) == {"n2"}
    assert lab.timeline(VIP)[-2:] == (released, taken)
    advert = sniffer.wait_advert(n1)
    assert advert == Advert(advert.time, "n1", n1.ipv4, "224.0.0.18", version=2, vrid=7, priority=254, interval=1)
    assert stopped < sniffer.wait_advert(n1, priority=0).time < taken.time
    with pytest.raises(LabError, match=r"n1 sent no advert of priority 9 within 0\.05 s"):
        sniffer.wait_advert(n1, priority=9, timeout=0.05)


def test_an_ipv6_vip_moves_too(lab: Lab, tmp_path: Path) -> None:
    sniffer = lab.sniff()
    n1, n2 = pair(lab, tmp_path, vip=f"{VIP6}/64")
    n1.stop()
    assert lab.wait_holder("2001:DB8:0::10/64", n2).address == VIP6
    assert lab.holders(VIP6) == {"n2"}
    advert = sniffer.wait_advert(n1)
    assert advert.source.startswith("fe80:")
    assert (advert.destination, advert.version, advert.priority, advert.interval) == ("ff02::12", 3, 254, 0.1)


def test_a_cut_link_moves_the_vip_and_the_mended_one_brings_it_back(lab: Lab, tmp_path: Path) -> None:
    n1, n2 = pair(lab, tmp_path)
    n1.cut_link()
    lab.wait_holder(VIP, n2)
    lab.wait_released(VIP, n1)
    mended = time.time()
    n1.mend_link()
    lab.wait_holder(VIP, n1, since=mended)
    lab.wait_released(VIP, n2, since=mended)


def test_a_link_that_keeps_its_carrier_makes_two_masters(lab: Lab, tmp_path: Path) -> None:
    n1, n2 = pair(lab, tmp_path)
    n1.cut_link(keep_carrier=True)
    lab.wait_holder(VIP, n2)
    assert lab.holders(VIP) == {"n1", "n2"}
    n1.mend_link()
    lab.wait_released(VIP, n2)


def test_kill_leaves_the_vip_and_says_no_goodbye(lab: Lab, tmp_path: Path) -> None:
    n1, n2 = pair(lab, tmp_path)
    adverts = lab.sniff()
    n1.kill()
    assert n1.wait() == 128 + signal.SIGKILL
    lab.wait_holder(VIP, n2)
    assert lab.holders(VIP) == {"n1", "n2"}
    adverts.wait_advert(n2)
    assert all(advert.priority for advert in adverts.adverts)


def test_power_off_leaves_nothing_and_power_on_starts_afresh(lab: Lab, tmp_path: Path) -> None:
    n1, n2 = pair(lab, tmp_path)
    n1.start_service()
    n1.power_off()
    lab.wait_holder(VIP, n2)
    assert lab.holders(VIP) == {"n2"}
    n1.power_on()
    keepalived(n1, tmp_path, 254)
    n1.start_service()
    lab.wait_holder(VIP, n1)
    lab.wait_released(VIP, n2)


def test_killed_keepalived_cannot_clean_up(lab: Lab, tmp_path: Path) -> None:
    n1 = lab.add_node("n1")
    keepalived(n1, tmp_path, 254)
    lab.wait_holder(VIP, n1)
    assert len(n1.processes("^keepalived ")) == 2
    n1.signal("^keepalived ", signal.SIGKILL)
    assert n1.wait() == 137
    assert lab.holders(VIP) == {"n1"}


def test_waiting_in_vain_shows_logs_and_timeline(lab: Lab, tmp_path: Path) -> None:
    _, n2 = pair(lab, tmp_path)
    with pytest.raises(LabError) as raised:
        lab.wait_holder(VIP, n2, timeout=0.05)
    text = str(raised.value)
    assert text.startswith(f"n2 did not hold {VIP} (waited 0.05 s).\n")
    assert "n1: running" in text
    assert "Entering MASTER STATE" in text
    assert f"n1 + {VIP}/24" in text


def test_a_holder_from_before_is_not_taken_for_a_new_one(lab: Lab, tmp_path: Path) -> None:
    n1, _ = pair(lab, tmp_path)
    with pytest.raises(LabError, match=f"n1 did not hold {VIP} after "):
        lab.wait_holder(VIP, n1, since=time.time(), timeout=0.05)


# --- The container ---------------------------------------------------------------------------------------------------


def test_a_node_is_a_container(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    script = "env; hostname; touch /run/a /var/tmp/b /x /usr/x; ls /; grep CapEff /proc/self/status"
    n1.start({"KA_PRIORITY": "254"}, command=[*SH, script])
    n1.wait()
    lines = n1.log.text.splitlines()
    assert lines[: lines.index("n1")] == [
        "KA_PRIORITY=254",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        f"PWD={CHECKOUT}",
    ]
    assert "CapEff:\t00000000000038e1" in lines  # CHOWN KILL SETGID SETUID NET_BROADCAST NET_ADMIN NET_RAW
    assert not ({"root", "home"} - {CHECKOUT.parts[1]}) & set(lines)
    assert "touch: cannot touch '/x': Read-only file system" in n1.stderr.text
    assert "touch: cannot touch '/usr/x': Read-only file system" in n1.stderr.text
    assert n1.stderr.text.count("cannot touch") == 2


def test_capabilities_can_be_taken_away(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    n1.start(command=[*SH, "ip address add 203.0.113.99/24 dev eth0"], capabilities=["NET_RAW"])
    assert n1.wait() == 2
    assert "Operation not permitted" in n1.stderr.text


def test_data_and_binds_are_there_read_only(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "extra").write_text("extra")
    n1 = lab.add_node("n1")
    n1.start(
        command=[*SH, "ls /ka-data; cat /run/extra; touch /ka-data/x"],
        data=tmp_path,
        binds={tmp_path / "extra": "/run/extra"},
    )
    assert n1.wait() != 0
    assert n1.log.text == "extra\nscripts\nextra\n"
    assert "Read-only file system" in n1.stderr.text


def test_enter_and_read_see_the_containers_side(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    n1.start({"KA_X": "1"}, command=[*SH, f"echo hello >/run/greeting; {FOREVER[-1]}"])
    n1.log.wait_for("ready")
    assert n1.read("/run/greeting") == "hello\n"
    seen = n1.enter([*SH, "echo $$ $KA_X; hostname; pwd; grep CapEff /proc/self/status"]).stdout.splitlines()
    assert int(seen[0].split()[0]) < 20
    assert seen[0].endswith(" 1")
    assert seen[1:] == ["n1", str(CHECKOUT), "CapEff:\t00000000000038e1"]
    with pytest.raises(LabError, match="ended with status 3 and said: no"):
        n1.enter([*SH, "echo no >&2; exit 3"])
    assert n1.enter([*SH, "exit 3"], check=False).returncode == 3


def test_exit_status_comes_back_and_a_node_starts_again(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    n1.start(command=[*SH, "echo first; exit 78"])
    assert n1.wait() == 78
    mark = n1.log.mark()
    n1.start(command=FOREVER)
    with pytest.raises(LabError, match="n1 runs already"):
        n1.start(command=FOREVER)
    n1.log.wait_for("ready", since=mark)
    assert [line.text for line in n1.log.lines] == ["first", "ready"]
    assert n1.stop() == 0
    assert not n1.running


def test_a_node_that_does_not_stop_is_killed_and_reported(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    n1.start(command=["sleep", "60"])  # PID 1 without a handler for SIGTERM
    with pytest.raises(LabError, match=r"n1 did not end within 0\.1 s") as raised:
        n1.stop(timeout=0.1)
    assert "n1: running" in str(raised.value)
    assert not n1.running


def test_what_bubblewrap_cannot_start_is_said(lab: Lab, tmp_path: Path) -> None:
    n1 = lab.add_node("n1")
    with pytest.raises(LabError, match=r"n1 cannot be started: bwrap: .*absent"):
        n1.start(command=["true"], binds={tmp_path / "absent": "/run/absent"})
    with pytest.raises(LabError, match=r"n1 cannot be started: bwrap: .*no-such-program"):
        n1.start(command=["no-such-program"])


def test_signals_find_only_the_nodes_own_processes(lab: Lab) -> None:
    nodes = [lab.add_node("n1"), lab.add_node("n2")]
    for node in nodes:
        node.start(command=FOREVER)
        node.log.wait_for("ready")
    first, second = (node.processes("echo ready") for node in nodes)
    assert len(first) == len(second) == 1
    assert first != second
    assert nodes[0].signal("echo ready", signal.SIGTERM) == first
    assert nodes[0].wait() == 0
    assert nodes[1].running
    with pytest.raises(LabError, match="n2 runs no process whose command line matches 'nothing-like-it'"):
        nodes[1].signal("nothing-like-it", signal.SIGTERM)


def test_a_node_outlives_the_thread_that_started_it(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    thread = threading.Thread(target=n1.start, kwargs={"command": FOREVER})
    thread.start()
    thread.join()
    n1.log.wait_for("ready")
    assert n1.enter(["true"]).returncode == 0
    assert n1.stop() == 0


def test_the_log_is_waited_for_line_by_line(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    n1.start(command=[*SH, "echo one 1; echo two >&2; sleep 0.2; echo one 2; printf unfinished"])
    first = n1.log.wait_for(r"one \d")
    mark = n1.log.mark()
    second = n1.log.wait_for(r"one \d", since=mark)
    assert (first.text, second.text) == ("one 1", "one 2")
    assert 0.15 < second.time - first.time < 1
    assert n1.stderr.wait_for("two").text == "two"
    assert n1.log.wait_for("unfinished").text == "unfinished"
    began = time.monotonic()
    with pytest.raises(LabError, match="n1's log ended without a line that matches 'three'"):
        n1.log.wait_for("three", timeout=60)
    assert time.monotonic() - began < 5


def test_a_log_that_does_not_say_it_is_reported(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    n1.start(command=FOREVER)
    n1.log.wait_for("ready")
    with pytest.raises(LabError, match=r"n1's log had no line within 0.05 s that matches 'never'.\n") as raised:
        n1.log.wait_for("never", timeout=0.05)
    assert "ready" in str(raised.value)


def test_unprivileged_processes_read_a_checkout_that_only_root_can_enter(lab_possible: None, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir(mode=0o700)
    for part in ("lab", "app"):
        shutil.copytree(CHECKOUT / part, checkout / part)
    venv.create(checkout / ".venv", symlinks=True)
    code = f"""
        from lab import Lab
        as_nobody = "import os; os.setgid(65534); os.setuid(65534); import app; print(app.__file__)"
        with Lab() as lab:
            n1 = lab.add_node("n1")
            n1.start(command=["{checkout}/.venv/bin/python", "-c", as_nobody])
            n1.wait()
            print(n1.log.text, n1.stderr.text)
    """
    done = subprocess.run(
        [checkout / ".venv/bin/python", "-c", textwrap.dedent(code)],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{checkout}/app/__init__.py"


# --- Service and client ----------------------------------------------------------------------------------------------


def test_a_service_that_ends_closes_every_connection(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    service = n1.start_service()

    def connect() -> list[socket.socket]:
        return [socket.create_connection((n1.ipv4, 80)) for _ in range(5)]

    clients = inside(n1.namespace, connect)
    with contextlib.ExitStack() as stack:
        for client in clients:
            stack.enter_context(client)
            client.settimeout(10)
            client.send(b"GET / HTTP/1.1\r\n")  # and no more
        service.stop()
        for client in clients:
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(100) == b""
    # The rubbish of a test is blamed on another one: its warnings are errors.
    gc.collect()


def test_the_service_fails_in_every_way_and_comes_back(lab: Lab) -> None:
    n1, client = lab.add_node("n1"), lab.add_host("client")
    service = n1.start_service(port=8080)
    asking = client.start_client(f"http://{n1.ipv4}:8080/health", rate=50, timeout=0.2)

    def next_error() -> str | None:
        switched, count = time.time(), len(asking.requests)
        asking.wait_requests(count + 12)  # more than are under way
        return next(request.error for request in asking.requests if request.time > switched)

    assert asking.wait_answer(n1).error is None
    service.answer(500)
    assert next_error() == "status 500"
    service.refuse()
    assert "Connect call failed" in str(next_error())
    service.hang()
    assert next_error() == "no answer within 0.2 s"
    switched = time.time()
    service.answer(200)
    assert asking.wait_answer(n1, since=switched).duration < 0.2
    asking.stop()
    answers = service.answers
    assert {answer.status for answer in answers} == {200, 500}
    assert isinstance(answers[0], Answer)
    assert answers[0].client == client.ipv4
    assert answers[0].time <= asking.requests[0].time + asking.requests[0].duration
    service.stop()
    assert n1.exec(["ss", "-Hltn"]).stdout == ""
    n1.start_service()
    with pytest.raises(LabError, match=r"The service of n1 cannot listen on port 80: .*in use"):
        n1.start_service()


def test_the_client_keeps_its_rate_whatever_becomes_of_the_answers(lab: Lab) -> None:
    n1, client = lab.add_node("n1"), lab.add_host("client")
    n1.start_service().hang()
    asking = client.start_client(f"http://{n1.ipv4}/", rate=20, timeout=0.5)
    asking.wait_requests(11)
    asking.stop()
    begun = [request.time for request in asking.requests]
    assert 0.45 < begun[10] - begun[0] < 0.6
    assert asking.lost == asking.requests
    assert {request.answered_by for request in asking.requests} == {None}


# --- The end of a lab ------------------------------------------------------------------------------------------------


def leftovers(lab_id: str) -> list[str]:
    """What there still is of a lab: namespaces, processes, files."""
    processes = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            processes.append((process / "cmdline").read_text().replace("\0", " "))
    lives = [command for command in processes if f"ka-{lab_id}" in command]
    return namespaces_of(lab_id) + lives + [str(path) for path in REGISTRY.glob(lab_id)]


MAKE_A_LAB = """
    import signal, subprocess, time
    from lab import Lab
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits it ignored
    with Lab() as lab:
        n1 = lab.add_node("n1")
        n1.start_service()
        n1.start(command=["sleep", "3600"])
        quiet = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
        stray = subprocess.Popen(["ip", "netns", "exec", n1.namespace, "sleep", "3600"], **quiet)
        print(lab.id, stray.pid, n1.pid, flush=True)
        time.sleep(60)
"""


@contextlib.contextmanager
def lab_of_another_process() -> Iterator[tuple[subprocess.Popen[str], str, list[int]]]:
    """A process that has made a lab and sleeps; its lab's ID and the pids that run in it."""
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(MAKE_A_LAB)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    try:
        lab_id, *pids = owner.stdout.readline().split()
        yield owner, lab_id, [int(pid) for pid in pids]
    finally:
        owner.kill()
        owner.communicate(timeout=10)


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_nothing_is_left_of_a_lab(lab_possible: None, tmp_path: Path) -> None:
    with Lab() as lab:
        pair(lab, tmp_path)
        lab.add_host("client").start_client(f"http://{VIP}/")
        lab.sniff()
        lab_id = lab.id
        assert leftovers(lab_id)
        files = len(list(Path("/proc/self/fd").iterdir()))
    assert leftovers(lab_id) == []
    assert len(list(Path("/proc/self/fd").iterdir())) < files
    assert not [thread for thread in threading.enumerate() if lab_id in thread.name]


def test_nothing_is_left_when_the_body_is_interrupted(lab_possible: None) -> None:
    with lab_of_another_process() as (owner, lab_id, pids):
        owner.send_signal(signal.SIGINT)
        _, errors = owner.communicate(timeout=10)
        assert "KeyboardInterrupt" in errors
        assert owner.returncode == -signal.SIGINT
        assert leftovers(lab_id) == []
        assert not any(alive(pid) for pid in pids)


def test_a_lab_that_cannot_be_made_leaves_nothing(lab_possible: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(namespace: str) -> None:
        subprocess.run(["ip", "netns", "add", namespace], check=True)
        raise LabError("no bridge")

    monkeypatch.setattr("lab.network.make_switch", fail)
    lab = Lab()
    with pytest.raises(LabError, match="no bridge"), lab:
        pass
    assert leftovers(lab.id) == []


def test_the_next_lab_removes_what_a_killed_owner_left(lab_possible: None) -> None:
    with (
        lab_of_another_process() as (owner, lab_id, pids),
        lab_of_another_process() as (living, living_id, living_pids),
    ):
        owner.kill()
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)  # dead, and a zombie until it is waited for
        assert namespaces_of(lab_id)
        with Lab():
            assert leftovers(lab_id) == []
            assert not any(alive(pid) for pid in pids)
            # A lab whose owner lives is nobody else's business.
            assert len(namespaces_of(living_id)) == 2
            assert all(alive(pid) for pid in living_pids)
        living.send_signal(signal.SIGINT)
        living.communicate(timeout=10)
        assert leftovers(living_id) == []


def test_the_nodes_die_with_a_killed_owner(lab_possible: None) -> None:
    with lab_of_another_process() as (owner, lab_id, (_, pid)):
        handle = os.pidfd_open(pid)
        owner.kill()
        ended, _, _ = select.select([handle], [], [], 5)
        os.close(handle)
        assert ended
    with Lab():
        assert leftovers(lab_id) == []


def test_labs_run_side_by_side(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    pair(lab, tmp_path)
    with Lab() as other:
        assert other.id != lab.id
        n1, n2 = pair(other, tmp_path / "other")
        n1.stop()
        other.wait_holder(VIP, n2)
    assert lab.holders(VIP) == {"n1"}
    assert len(list(NAMESPACES.glob(f"ka-{lab.id}-*"))) == 3


def test_what_is_missing_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert obstacle() == "A lab makes network namespaces, which only root may do: run this as root."
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(
        "shutil.which", lambda name, **_: None if name in {"bwrap", "keepalived"} else f"/usr/bin/{name}"
    )
    assert (
        obstacle() == "A lab needs bwrap, keepalived, not found here: run `apt-get install -y bubblewrap keepalived`."
    )
    with pytest.raises(LabError, match="apt-get install"), Lab():
        pass

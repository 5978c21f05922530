"""What takes a node out and brings it back: maintenance, drain, each instance's own check, a checker that is killed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from signal import SIGKILL
from typing import TYPE_CHECKING, Any

from lab import wait_until
from lab.pair import ENVIRONMENT, HTTP_CHECKER, NO_CHECK, VIP, ka, make_pair, start_pair

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab, Node

SECOND_VIP = "203.0.113.20"


def test_a_maintenance_file_takes_the_node_out_until_it_is_gone(lab: Lab, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    pair = make_pair(lab)
    pair.n1.start({**ENVIRONMENT, "KA_PRIORITY": "254"}, data=data)
    pair.n2.start({**ENVIRONMENT, "KA_PRIORITY": "253"})
    lab.wait_holder(VIP, pair.n1)
    for _round in range(2):
        put = time.time()
        (data / "maintenance").touch()
        pair.wait_moved(pair.n2, put)
        removed = time.time()
        (data / "maintenance").unlink()
        pair.wait_moved(pair.n1, removed)
    pair.n1.log.wait_for(r"VRRP_Script\(maintenance\) failed")


def test_a_node_that_starts_in_maintenance_stays_out(lab: Lab, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    (data / "maintenance").touch()
    node = lab.add_node("n1")
    node.start_service()
    node.start({**ENVIRONMENT, "KA_PRIORITY": "254"}, data=data)
    node.log.wait_for("http-checker.*: UP after")
    node.log.wait_for(r"VRRP_Script\(maintenance\) failed")
    assert ka(node, "health").stdout.startswith("main is FAULT")
    removed = time.time()
    (data / "maintenance").unlink()
    lab.wait_holder(VIP, node, since=removed)
    assert [event for event in lab.timeline(VIP) if event.time < removed] == []


def test_drain_hands_over_and_undrain_takes_part_again(lab: Lab) -> None:
    pair = start_pair(lab)
    asked = time.time()
    drained = ka(pair.n1, "drain")
    assert (drained.returncode, drained.stderr) == (0, "")
    assert lab.holders(VIP) <= {"n2"}
    pair.wait_moved(pair.n2, asked)
    # Its service comes and goes, and that changes nothing.
    mark = pair.n1.log.mark()
    pair.services["n1"].refuse()
    pair.n1.log.wait_for("http-checker.*: DOWN after", since=mark)
    pair.services["n1"].answer(200)
    pair.n1.log.wait_for("http-checker.*: UP after", since=mark)
    assert lab.holders(VIP) == {"n2"}
    asked = time.time()
    assert ka(pair.n1, "undrain").returncode == 0
    pair.wait_moved(pair.n1, asked)


def test_each_instance_has_its_own_targets_and_verdict(lab: Lab) -> None:
    pair = make_pair(lab)
    others = {node.name: node.start_service(81) for node in (pair.n1, pair.n2)}
    web = {"INCLUDE": f"{SECOND_VIP}/24", "VRID": "52", "ENABLE_CHECK": "http://127.0.0.1:81/"}
    pair.start(**{f"KA_INSTANCES__WEB__{field}": value for field, value in web.items()})
    for vip in (VIP, SECOND_VIP):
        lab.wait_holder(vip, pair.n1)
    failed = time.time()
    others["n1"].answer(500)
    pair.wait_moved(pair.n2, failed, SECOND_VIP)
    assert verdicts(pair.n1) == {"http": "0", "http-web": "1"}
    assert lab.holders(VIP) == {"n1"}
    failed = time.time()
    pair.services["n1"].refuse()
    pair.wait_moved(pair.n2, failed, VIP)
    assert verdicts(pair.n1) == {"http": "1", "http-web": "1"}
    mended = time.time()
    others["n1"].answer(200)
    pair.wait_moved(pair.n1, mended, SECOND_VIP)
    assert lab.holders(VIP) == {"n2"}


def verdicts(node: Node) -> dict[str, str]:
    return {name: node.read(f"run/ka/verdicts/{name}").strip() for name in ("http", "http-web")}


def test_the_report_says_what_is_wrong_and_no_secret(lab: Lab) -> None:
    node = lab.add_node("n1")
    service = node.start_service()
    url = "http://me:q7Zk-pass@127.0.0.1/health?token=q7Zk-token"
    node.start({**ENVIRONMENT, "KA_PRIORITY": "254", "KA_ENABLE_CHECK": url, "KA_CHECK_HEADERS": "X-Key: q7Zk-key"})
    lab.wait_holder(VIP, node)
    wait_until(lambda: target(node)["state"] == "up", "a target that is up")
    assert target(node)["target"] == "http://***@127.0.0.1/health?token=***"
    service.answer(503)
    wait_until(lambda: target(node)["state"] == "down" and target(node)["reason"] != "", "a target that is down")
    assert (target(node)["reason"], target(node)["details"]) == ("answered 503 Service Unavailable, not 200", "n1")
    (line,) = [line.text for line in node.log.lines if ": DOWN after" in line.text]
    assert "q7Zk" not in line + node.log.text + node.read("run/ka/verdicts/report.json")


def target(node: Node) -> dict[str, Any]:
    """The only one of the report."""
    report = json.loads(node.read("run/ka/verdicts/report.json"))
    found: dict[str, Any] = report["checks"][0]["targets"][0]
    return found


def test_a_killed_checker_neither_flaps_nor_forgets(lab: Lab) -> None:
    """Only three times: the fifth death within a minute would end the node."""
    pair = start_pair(lab, KA_LOG_LEVEL="debug")
    mark = 0
    for _round in range(2):
        # What dies in its first second is restarted after a pause.
        pair.n1.log.wait_for("success: http-checker entered RUNNING state", since=mark)
        mark = pair.n1.log.mark()
        pair.n1.signal(HTTP_CHECKER, SIGKILL)
        pair.n1.log.wait_for("http-checker.*the last verdict was up", since=mark)
        assert pair.n1.read("run/ka/verdicts/http") == "0\n"
    pair.n1.log.wait_for("success: http-checker entered RUNNING state", since=mark)
    assert [event.added for event in lab.timeline(VIP) if event.node == "n1"] == [True]
    # Killed in the middle of a fall, the next one finishes it.
    mark, failed = pair.n1.log.mark(), time.time()
    pair.services["n1"].answer(500)
    pair.n1.signal(HTTP_CHECKER, SIGKILL)
    pair.wait_moved(pair.n2, failed)
    pair.n1.log.wait_for("http-checker.*: DOWN after 2 failures: answered 500", since=mark)


def test_a_checker_that_starts_again_may_wait_for_its_first_answer(lab: Lab) -> None:
    """With a time-out above three intervals: nobody is out while the service may still answer in time."""
    pair = start_pair(lab, KA_CHECK_TIMEOUT="20", KA_LOG_LEVEL="debug")
    pair.services["n1"].hang()
    mark = pair.n1.log.mark()
    pair.n1.signal(HTTP_CHECKER, SIGKILL)
    pair.n1.log.wait_for("http-checker.*the last verdict was up", since=mark)
    asked = time.monotonic()
    wait_until(lambda: time.monotonic() - asked > 5, "five seconds without an answer")
    pair.services["n1"].answer(200)
    pair.n1.log.wait_for("success: http-checker entered RUNNING state", since=mark)
    assert [event.added for event in lab.timeline(VIP) if event.node == "n1"] == [True]


def test_a_maintenance_file_where_only_root_may_look(lab: Lab, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    pair = make_pair(lab)
    pair.n1.start({**ENVIRONMENT, "KA_PRIORITY": "254"}, data=data)
    pair.n2.start({**ENVIRONMENT, "KA_PRIORITY": "253"})
    lab.wait_holder(VIP, pair.n1)
    put = time.time()
    (data / "maintenance").touch()
    pair.wait_moved(pair.n2, put)
    removed = time.time()
    (data / "maintenance").unlink()
    pair.wait_moved(pair.n1, removed)


def test_a_file_system_that_hangs_ends_no_node(lab: Lab, tmp_path: Path) -> None:
    """A FUSE file system that nobody answers for, in the place of a network file system whose server is away."""
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    node = lab.add_node("n1")
    environ = {**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254"}
    node.start({name: text for name, text in environ.items() if text}, data=data)
    lab.wait_holder(VIP, node)
    node.log.wait_for(r"VRRP_Script\(maintenance\) succeeded")
    inside = ["nsenter", "--target", str(node.pid), "--mount"]
    device = tmp_path / "fuse"
    os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(10, 229))  # a minimal machine has no /dev/fuse
    with device.open("r+b", buffering=0) as fuse:
        options = f"fd={fuse.fileno()},rootmode=40755,user_id=0,group_id=0,allow_other"
        mount = [*inside, "mount", "-i", "-t", "fuse", "-o", options, "none", "/ka-data"]
        subprocess.run(mount, pass_fds=(fuse.fileno(),), check=True)
        node.log.wait_for(
            "maintenance.*does not say whether it is there, its file system hangs; the last answer counts"
        )
        hung = time.monotonic()
        wait_until(lambda: time.monotonic() - hung > 5, "five seconds without an answer")
        assert len(node.processes("checks/maintenance")) <= 2
    # Its end is closed: each look that waits comes back.
    node.log.wait_for("maintenance.*can be looked for again")
    assert [event.added for event in lab.timeline(VIP)] == [True]

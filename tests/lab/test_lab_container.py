"""A node is a container: what is in it, what it may do, how it starts and ends."""

from __future__ import annotations

import shutil
import subprocess
import textwrap
import venv
from pathlib import Path

import pytest

from lab import Lab, LabError

CHECKOUT = Path(__file__).resolve().parents[2]
SH = ["sh", "-c"]
# One process, which waits for ever without starting another.
FOREVER = [*SH, "trap 'exit 0' TERM; mkfifo /run/never; exec 3<>/run/never; echo ready; read never <&3"]


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
    assert "CapEff:\t00000000000030e1" in lines  # CHOWN KILL SETGID SETUID NET_ADMIN NET_RAW
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
    assert seen[1:] == ["n1", str(CHECKOUT), "CapEff:\t00000000000030e1"]
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

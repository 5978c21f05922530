"""A program that cannot run ends its node: with status 70, a sentence that says why, and no VIP left behind."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import TYPE_CHECKING

from lab.pair import ENVIRONMENT, GUARD, HTTP_CHECKER, KEEPALIVED, VIP, placed
from lab.programs import PATH
from lab.sandbox import CHECKOUT

if TYPE_CHECKING:
    from lab import Lab, Node

#: Seconds: supervisord tries four times, with pauses of one, two and three seconds.
GIVES_UP_WITHIN = 60.0

REAL = "/opt/real/keepalived"

#: Passes keepalived's test of its configuration and fails for real.
KEEPALIVED_THAT_FAILS = f"""#!/bin/sh
case " $* " in *" --config-test "*) exec {REAL} "$@" ;; esac
echo "keepalived: no VRRP today" >&2
exit 1
"""


@dataclass(frozen=True)
class Broken:
    """A program of the node, what stands in for the file at `target`, and what the node must say in the end."""

    target: str
    text: str
    sentence: str
    mode: int = 0o755


def program(name: str) -> str:
    path = shutil.which(name, path=PATH)
    assert path is not None
    return path


def broken_programs() -> dict[str, Broken]:
    app = CHECKOUT / "app"
    rsyslogd = program("rsyslogd")
    return {
        "keepalived": Broken(
            program("keepalived"), KEEPALIVED_THAT_FAILS, "keepalived could not be started: keepalived: no VRRP today"
        ),
        "rsyslogd": Broken(
            rsyslogd,
            "#!/bin/sh\necho 'rsyslogd: no log today' >&2\nexit 1\n",
            "log-forwarder could not be started: rsyslogd: no log today",
        ),
        "no-rsyslogd": Broken(
            rsyslogd,
            "\n",
            f"log-forwarder could not be started: command at '{rsyslogd}' is not executable",
            mode=0o644,
        ),
        "http-checker": Broken(
            str(app / "checks/http.py"),
            "raise SystemExit('no probes today')\n",
            "http-checker could not be started: no probes today",
        ),
        "guard": Broken(
            str(app / "guard.py"),
            "raise SystemExit('no guard today')\n",
            "guard could not be started: no guard today",
        ),
    }


def test_a_program_that_cannot_start_ends_the_node_with_70(lab: Lab, tmp_path: Path) -> None:
    expected = broken_programs()
    for name, broken in expected.items():
        path = tmp_path / name
        path.write_text(broken.text, encoding="utf-8")
        path.chmod(broken.mode)
        binds = {path: broken.target}
        if name == "keepalived":
            binds = {Path(broken.target): REAL, path: broken.target}
        node = lab.add_node(name)
        node.start_service()
        node.start({**ENVIRONMENT, "KA_PRIORITY": "254"}, binds=binds)
    nodes = lab.nodes
    status = {name: node.wait(GIVES_UP_WITHIN) for name, node in nodes.items()}
    assert status == dict.fromkeys(expected, 70)
    said = {name: node.stderr.text for name, node in nodes.items()}
    assert said == {name: f"ka: {broken.sentence}\n" for name, broken in expected.items()}
    assert {name: placed(node) for name, node in nodes.items()} == {name: set() for name in expected}


def test_a_keepalived_that_is_no_program_is_refused_before_the_start(lab: Lab, tmp_path: Path) -> None:
    nothing = tmp_path / "keepalived"
    nothing.write_text("", encoding="ascii")
    nothing.chmod(0o644)
    node = lab.add_node("n1")
    node.start({**ENVIRONMENT, "KA_PRIORITY": "254"}, binds={nothing: program("keepalived")})
    assert node.wait() == 78
    assert node.stderr.lines[0].text.startswith("ka: keepalived: cannot be run: Permission denied; ")
    assert node.log.text == ""


def test_a_keepalived_that_cannot_be_started_again_leaves_no_vip(lab: Lab, tmp_path: Path) -> None:
    stand_in = tmp_path / "keepalived"
    stand_in.write_text(f'#!/bin/sh\nexec {REAL} "$@"\n', encoding="ascii")
    stand_in.chmod(0o755)
    target = program("keepalived")
    node = lab.add_node("n1")
    node.start_service()
    node.start({**ENVIRONMENT, "KA_PRIORITY": "254"}, binds={Path(target): REAL, stand_in: target})
    lab.wait_holder(VIP, node)
    stand_in.chmod(0o644)
    node.signal(rf"^{REAL} ", SIGKILL)
    assert node.wait(GIVES_UP_WITHIN) == 70
    sentence = f"keepalived could not be started: command at '{target}' is not executable"
    assert node.stderr.text == f"ka: {sentence}\n"
    assert placed(node) == set()


def test_a_node_that_is_told_to_stop_while_keepalived_waits_for_its_next_start_ends_with_0(
    lab: Lab, tmp_path: Path
) -> None:
    stand_in = tmp_path / "keepalived"
    stand_in.write_text(KEEPALIVED_THAT_FAILS, encoding="ascii")
    stand_in.chmod(0o755)
    target = program("keepalived")
    node = lab.add_node("n1")
    node.start_service()
    node.start({**ENVIRONMENT, "KA_PRIORITY": "254"}, binds={Path(target): REAL, stand_in: target})
    node.log.wait_for("exited: keepalived .*not expected")
    assert node.stop() == 0
    assert placed(node) == set()


def test_a_program_that_dies_again_and_again_ends_the_node_with_70(lab: Lab) -> None:
    victims = {"keepalived": KEEPALIVED, "http-checker": HTTP_CHECKER}
    nodes = {name: lab.add_node(name) for name in victims}
    heir = lab.add_node("heir")
    for node, priority in ((nodes["keepalived"], "254"), (nodes["http-checker"], "253"), (heir, "100")):
        node.start_service()
        node.start({**ENVIRONMENT, "KA_PRIORITY": priority, "KA_LOG_LEVEL": "debug"})
    lab.wait_holder(VIP, nodes["keepalived"])
    # Whoever judges the deaths may die itself.
    guard_marks = {name: kill(node, "guard", GUARD, 0) for name, node in nodes.items()}
    for name, node in nodes.items():
        wait_running(node, "guard", guard_marks[name])
    marks = dict.fromkeys(nodes, 0)
    for _ in range(5):
        for name, node in nodes.items():
            marks[name] = kill(node, name, victims[name], marks[name])
    assert {name: node.wait(GIVES_UP_WITHIN) for name, node in nodes.items()} == dict.fromkeys(victims, 70)
    for name, node in nodes.items():
        assert re.fullmatch(rf"ka: {name} ended 5 times within \d+ s(: .*)?\n", node.stderr.text), node.stderr.text
        assert placed(node) == set()
    lab.wait_holder(VIP, heir)
    assert lab.holders(VIP) == {"heir"}


def wait_running(node: Node, name: str, mark: int) -> None:
    """Waits until supervisord takes the program for one that has started."""
    node.log.wait_for(f"success: {name} entered RUNNING state", since=mark)


def kill(node: Node, name: str, pattern: str, mark: int) -> int:
    """Kills a program once it has started after `mark`; gives the mark of the moment before."""
    wait_running(node, name, mark)
    before = node.log.mark()
    node.signal(pattern, SIGKILL)
    return before

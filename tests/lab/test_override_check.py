"""KA_OVERRIDE_CHECK: an executable of the operator's decides, whatever it does."""

from __future__ import annotations

import re
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from lab.pair import ENVIRONMENT, NO_CHECK, VIP, make_pair, placed
from tests.lab.tell import Fifo

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab, Node

OVERRIDE = {
    **NO_CHECK,
    "KA_OVERRIDE_CHECK": "check",
    "KA_CHECK_INTERVAL": "1",
    "KA_CHECK_TIMEOUT": "0.8",
    "KA_CHECK_RISE": "1",
    "KA_CHECK_FALL": "1",
}

#: Does what /ka-data/mode says, and logs that it ran.
SCRIPT = """#!/bin/sh
read -r mode </ka-data/mode
logger --tag ran -- "$mode, as process $$"
case $mode in
    pass) echo "never shown" ;;
    fail) echo "the disk is full"; echo "no space left" >&2; exit 3 ;;
    hang) echo "waiting"; exec sleep 60 ;;
    much) yes much | head -c 800000 ;;
    endless) exec yes endless ;;
esac
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What is mounted as /ka-data: scripts/check, which obeys /ka-data/mode."""
    data = tmp_path / "data"
    (data / "scripts").mkdir(parents=True)
    for directory in (data, data / "scripts"):
        directory.chmod(0o755)
    write_script(data, SCRIPT)
    set_mode(data, "pass")
    return data


def write_script(data: Path, text: str, mode: int = 0o755) -> None:
    script = data / "scripts" / "check"
    script.write_text(text, encoding="utf-8")
    script.chmod(mode)


def set_mode(data: Path, mode: str) -> None:
    path = data / "mode"
    path.write_text(f"{mode}\n", encoding="ascii")
    path.chmod(0o644)


def start(node: Node, data: Path, **changes: str) -> None:
    node.start({**ENVIRONMENT, **OVERRIDE, "KA_PRIORITY": "254", **changes}, data=data)


def said(node: Node, mark: int = 0) -> list[str]:
    """What the node logged of the check's results."""
    return [line.text.partition("]: ")[2].strip() for line in node.log.lines[mark:] if " override-check[" in line.text]


def test_the_vip_follows_the_script_and_only_changes_are_logged(lab: Lab, data: Path) -> None:
    pair = make_pair(lab)
    start(pair.n1, data)
    pair.n2.start({**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "253"})
    lab.wait_holder(VIP, pair.n1)
    results = {
        "fail": "check: failed with exit status 3: the disk is full no space left",
        "hang": "check: no result within 0.8 s: waiting",
    }
    for mode, result in results.items():
        mark, failed = pair.n1.log.mark(), time.time()
        set_mode(data, mode)
        pair.wait_moved(pair.n2, failed)
        pair.n1.log.wait_for(f"override-check.*{re.escape(result)}", since=mark)
        again = pair.n1.log.mark()
        pair.n1.log.wait_for(rf"ran\[\d+\]: {mode}, as process", since=again)  # it fails again, and nobody hears of it
        passed = time.time()
        set_mode(data, "pass")
        pair.wait_moved(pair.n1, passed)
        pair.n1.log.wait_for(r"override-check.*check: healthy: never shown", since=mark)
        assert said(pair.n1, mark) == [result, "check: healthy: never shown"]
    assert pair.n1.stderr.text == ""


def test_a_script_that_writes_much_fills_neither_log_nor_memory(lab: Lab, data: Path) -> None:
    set_mode(data, "much")
    node = lab.add_node("n1")
    start(node, data)
    lab.wait_holder(VIP, node)
    (healthy,) = said(node)
    assert healthy.startswith("check: healthy: much much ")
    assert len(healthy) < 600
    failed = time.time()
    set_mode(data, "endless")
    lab.wait_released(VIP, node, since=failed)
    node.log.wait_for(r"override-check.*check: printed more than 1 MiB: endless endless ")
    used = int(node.enter(["df", "--output=used", "--block-size=1M", "/run"]).stdout.split()[1])
    assert used < 32


def test_the_script_runs_without_privileges_arguments_or_ka_variables(lab: Lab, data: Path) -> None:
    write_script(
        data,
        "#!/bin/sh\n"
        "capabilities=$(grep -E '^Cap(Prm|Eff|Amb)' /proc/self/status | grep -vc '\t0*$')\n"
        'logger --tag ran -- "as $(id -un) of $(id -Gn), $# arguments, $capabilities kinds of capabilities, '
        '$(env | grep -c ^KA_) variables"\n',
    )
    other, own = lab.add_node("n1"), lab.add_node("n2")
    start(other, data, KA_SCRIPT_USER="bin")
    start(own, data)
    # The siblings' account here is nobody.
    for node, account in ((other, "bin of bin"), (own, "daemon of daemon")):
        node.log.wait_for(rf"ran\[\d+\]: as {account}, 0 arguments, 0 kinds of capabilities, 0 variables$")


def test_a_script_that_needs_its_user_fails_without_it_and_the_trial_run_says_so(lab: Lab, data: Path) -> None:
    write_script(data, '#!/bin/sh\n[ "$(id -un)" = bin ] || { echo "this is not bin"; exit 4; }\n')
    stranger = lab.add_node("stranger")
    start(stranger, data)
    failure = "failed with exit status 4"
    warning = rf"warning ka\[1\]: /ka-data/scripts/check: {failure} in its trial run: this is not bin$"
    stranger.log.wait_for(warning)
    stranger.log.wait_for(f"override-check.*check: {failure}: this is not bin")
    friend = lab.add_node("friend")
    start(friend, data, KA_SCRIPT_USER="bin")
    lab.wait_holder(VIP, friend)
    assert "trial run" not in friend.log.text
    assert placed(stranger) == set()


def test_a_script_that_only_its_user_may_run_is_run(lab: Lab, data: Path) -> None:
    write_script(data, "#!/bin/sh\nexit 0\n", mode=0o700)
    shutil.chown(data / "scripts" / "check", "bin", "bin")
    node = lab.add_node("n1")
    start(node, data, KA_SCRIPT_USER="bin")
    lab.wait_holder(VIP, node)
    assert "trial run" not in node.log.text


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        ("absent", "cannot be check; there is no such file in /ka-data/scripts, it holds other"),
        ("not executable", "cannot be check, which is not executable; chmod +x /ka-data/scripts/check"),
    ],
)
def test_existence_and_run_bit_are_settled_before_anything_starts(
    lab: Lab, data: Path, prepare: str, sentence: str
) -> None:
    script = data / "scripts" / "check"
    if prepare == "absent":
        script.rename(script.with_name("other"))
    else:
        script.chmod(0o644)
    node = lab.add_node("n1")
    start(node, data)
    assert node.wait() == 78
    assert node.stderr.text == f"ka: KA_OVERRIDE_CHECK: {sentence}\nka: 1 problem, nothing was started\n"
    assert node.log.text == ""


def test_a_script_that_cannot_be_run_is_said_and_keeps_the_node_out(lab: Lab, data: Path) -> None:
    write_script(data, "#!/no/such/interpreter\n")
    node = lab.add_node("n1")
    start(node, data)
    node.log.wait_for(r"warning ka\[1\]: /ka-data/scripts/check: .* in its trial run: .*\bnot found\b")
    node.log.wait_for(r"override-check.*check: not found, or its interpreter is missing")
    assert lab.timeline(VIP) == ()


def test_sigterm_during_the_trial_run_ends_the_node_at_once(lab: Lab, data: Path) -> None:
    write_script(data, "#!/bin/sh\necho began >/ka-data/began\nexec sleep 60\n")
    node = lab.add_node("n1")
    with Fifo(data / "began") as fifo:
        start(node, data)
        fifo.wait_for("began")
        assert node.stop() == 0
    assert node.log.text == node.stderr.text == ""
    assert lab.timeline(VIP) == ()

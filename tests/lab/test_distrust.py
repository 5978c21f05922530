"""What is done to a node by others: forged reports, a stopped keepalived, killed reloads, odd output."""

from __future__ import annotations

import os
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGSTOP
from typing import TYPE_CHECKING

import pytest

from lab import wait_until
from lab.pair import ENVIRONMENT, KA, KEEPALIVED, NO_CHECK, VIP, start_pair
from lab.reloads import change_auth_pass, mounted

if TYPE_CHECKING:
    from lab import Lab

#: Sends a report to PID 1 as an account that may not.
FORGE = (
    "import os, socket, sys; os.setgid({gid}); os.setuid({uid});"
    "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(sys.argv[1].encode(), '/run/ka/notify')"
)


@pytest.mark.parametrize("uid", [1, 65534], ids=["a stranger", "the siblings' account"])
def test_nobody_ends_a_node_by_a_report(lab: Lab, uid: int) -> None:
    """Each of these ended the node, whoever sent it: the first by a traceback of PID 1."""
    node = lab.add_node("n1")
    node.start({**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254"})
    lab.wait_holder(VIP, node)
    forge = [KA[0], "-c", FORGE.format(uid=uid, gid=uid)]
    for report in ("X_RESTART=nosuch\n", "STOPPING=1\nSTATUS=keepalived could not be started\n", "X_OPEN=\n"):
        mark = node.log.mark()
        node.enter([*forge, report])
        node.log.wait_for(
            rf"ignored a report {report.partition('=')[0]} of process \d+, account {uid}; only", since=mark
        )
    assert lab.holders(VIP) == {"n1"}
    assert [event.added for event in lab.timeline(VIP)] == [True]
    assert node.stop() == 0


def test_a_keepalived_that_is_stopped_holds_nothing(lab: Lab) -> None:
    """It held the VIP beside the new master until somebody restarted the node."""
    pair = start_pair(lab, KA_ADVERT_INTERVAL="1", **NO_CHECK)
    lab.wait_holder(VIP, pair.n1)
    stopped = pair.n1.signal(KEEPALIVED, SIGSTOP)
    gone = lab.wait_released(VIP, pair.n1)
    pair.n1.log.wait_for(r"keepalived does nothing any more \(process state \w*T\w*\); ending it")
    assert not set(stopped) & set(pair.n1.processes(KEEPALIVED))
    came = lab.wait_holder(VIP, pair.n2, since=gone.time)
    assert gone.time < came.time
    lab.wait_holder(VIP, pair.n1, since=came.time)  # it takes part again
    wait_until(lambda: lab.holders(VIP) == {"n1"}, "one holder")


def test_a_reload_that_is_killed_ends_nothing_and_is_finished_by_the_next(lab: Lab, tmp_path: Path) -> None:
    """Five killed reloads ended the node; what one had written and told nobody of was never read."""
    n1 = mounted(lab, "n1", tmp_path)
    change_auth_pass(1, n1)
    n1.start(254)
    lab.wait_holder(VIP, n1.node)
    for _ in range(6):
        os.kill(n1.node.pid, SIGHUP)
        n1.node.signal(r"app\.lifecycle\.reload", SIGKILL)
    # As one leaves it that is killed between the files and the signal.
    change_auth_pass(2, n1)
    config = n1.node.read("/run/ka/keepalived.conf")
    fresh = config.replace('"pass-1"', '"pass-2"')
    assert fresh != config
    Path(f"/proc/{n1.node.pid}/root/run/ka/keepalived.conf").write_text(fresh, encoding="utf-8")
    n1.node.enter(["touch", "/run/ka/reload.pending"])
    mark = n1.node.log.mark()
    assert "keepalived.conf" in n1.reload().stdout
    n1.node.log.wait_for(r"Keepalived.*Reloading", since=mark)
    assert n1.reload().stdout == "nothing has changed\n"
    assert lab.holders(VIP) == {"n1"}


def test_a_check_that_prints_what_ends_a_line(lab: Lab, tmp_path: Path) -> None:
    """curl's progress has carriage returns: they ended the node with 70 at every start while the service was down."""
    data = tmp_path / "ka-data"
    script = data / "scripts" / "check"
    script.parent.mkdir(parents=True)
    script.write_text(
        "#!/bin/sh\nprintf '  0%%\\r 50%%\\r\\v\\f\\034no\\302\\205service\\342\\200\\250here\\n'\nexit 1\n"
    )
    script.chmod(0o755)
    node = lab.add_node("n1")
    environment = {**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254", "KA_OVERRIDE_CHECK": "check"}
    node.start(environment, binds={data: "/ka-data"})
    node.log.wait_for(r"failed with exit status 1 in its trial run: 0% 50% .*no.*service.*here")
    node.log.wait_for(r"override-check.*: check: failed with exit status 1")
    assert lab.timeline(VIP) == ()
    assert node.stop() == 0

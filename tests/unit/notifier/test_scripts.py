"""KA_NOTIFY: what the script is told, in which order, and what becomes of one that hangs."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.notifier.conftest import Stage

# Fails if another run for the same instance is under way.
ALONE = "mkdir $here/busy-$1 || exit 9; {}; rmdir $here/busy-$1"


def test_the_script_gets_arguments_and_environment_and_nothing_else(stage: Stage) -> None:
    stage.script(
        "tr '\\0' '\\n' </proc/$$/environ | sort >$here/environ; echo \"$0 $@\" >$here/arguments; ls -x /proc/$$/fd"
    )
    stage.start(environ={"KA_AUTH_PASS": "hunter2", "PATH": "/usr/bin:/bin", "TOKEN": "hunter2"})
    stage.tell("main MASTER 100")
    (line,) = stage.wait_log("done in")
    assert stage.read("arguments") == f"{stage.directory}/hook main MASTER 100\n"
    assert stage.read("environ") == "KA_INSTANCE=main\nKA_PRIORITY=100\nKA_STATE=MASTER\nPATH=/usr/bin:/bin\n"
    # Its standard three and the shell's own of the script: not what the notifier inherited from PID 1.
    assert line.split("s: ")[1] == "0 1 10 2"


def test_only_transitions_of_instances_count(stage: Stage) -> None:
    stage.script("exit 0")
    stage.start()
    stage.tell('GROUP "both" MASTER 0', "main BACKUP 100", 'INSTANCE "main" MASTER_PRIORITY 50', 'rubbish "')
    stage.tell("main BACKUP 100", "main BACKUP 90", "main MASTER 90", "main STOP 90")
    stage.wait_log("main STOP 90: done")
    assert [line.split(": ")[0].split("hook ")[1] for line in stage.lines] == [
        "main BACKUP 100",
        "main MASTER 90",
        "main STOP 90",
    ]


def test_many_transitions_behind_a_slow_script_all_come_in_order_one_by_one(stage: Stage) -> None:
    stage.script(ALONE.format('echo "$2 $3" >>$here/seen-$1'))
    stage.start()
    # More than a pipe holds, so that somebody must read it while scripts run.
    told = {name: [f"{('MASTER', 'BACKUP')[n % 2]} {n % 256}" for n in range(150)] for name in ("one", "two", "three")}
    for n in range(150):
        stage.tell(*(f"{name} {lines[n]}" for name, lines in told.items()))
    stage.wait_log(": done", 450)
    for name, lines in told.items():
        assert stage.read(f"seen-{name}").splitlines() == lines
    assert not [line for line in stage.lines if "failed" in line]


def test_an_instance_whose_script_hangs_holds_up_no_other(stage: Stage) -> None:
    stage.script('[ $1 = slow ] && wait_for_gate; echo "$1 $2" >>$here/seen')
    stage.start()
    stage.tell("slow MASTER 100", "slow BACKUP 100", "other MASTER 100", "other BACKUP 100")
    stage.wait_log("other BACKUP 100: done")
    assert stage.read("seen") == "other MASTER\nother BACKUP\n"
    stage.open_gate(2)
    stage.wait_log("slow BACKUP 100: done")
    assert stage.read("seen").splitlines()[2:] == ["slow MASTER", "slow BACKUP"]


def test_no_more_than_some_run_at_once(stage: Stage) -> None:
    stage.script("wait_for_gate; echo $1 >>$here/seen")
    stage.start(at_once=2)
    stage.tell("a MASTER 1", "b MASTER 1", "c MASTER 1")
    stage.open_gate(1)
    stage.wait_log("done")
    assert stage.read("seen") in ("a\n", "b\n")
    stage.open_gate(2)
    stage.wait_log("done", 3)


def test_one_that_fails_is_logged_with_its_output_on_one_line_cut(stage: Stage) -> None:
    stage.script("echo first; echo second >&2; seq 1000; exit 3")
    stage.start()
    stage.tell("main MASTER 100")
    (line,) = stage.wait_log("hook main MASTER 100: failed with exit status 3: first second 1 2 3")
    assert line.endswith(" …")
    assert len(line) < 700


def test_one_that_floods_is_read_to_its_end_and_kept_short(stage: Stage) -> None:
    stage.script("yes | head -c 3000000")
    stage.start()
    stage.tell("main MASTER 100")
    (line,) = stage.wait_log("done in")
    assert len(line) < 700


def test_one_that_was_killed_or_cannot_be_run_is_logged_and_the_next_comes(stage: Stage) -> None:
    stage.script("kill -9 $$")
    stage.start()
    stage.tell("main MASTER 100")
    stage.wait_log("was ended by SIGKILL")
    (stage.directory / "hook").chmod(0o644)
    if os.geteuid() == 0:
        (stage.directory / "hook").unlink()
    stage.tell("main BACKUP 100", "main MASTER 100")
    stage.wait_log("cannot be run: (No such file or directory|Permission denied)", 2)
    stage.script("exit 0")
    stage.tell("main BACKUP 100")
    stage.wait_log("done")


def test_the_time_limit_ends_the_whole_group_and_the_next_comes(stage: Stage) -> None:
    # Neither the script nor its child goes at SIGTERM.
    stage.script(
        "[ $2 = BACKUP ] && exit 0; trap '' TERM; echo $$ >$here/pid; (wait_for_gate; echo >$here/survived); echo never"
    )
    stage.start(run=0.2, grace=0.2)
    stage.tell("main MASTER 100", "main BACKUP 100")
    stage.wait_log("main MASTER 100: had not ended after 0.2 s and was stopped")
    stage.wait_log("main BACKUP 100: done")
    stage.open_gate()
    assert not Path(f"/proc/{stage.read('pid').strip()}").exists()
    assert not (stage.directory / "survived").exists()


def test_one_that_obeys_sigterm_may_tidy_up(stage: Stage) -> None:
    stage.script("trap 'echo tidy >$here/tidy; exit 0' TERM; echo >$here/up; wait_for_gate")
    stage.start(run=0.5, grace=30)
    stage.tell("main MASTER 100")
    stage.wait_log("had not ended after 0.5 s and was stopped")
    assert stage.read("tidy") == "tidy\n"


def test_what_a_script_leaves_in_the_background_holds_up_nothing(stage: Stage) -> None:
    stage.script("wait_for_gate & exit 0")
    stage.start()
    stage.tell("main MASTER 100", "main BACKUP 100")
    stage.wait_log("done", 2)


def test_at_the_bound_the_oldest_are_dropped_and_it_is_said(stage: Stage) -> None:
    stage.script("echo >$here/up; wait_for_gate; echo $3 >>$here/seen")
    stage.start(waiting=3)
    stage.tell("main MASTER 0")
    stage.wait_file("up", "\n")
    stage.tell(*(f"main {('MASTER', 'BACKUP')[n % 2]} {n}" for n in range(1, 9)))
    stage.wait_log("hook: 3 transitions wait, so the oldest are dropped: main BACKUP")
    stage.open_gate(9)
    stage.wait_log("main MASTER 8|main BACKUP 8")
    stage.wait_log("hook: 5 transitions were dropped in all")
    assert stage.read("seen").split() == ["0", "6", "7", "8"]


# --- Its own end -----------------------------------------------------------------------------------------------------


def test_a_killed_notifier_loses_nothing_that_waits_and_repeats_nothing_that_ran(stage: Stage) -> None:
    stage.script(ALONE.format('echo "$2 $3" >>$here/seen; wait_for_gate'))
    stage.start()
    stage.tell("main BACKUP 1", "main MASTER 2", "main BACKUP 3")
    stage.wait_file("seen", "BACKUP 1\n")
    stage.stop(signal.SIGKILL)
    stage.tell("main MASTER 4")  # nobody listens now
    stage.start()
    stage.tell("main BACKUP 5")
    stage.open_gate()
    stage.wait_file("seen", "BACKUP 1\nMASTER 2\n")
    stage.open_gate(4)
    stage.wait_log("main BACKUP 5: done")
    assert stage.read("seen") == "BACKUP 1\nMASTER 2\nBACKUP 3\nMASTER 4\nBACKUP 5\n"


def test_a_script_of_a_killed_notifier_keeps_its_time_limit(stage: Stage) -> None:
    stage.script("echo $2 >>$here/seen; trap '' TERM; [ $2 = BACKUP ] || wait_for_gate")
    stage.start(run=1, grace=0.1)
    stage.tell("main MASTER 1", "main BACKUP 2")
    stage.wait_file("seen", "MASTER\n")
    stage.stop(signal.SIGKILL)
    stage.start(run=1, grace=0.1)
    stage.wait_log("main BACKUP 2: done")  # nobody opens the gate: the first was ended
    assert stage.read("seen") == "MASTER\nBACKUP\n"


def test_sigterm_lets_what_waits_come_first(stage: Stage) -> None:
    stage.script("echo $2 >>$here/seen; wait_for_gate")
    process = stage.start()
    stage.tell("main MASTER 1")
    stage.wait_file("seen", "MASTER\n")
    stage.tell("main STOP 1")
    process.send_signal(signal.SIGTERM)
    stage.open_gate(2)
    assert process.wait(30) == 0
    assert stage.read("seen") == "MASTER\nSTOP\n"
    assert stage.read("journal") == '["states",3,{"main":"STOP"}]\n'


def test_sigterm_does_not_wait_for_ever_and_the_next_notifier_goes_on(stage: Stage) -> None:
    stage.script("echo $2 >>$here/seen; wait_for_gate")
    stage.start(drain=0.3)
    stage.tell("main MASTER 1", "main BACKUP 2")
    stage.wait_file("seen", "MASTER\n")
    assert stage.stop() == 0
    stage.wait_log("stopped with 1 transitions untold and 1 scripts running")
    stage.start()
    stage.open_gate(2)
    stage.wait_log("main BACKUP 2: done")


def test_without_anything_to_do_sigterm_ends_it_at_once(stage: Stage) -> None:
    stage.script("exit 0")
    stage.start(drain=3600)
    stage.tell("main MASTER 1")
    stage.wait_log("done")
    assert stage.stop() == 0

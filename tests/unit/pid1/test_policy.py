"""Named histories of a node: what happens, when, and what PID 1 does about it."""

from __future__ import annotations

from logging import CRITICAL, DEBUG, INFO, WARNING

import pytest

from app.contract.peers_config import Learned
from app.contract.reports import CHANGED, FAILED, HEARD, OPENED, READY, RELOAD, Report
from app.pid1.events import (
    Action,
    Broken,
    CleanUp,
    DropPeers,
    EndContainer,
    Ended,
    EndHung,
    Event,
    GivenUp,
    Log,
    Moment,
    OpenGates,
    Printed,
    RememberPeers,
    Restart,
    Running,
    SayOpening,
    SendTo,
    Start,
    Started,
    Stop,
    TakeBack,
)
from app.pid1.policy import HUNG_SECONDS, RETRY_SECONDS, Policy

LOG, CHECKER, NOTIFIER, VRRP = "log-forwarder", "http-checker", "notifier", "keepalived"
RESUMED = Report(READY, "", 11)
TICK = Moment.TIME_PASSED


class Files(set[str]):
    """What the run directory has from now on: in a history it stands where an event does."""


#: When something happens (monotonic seconds), what, and what is done about it. A text: the states of keepalived's
#: processes from now on.
Step = tuple[float, Event | Files | str, list[Action]]
History = list[Step]

#: A node with a check and a hook, up to where all runs.
CONFIGURED = Files({"rsyslog.conf", "http-checker.json", "notifier.json", "keepalived.conf"})
UP: History = [
    (0.0, CONFIGURED, []),
    (0.0, Started(LOG), []),
    (0.0, Started("guard"), []),
    (0.1, RESUMED, [SayOpening(), Start(CHECKER), Start(NOTIFIER), Start(VRRP)]),
    (0.1, Started(CHECKER), []),
    (0.1, Started(NOTIFIER), []),
    (0.1, Started(VRRP), []),
]


#: Whose processes report.
PIDS = {LOG: 11, "guard": 12, "peers": 13}


def ignored(kind: str, pid: int, uid: int, sender: str) -> list[Action]:
    sentence = f"ignored a report {kind} of process {pid}, account {uid}"
    return [Log(WARNING, f"{sentence}; only {sender} and root may send it")]


def hung(states: str) -> list[Action]:
    return [Log(CRITICAL, f"keepalived does nothing any more (process state {states}); ending it"), EndHung()]


def failed(sentence: str) -> Report:
    return Report(FAILED, sentence, 12)


def ends(why: str) -> list[Action]:
    return [Log(CRITICAL, f"{why}; ending the container"), EndContainer(why)]


ONE, TWO = (Learned("main", f"203.0.113.{number}") for number in (12, 13))


def learned(peer: Learned) -> Action:
    what = f"main: {peer.address} sends adverts and is no peer of this node"
    return Log(WARNING, f"{what}: sending to it from now on")


HISTORIES: dict[str, History] = {
    "orderly start": [
        *UP,
        (1.1, Running(LOG), []),
        (1.1, Running("guard"), []),
        (1.1, Running(VRRP), []),
    ],
    "a forwarder that never says that it is ready": [
        (0.0, CONFIGURED, []),
        (0.0, Started(LOG), []),
        (1.0, Running(LOG), [SayOpening(), Start(CHECKER), Start(NOTIFIER), Start(VRRP)]),
    ],
    "names and no check": [
        (0.0, Files({"peers.json", "keepalived.conf"}), []),
        (0.1, RESUMED, [SayOpening(), Start("peers"), Start(VRRP)]),
    ],
    "told to stop while it waits for the log": [
        (0.0, CONFIGURED, []),
        (0.0, Started(LOG), []),
        (0.1, Moment.STOPPING, []),
        (0.2, RESUMED, [SayOpening()]),
    ],
    "forwarder killed young": [
        *UP,
        (0.3, Ended(LOG, 11), [TakeBack(was_killed=True, is_young=True)]),
        (1.6, Started(LOG), []),
        (1.7, RESUMED, []),
        (2.0, Ended(LOG, 12), [TakeBack(was_killed=True, is_young=False)]),
        (2.1, Started(LOG), []),
        (2.2, Ended(LOG, 13), [TakeBack(was_killed=True, is_young=True)]),
    ],
    "forwarder ended by a reload": [
        *UP,
        (9.0, Ended(LOG, 11, is_orderly=True), [TakeBack(was_killed=False, is_young=False)]),
    ],
    "forwarder that cannot be started at all": [
        (0.0, CONFIGURED, []),
        (0.0, Started(LOG), []),
        (0.1, Printed(LOG, "no log today", "no log today", is_complaint=True), [Log(WARNING, "no log today", LOG)]),
        (0.1, Ended(LOG, 11), [TakeBack(was_killed=True, is_young=True)]),
        (7.0, GivenUp(LOG), []),
        (7.0, failed(f"{LOG} could not be started"), ends(f"{LOG} could not be started: no log today")),
    ],
    "forwarder that cannot start again after having run": [
        *UP,
        (50.0, Started(LOG), []),
        (50.0, Ended(LOG, 0, why="no such file"), [TakeBack(was_killed=True, is_young=True)]),
        (57.0, GivenUp(LOG), []),
        (
            57.0,
            failed(f"{LOG} could not be started"),
            [Log(CRITICAL, f"{LOG} could not be started: no such file; trying again in 10 s, the node goes on")],
        ),
        (57.0 + RETRY_SECONDS - 0.1, TICK, []),
        (57.0 + RETRY_SECONDS, TICK, [Start(LOG)]),
        (57.0 + RETRY_SECONDS + 1, TICK, []),
    ],
    "told to stop before the forwarder is tried again": [
        *UP,
        (
            57.0,
            failed(f"{LOG} could not be started"),
            [Log(CRITICAL, f"{LOG} could not be started; trying again in 10 s, the node goes on")],
        ),
        (60.0, Moment.STOPPING, []),
        (70.0, TICK, []),
    ],
    "lease keeper that cannot be started": [
        *UP,
        (0.2, Files({"keepalived.conf", "lease.json"}), []),
        (
            9.0,
            failed("lease could not be started"),
            [Log(CRITICAL, "lease could not be started; trying again in 10 s, the node goes on")],
        ),
        (9.0 + RETRY_SECONDS, TICK, [Start("lease")]),
    ],
    "lease keeper that a reload has made needless meanwhile": [
        *UP,
        (
            9.0,
            failed("lease could not be started"),
            [Log(CRITICAL, "lease could not be started; trying again in 10 s, the node goes on")],
        ),
        (9.0 + RETRY_SECONDS, TICK, []),
    ],
    "notifier given up": [
        *UP,
        (5.0, Printed(NOTIFIER, "no disk", "no disk"), [Log(INFO, "no disk", NOTIFIER)]),
        (
            9.0,
            failed(f"{NOTIFIER} ended 5 times within 8 s"),
            [Log(CRITICAL, f"{NOTIFIER} ended 5 times within 8 s; the node goes on without it")],
        ),
    ],
    "keepalived dies": [*UP, (5.0, Ended(VRRP, 44), [CleanUp(44)]), (5.0, Started(VRRP), [])],
    "keepalived cannot be started again": [
        *UP,
        (5.0, Ended(VRRP, 44), [CleanUp(44)]),
        (5.0, Started(VRRP), []),
        (5.0, Ended(VRRP, 0, why="command not found"), [CleanUp(0)]),
        (9.0, failed(f"{VRRP} could not be started"), ends(f"{VRRP} could not be started: command not found")),
    ],
    "two fail, the first is the reason": [
        *UP,
        (5.0, failed(f"{CHECKER} could not be started"), ends(f"{CHECKER} could not be started")),
        (6.0, failed(f"{VRRP} could not be started"), [EndContainer(f"{CHECKER} could not be started")]),
        (7.0, Moment.HUNG_UP, []),
    ],
    "guard cannot start": [
        (0.0, Started("guard"), []),
        (0.1, Printed("guard", "no guard", "no guard"), [Log(INFO, "no guard", "guard")]),
        (0.1, Ended("guard", 12), []),
        (7.0, GivenUp("guard"), ends("guard could not be started: no guard")),
    ],
    "what rsyslogd ends its complaints with is no last word": [
        *UP,
        (1.0, Printed(LOG, "no space", "no space"), [Log(INFO, "no space", LOG)]),
        (1.0, Printed(LOG, "Consider adjusting x", "Consider adjusting x"), [Log(INFO, "Consider adjusting x", LOG)]),
        (
            2.0,
            failed(f"{LOG} could not be started"),
            [Log(CRITICAL, f"{LOG} could not be started: no space; trying again in 10 s, the node goes on")],
        ),
    ],
    "what supervisord says in a program's name": [
        *UP,
        (1.0, Printed(CHECKER, "supervisor: no uid", "no uid"), [Log(INFO, "supervisor: no uid", CHECKER)]),
        (2.0, failed(f"{CHECKER} could not be started"), ends(f"{CHECKER} could not be started: no uid")),
    ],
    "hung up": [*UP, (5.0, Moment.HUNG_UP, [Start("reload")]), (5.0, Started("reload"), []), (6.0, TICK, [])],
    "reload due while one runs": [
        *UP,
        (5.0, Moment.HUNG_UP, [Start("reload")]),
        (5.0, Started("reload"), []),
        (5.1, Moment.HUNG_UP, []),
        (5.2, TICK, []),
        (5.3, Ended("reload", 51, is_orderly=True), []),
        (5.3, TICK, [Start("reload")]),
        (5.3, Started("reload"), []),
        (5.4, Ended("reload", 52, is_orderly=True), []),
        (5.4, TICK, []),
    ],
    "a peer is gone": [*UP, (5.0, Report(RELOAD, "203.0.113.12", 13), [DropPeers("203.0.113.12"), Start("reload")])],
    "adverts of a stranger": [
        *UP,
        (5.0, Report(HEARD, "main 203.0.113.12", 13), [RememberPeers((ONE,)), SendTo((ONE,)), learned(ONE)]),
        (5.1, Report(HEARD, "main 203.0.113.12", 13), []),
        (5.2, Report(HEARD, "main 203.0.113.13", 13), []),
        (5.9, TICK, []),
        (6.0, TICK, [RememberPeers((ONE, TWO)), SendTo((TWO,)), learned(TWO)]),
        (
            9.0,
            Report(RELOAD, ONE.address, 13),
            [DropPeers(ONE.address), RememberPeers((TWO,)), Start("reload")],
        ),
    ],
    "adverts of a stranger during a reload that did not know": [
        *UP,
        (5.0, Started("reload"), []),
        (5.1, Report(HEARD, "main 203.0.113.12", 13), [RememberPeers((ONE,)), SendTo((ONE,)), learned(ONE)]),
        (5.2, TICK, []),
        (5.3, Ended("reload", 51, is_orderly=True), []),
        (5.3, TICK, [Start("reload")]),
    ],
    "this node may take part": [*UP, (5.0, Report(OPENED, "listed known", 13), [OpenGates(("listed", "known"))])],
    "a file has changed": [*UP, (5.0, Report(CHANGED, f"{CHECKER} {LOG}", uid=0), [Restart(CHECKER), Restart(LOG)])],
    "a file has come, another has gone": [
        *UP,
        (5.0, Files(CONFIGURED - {"notifier.json"} | {"peers.json"}), []),
        (5.0, Report(CHANGED, f"peers {NOTIFIER}", uid=0), [Start("peers"), Stop(NOTIFIER)]),
    ],
    "restart of what does not run and has no file any more": [
        *UP,
        (4.0, Ended(NOTIFIER, 45), []),
        (5.0, Files(CONFIGURED - {"notifier.json"}), []),
        (5.0, Report(CHANGED, NOTIFIER, uid=0), []),
    ],
    "a reload that ends when the node stops starts nothing": [
        *UP,
        (4.0, Moment.STOPPING, []),
        (4.1, Ended(CHECKER, 43, is_orderly=True), []),
        (4.1, Report(CHANGED, CHECKER, uid=0), []),
    ],
    "what others report is not believed": [
        *UP,
        (5.0, Report(FAILED, f"{VRRP} could not be started", 99, 65534), ignored(FAILED, 99, 65534, "guard")),
        (5.0, Report(CHANGED, VRRP, 13, 65534), ignored(CHANGED, 13, 65534, "reload")),
        (5.0, Report(OPENED, "listed", 12, 65534), ignored(OPENED, 12, 65534, "peers")),
        (5.0, Report(RELOAD, "203.0.113.12", 0, -1), ignored(RELOAD, 0, -1, "peers")),
        (5.0, Report(READY, "", 12, 65534), ignored(READY, 12, 65534, LOG)),
        (5.0, Report(CHANGED, CHECKER, 77, 0), [Restart(CHECKER)]),
    ],
    "a change of what is no program": [*UP, (5.0, Report(CHANGED, f"nosuch {CHECKER}", uid=0), [Restart(CHECKER)])],
    "told to stop while keepalived cannot be started": [
        *UP,
        (4.0, Ended(VRRP, 44), [CleanUp(44)]),
        (5.0, Moment.STOPPING, []),
        (5.1, failed(f"{VRRP} could not be started"), []),
    ],
    "keepalived is stopped": [*UP, (5.0, "ST", []), (5.5, TICK, hung("ST")), (5.5, "", []), (6.5, TICK, [])],
    "keepalived waits for a disk, and then for good": [
        *UP,
        (5.0, "DS", []),
        (5.1, TICK, []),
        (6.0, "SS", []),
        (6.1, TICK, []),
        (7.0, "D", []),
        (7.1, TICK, []),
        (8.1, TICK, []),
        (7.1 + HUNG_SECONDS, TICK, hung("D")),
    ],
    "a reload that is killed again and again": [
        *UP,
        (
            9.0,
            failed("reload could not be started"),
            [Log(CRITICAL, "reload could not be started; the node goes on without it")],
        ),
    ],
    "supervisord breaks": [
        *UP,
        (5.0, Broken("KeyError('x')", "Traceback"), [
            Log(DEBUG, "the supervisor has failed\nTraceback"),
            *ends("the supervisor has failed: KeyError('x')"),
        ]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_history(history: History) -> None:
    files: set[str] = set()
    states = "SS"
    policy = Policy(lambda name: name in files, lambda name: PIDS.get(name, 0), lambda: states)
    for number, (when, event, actions) in enumerate(history):
        if isinstance(event, Files):
            files = event
            continue
        if isinstance(event, str):
            states = event
            continue
        assert policy.decide(event, when) == actions, f"step {number}: {event}"

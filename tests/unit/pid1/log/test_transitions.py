"""What messages are about: the words of keepalived 2.2.7 and 2.3.3, and histories of transitions."""

from __future__ import annotations

import pytest

from app.contract.log_config import LoggedInstance
from app.pid1.log.message import Message
from app.pid1.log.transitions import (
    ADDRESS,
    ADVERT,
    CHECK,
    CONFIG,
    LINK,
    RECENT_SECONDS,
    STATE,
    About,
    LoggedTransition,
    Narrator,
)

VIPS = ("203.0.113.10/24",)
INSTANCES = (LoggedInstance("main", 100, VIPS), LoggedInstance("web", 90, ("2001:db8::10/64", "2001:db8::11/64")))


class Keepalived:
    """Says what keepalived says, a tenth of a second later each time."""

    def __init__(self) -> None:
        self.narrator = Narrator(INSTANCES)
        self.now = 1000.0

    def __call__(self, text: str, *, program: str = "Keepalived_vrrp", is_root: bool = True) -> About:
        self.now += 0.1
        return self.narrator.about(Message(self.now, 3, 6, program, 15, is_root, text))

    def transition(self, *texts: str) -> LoggedTransition:
        """That of the last text."""
        *before, last = texts
        for text in before:
            self(text)
        found = self(last).transition
        assert found is not None
        return found


@pytest.fixture
def keepalived() -> Keepalived:
    return Keepalived()


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (ADVERT, "(main) received an invalid passwd!"),
        (ADVERT, "(main) ip address associated with VRID 51 not present in MASTER advert: 203.0.113.10"),
        (ADVERT, "(main) ip address associated with VRID 51 not present in advert from 203.0.113.12: 203.0.113.10"),
        (ADVERT, "(main) advertisement interval mismatch mine=1 sec rcv'd=2 sec"),
        (ADVERT, "(main) advertisement interval mismatch with 203.0.113.12 mine=1 sec rcv'd=2 sec"),
        (ADVERT, "(main) expected 1 VIPs but received 2"),
        (ADVERT, "(main) invalid TTL/HL. Received 64 and expect 255"),
        (ADVERT, "(main) wrong version. Received 3 and expect 2"),
        (ADVERT, "(main) wrong VRRP version from 203.0.113.12. Received 3 and expect 2"),
        (ADVERT, "(main) Invalid auth type from 203.0.113.12: 3"),
        (ADVERT, "(main) Invalid VRRPv2 checksum from 203.0.113.12"),
        (ADVERT, "(main) vrrp packet from 203.0.113.12 too short, length 8 and expect 20"),
        (ADVERT, "(main) Received advert from 203.0.113.12 with lower priority 253, ours 254, forcing new election"),
        (ADVERT, "(main) WARNING - equal priority advert received from remote host with our IP address."),
        (ADVERT, "(main): send advert error 1 (Operation not permitted)"),
        (ADVERT, "(main) unicast source address 203.0.113.99 not a unicast peer"),
        (ADVERT, "(main) received a 1 auth, expecting 0!"),
        (CHECK, "VRRP_Script(http-watchdog) failed (exited with status 1)"),
        (CHECK, "VRRP_Script(http-watchdog) succeeded"),
        (CHECK, "Script `http-watchdog` now returning 1"),
        (CHECK, "(main): tracked file http now FAULT state"),
        (LINK, "Netlink reports eth0 down"),
        (LINK, "Netlink reflector reports IP 203.0.113.11 removed"),
        (ADDRESS, "(main) setting VIPs."),
        (ADDRESS, "(main) removing VIPs."),
        (ADDRESS, "Sending gratuitous ARP on eth0 for 203.0.113.10"),
        (ADDRESS, "(main) sent 0 priority"),
        (CONFIG, "Configuration file /run/ka/keepalived.conf"),
        (CONFIG, "(Line 12) Unknown keyword 'nonsense'"),
        (CONFIG, "Reloading ..."),
        (None, "Startup complete"),
        (None, "(main) Changing effective priority from 100 to 80"),
        (None, "(main) received lower priority (90) advert from 203.0.113.12 - discarding"),
    ],
)
def test_classes(keepalived: Keepalived, event: str | None, text: str) -> None:
    about = keepalived(text)
    assert (about.event, about.transition) == (event, None)
    assert about.instance == ("main" if text.startswith("(main)") else None)


def test_the_checker_speaks_of_checks(keepalived: Keepalived) -> None:
    told = keepalived("http://127.0.0.1/: DOWN after 2 failures: answered 500", program="http-checker", is_root=False)
    assert told == About(CHECK)
    assert keepalived("http: probes http://127.0.0.1/", program="http-checker", is_root=False) == About()


def test_only_root_speaks_for_keepalived(keepalived: Keepalived) -> None:
    assert keepalived("(main) Entering MASTER STATE", is_root=False) == About()
    assert keepalived("(main) Entering MASTER STATE", program="logger") == About()


def test_from_start_to_master(keepalived: Keepalived) -> None:
    keepalived("Starting Keepalived v2.2.7 (01/16,2022)", program="Keepalived")
    assert keepalived.transition("VRRP_Script(x) succeeded", "(main) Entering BACKUP STATE (init)") == LoggedTransition(
        "BACKUP", "INIT", 100, VIPS, "keepalived has started"
    )
    assert keepalived.transition(
        "(main) Receive advertisement timeout", "(main) Entering MASTER STATE"
    ) == LoggedTransition("MASTER", "BACKUP", 100, VIPS, "Receive advertisement timeout")


def test_a_start_without_a_verdict(keepalived: Keepalived) -> None:
    keepalived("Starting Keepalived v2.2.7 (01/16,2022)", program="Keepalived")
    first = keepalived.transition("(main): entering FAULT state (tracked file http has status -254)")
    assert (first.state, first.old_state, first.reason) == ("FAULT", "INIT", "tracked file http has status -254")
    # It says it twice, and it happened once.
    assert keepalived("(main) entering FAULT state") == About(STATE, "main")
    left = keepalived.transition("(main): tracked file http leaving FAULT state", "(main) Entering BACKUP STATE")
    assert (left.state, left.old_state, left.reason) == ("BACKUP", "FAULT", "tracked file http leaving FAULT state")


@pytest.mark.parametrize(
    ("before", "entered", "reason"),
    [
        (
            ["(main): tracked file http now FAULT state"],
            "(main) Entering FAULT STATE",
            "tracked file http now FAULT state",
        ),
        (["Netlink reports eth0 down"], "(main) Entering FAULT STATE", "Netlink reports eth0 down"),
        (
            ["Script `x` now returning 1", "VRRP_Script(x) failed (exited with status 1)"],
            "(main) Entering FAULT STATE",
            "VRRP_Script(x) failed (exited with status 1)",
        ),
        ([], "(main): entering FAULT state due to script x", "script x"),
        (
            ["(main) Master received advert from 203.0.113.12 with higher priority 254, ours 100"],
            "(main) Entering BACKUP STATE",
            "Master received advert from 203.0.113.12 with higher priority 254, ours 100",
        ),
        (
            ["(main) Backup received priority 0 advertisement", "(main) Receive advertisement timeout"],
            "(main) Entering MASTER STATE",
            "Backup received priority 0 advertisement",
        ),
        (
            ["VRRP_Group(main) Syncing instances to BACKUP state"],
            "(main) Entering BACKUP STATE",
            "VRRP_Group(main) Syncing instances to BACKUP state",
        ),
        (["(web) Receive advertisement timeout"], "(main) Entering MASTER STATE", "unknown"),
        ([], "(main) Entering MASTER STATE", "unknown"),
    ],
)
def test_reasons(keepalived: Keepalived, before: list[str], entered: str, reason: str) -> None:
    assert keepalived.transition(*before, entered).reason == reason


def test_an_old_cause_explains_nothing(keepalived: Keepalived) -> None:
    keepalived("Netlink reports eth0 up")
    keepalived.now += RECENT_SECONDS
    assert keepalived.transition("(main) Entering BACKUP STATE").reason == "unknown"


def test_the_effective_priority(keepalived: Keepalived) -> None:
    changed = keepalived.transition("(main) Changing effective priority from 100 to 80", "(main) Entering BACKUP STATE")
    assert changed.priority == 80
    assert keepalived.transition("(web) Entering BACKUP STATE").priority == 90
    assert (
        keepalived.transition("(main) Setting effective priority to 70", "(main) Entering MASTER STATE").priority == 70
    )
    keepalived("Starting Keepalived v2.3.3 (03/30,2025)", program="Keepalived")
    assert keepalived.transition("(main) Entering BACKUP STATE (init)").priority == 100


def test_a_master_that_is_stopped(keepalived: Keepalived) -> None:
    keepalived("(main) Entering MASTER STATE")
    assert keepalived("(main) sent 0 priority") == About(ADDRESS, "main")
    assert keepalived.transition("Stopping", "(main) sent 0 priority") == LoggedTransition(
        "STOP", "MASTER", 100, VIPS, "keepalived is stopped"
    )


def test_a_new_start_knows_nothing_of_the_old(keepalived: Keepalived) -> None:
    keepalived("(main) Entering MASTER STATE")
    keepalived("Starting Keepalived v2.2.7 (01/16,2022)", program="Keepalived")
    assert keepalived.transition("(main) Entering BACKUP STATE (init)").old_state == "INIT"


def test_unknown_instances_are_no_news(keepalived: Keepalived) -> None:
    assert keepalived("(other) Entering MASTER STATE") == About()
    keepalived.narrator.know([*INSTANCES, LoggedInstance("other", 1, ())])
    assert keepalived.transition("(other) Entering MASTER STATE").priority == 1


@pytest.mark.parametrize(
    ("text", "is_detail"),
    [
        ("(main) Receive advertisement timeout", True),
        ("Sending gratuitous ARP on eth0 for 203.0.113.10", True),
        ("(main): tracked file drain now FAULT state", False),
        ("(main) Entering MASTER STATE", False),
        ("(main) received an invalid passwd!", False),
        ("(main) Master received advert from 203.0.113.12 with higher priority 254, ours 100", False),
    ],
)
def test_details(keepalived: Keepalived, text: str, is_detail: bool) -> None:
    assert keepalived.narrator.is_detail(Message(1.0, 3, 6, "Keepalived_vrrp", 1, True, text)) is is_detail

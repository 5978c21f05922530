"""Which addresses are somebody's, which are a dead keepalived's, and what the kernel's tables say of it."""

from __future__ import annotations

import ipaddress
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.host import leftovers
from app.host.addresses import Held
from app.host.leftovers import (
    Swept,
    claim,
    claimed_by_others,
    claims_in,
    has_vrrp_socket,
    remove_leftovers,
    sweep,
    written_down,
)

if TYPE_CHECKING:
    from app.host.machine import IPAddress
    from tests.unit.conftest import Network

PLANNED = Held(ipaddress.ip_address("203.0.113.10"), 32, "eth0", is_marked=False)
STALE = Held(ipaddress.ip_address("203.0.113.11"), 24, "eth0", is_marked=True)
CONFIGURED = Held(ipaddress.ip_address("203.0.113.7"), 24, "eth0", is_marked=False)
STALE_IPV6 = Held(ipaddress.ip_address("2001:db8::11"), 64, "lo", is_marked=True)

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref ...\n"
TAIL = " 07 00000000:00000000 00:00000000 00000000     0        0 416119 2 00000000feccf881 0\n"


class Machine:
    """Addresses that can be removed, and whether VRRP is spoken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: Held, vrrp_is_spoken: bool = False) -> None:
        self.removed: list[Held] = []
        monkeypatch.setattr(leftovers, "held_addresses", lambda: list(addresses))
        monkeypatch.setattr(leftovers, "_vrrp_is_spoken", lambda: vrrp_is_spoken)
        monkeypatch.setattr(leftovers, "_remove", self.removed.extend)


def test_address_is_shown_as_ip_takes_it() -> None:
    assert str(STALE) == "203.0.113.11/24 dev eth0"


@pytest.mark.parametrize(
    ("socket", "spoken"),
    [
        ("  26: 120000E0:0070 00000000:0000", True),
        ("   1: 00000000000000000000000000000000:0070 00000000000000000000000000000000:0000", True),
        ("   1: 00000000:0001 00000000:0000", False),  # ICMP
        ("   1: 00000070:00FF 00000070:0070", False),  # of that far end, and of an address that looks alike
    ],
)
def test_vrrp_socket_is_known_by_its_protocol(socket: str, spoken: bool) -> None:
    assert has_vrrp_socket(HEAD + socket + TAIL) is spoken
    assert not has_vrrp_socket(HEAD)


def test_sweep_takes_what_is_planned_and_what_nobody_alive_owns(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, CONFIGURED, PLANNED, STALE, STALE_IPV6)
    assert sweep([PLANNED.place]) == Swept((PLANNED, STALE, STALE_IPV6), ())
    assert machine.removed == [PLANNED, STALE, STALE_IPV6]


def test_sweep_leaves_what_may_be_another_routers(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, CONFIGURED, PLANNED, STALE, vrrp_is_spoken=True)
    assert sweep([PLANNED.place]) == Swept((PLANNED,), (STALE,))
    assert machine.removed == [PLANNED]


def test_after_a_death_only_the_nodes_own_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, CONFIGURED, PLANNED, STALE)
    elsewhere = (PLANNED.address, "lo"), (ipaddress.ip_address("2001:db8::99"), "eth0")
    assert remove_leftovers(elsewhere) == []
    assert remove_leftovers([PLANNED.place, *elsewhere]) == [PLANNED]
    assert machine.removed == [PLANNED]
    assert remove_leftovers([]) == []


def test_claims_are_known_by_their_protocol() -> None:
    ours = "   2: 0A7100CB:00FF 00000000:0000"
    ours_6 = "   1: B80D0120000000000000000010000000:00FF 00000000000000000000000000000000:0000"
    table = HEAD + "".join(line + TAIL for line in (ours, ours_6, "  26: 120000E0:0070 00000000:0000"))
    vips = [PLANNED.address, ipaddress.ip_address("2001:db8::10")]
    assert list(claims_in(table)) == [(vip, "socket:[416119]") for vip in vips]


def test_what_this_process_claims_is_no_claim_of_others(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    # A network here is that of a thread.
    monkeypatch.setattr(
        leftovers, "RAW_SOCKETS", tuple(Path(f"/proc/thread-self/net/{name}") for name in ("raw", "raw6"))
    )
    vips = {PLANNED.address, STALE_IPV6.address}

    def claims() -> tuple[int, set[IPAddress], set[IPAddress]]:
        made = claim(vips)
        try:
            everybody = {address for table in leftovers._raw_tables() for address, _ in claims_in(table)}
            return len(made), everybody, claimed_by_others()
        finally:
            for descriptor in made:
                os.close(descriptor)

    assert network.call(claims) == (2, vips, set())


def test_what_was_written_down(tmp_path: Path) -> None:
    ledger = tmp_path / "vips"
    ledger.write_text("203.0.113.10 eth0\n2001:db8::11 lo\n203.0.113.99\n")  # the last as an older version wrote it
    assert written_down(ledger) == {PLANNED.place, STALE_IPV6.place}


def test_an_address_that_stays_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "held_addresses", lambda: [PLANNED, CONFIGURED])
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        remove_leftovers([PLANNED.place])
    assert caught.value.stderr == "203.0.113.10/32 dev eth0 cannot be removed"

"""What the lab tells of VRRP: who holds what and when, and the adverts; real keepalived, without `ka run`."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from lab import AddressEvent, Advert, Lab, LabError
from lab.pair import VIP, VIP6
from tests.lab.bare import keepalived, pair

if TYPE_CHECKING:
    from pathlib import Path


def test_sigterm_of_the_master_hands_over(lab: Lab, tmp_path: Path) -> None:
    sniffer = lab.sniff()
    n1, n2 = pair(lab, tmp_path, interval=1)
    assert lab.holders(VIP) == {"n1"}
    stopped = time.time()
    assert n1.stop() == 0
    released = lab.wait_released(VIP, n1, since=stopped)
    taken = lab.wait_holder(VIP, n2, since=stopped)
    assert stopped < released.time < taken.time
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

"""The keeper as a process: which adverts it takes for this node's own, and what it leaves when it is told to end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING

import pytest

from app.contract.json_file import to_json
from app.contract.lease_config import LeaseConfig, LeasedInstance, LeasedVip
from app.host.addresses import FOR_EVER
from app.lease.keeper import Keeper
from lab.patience import LIMIT_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.conftest import Network

CHECKOUT = Path(__file__).parents[3]

#: A VIP for each instance, whose VRID is its last number.
FIRST, SECOND = "198.51.100.51", "198.51.100.52"
OWN, FOREIGN = "203.0.113.11", "203.0.113.12"


def advert(vrid: int, source: str, priority: int = 254) -> bytes:
    """IPv4 with VRRP in it, without the checksums that nobody looks at."""
    ends = socket.inet_aton(source) + socket.inet_aton("224.0.0.18")
    return bytes([0x45, 0, 0, 28, 0, 0, 0, 0, 255, 112, 0, 0]) + ends + bytes([0x21, vrid, priority, 1, 0, 1, 0, 0])


class Kept:
    """A keeper in the network, and what it does to the VIPs."""

    def __init__(self, network: Network, config: Path) -> None:
        self._network, self.config = network, config
        self.process = network.call(self._start)

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-s", "-S", "-m", "app.lease.keeper", str(self.config)]
        return subprocess.Popen(
            command, env={"PYTHONPATH": str(CHECKOUT)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def send(self, link: str, *packets: bytes) -> None:
        """They leave by that link."""

        def once() -> None:
            with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as out:
                for packet in packets:
                    out.sendto(packet, (link, 0x0800, 0, 1, b"\1\0\x5e\0\0\x12"))

        self._network.call(once)

    def lifetime(self, vip: str) -> int:
        """Seconds that the kernel gives it."""
        text = self._network.call(lambda: subprocess.run(["ip", "-json", "address"], capture_output=True, check=True))
        found = [info for link in json.loads(text.stdout) for info in link["addr_info"] if info.get("local") == vip]
        return int(found[0]["valid_life_time"]) if found else 0

    def wait_leased(self, vip: str, *packets: bytes) -> None:
        """Wait until it has a lifetime, with these adverts again and again: the keeper may not listen yet."""

        def is_leased() -> bool:
            self.send("eth0", *packets)
            return 0 < self.lifetime(vip) < FOR_EVER

        wait_until(is_leased, f"a lifetime of {vip}", pause=0.25)

    def end(self) -> str:
        """What it has said."""
        self.process.terminate()
        said, _ = self.process.communicate(timeout=LIMIT_SECONDS)
        return said


def instance(vip: str, interval: float = 100.0) -> LeasedInstance:
    """One with that VIP alone; its lifetime is that of a slow machine."""
    return LeasedInstance(vip, "eth0", 4, int(vip.rpartition(".")[2]), interval, (LeasedVip(vip, 24, "eth0"),))


@pytest.fixture
def kept(network: Network, tmp_path: Path) -> Iterator[Kept]:
    """With both instances."""
    config = tmp_path / "lease.json"
    config.write_text(to_json(LeaseConfig((instance(FIRST), instance(SECOND)))))

    def change(verb: str) -> None:
        lines = "".join(f"address {verb} {vip}/24 dev eth0\n" for vip in (FIRST, SECOND))
        subprocess.run(["ip", "-force", "-batch", "-"], input=lines, text=True, check=False, capture_output=True)

    network.call(lambda: change("add"))
    kept = Kept(network, config)
    yield kept
    if kept.process.poll() is None:
        kept.end()
    network.call(lambda: change("del"))


def test_own_adverts_renew_and_no_others_do(kept: Kept) -> None:
    others = advert(51, FOREIGN), advert(51, OWN, priority=0), advert(53, OWN)
    kept.wait_leased(SECOND, *others, advert(52, OWN))
    kept.send("eth1", advert(51, OWN))  # which eth0 receives
    kept.send("eth0", *others, advert(52, OWN))
    assert kept.lifetime(FIRST) == FOR_EVER
    kept.wait_leased(FIRST, advert(51, OWN))


def test_the_last_of_several_adverts_counts(kept: Kept) -> None:
    """They have waited; what an older one was good for is over."""

    def is_leased() -> bool:
        kept.process.send_signal(SIGSTOP)
        os.waitid(os.P_PID, kept.process.pid, os.WSTOPPED)
        goodbye = advert(52, OWN, priority=0)
        kept.send("eth0", advert(52, OWN), goodbye, advert(52, FOREIGN), advert(51, OWN))
        kept.process.send_signal(SIGCONT)
        return 0 < kept.lifetime(FIRST) < FOR_EVER

    wait_until(is_leased, "a lifetime", pause=0.25)  # the keeper may not listen yet
    assert kept.lifetime(SECOND) == FOR_EVER


def test_what_it_has_given_it_takes_back_when_it_is_told_to_end(kept: Kept) -> None:
    kept.wait_leased(FIRST, advert(51, OWN))
    kept.wait_leased(SECOND, advert(52, OWN))
    assert kept.end() == ""
    assert kept.process.returncode == 0
    assert kept.lifetime(FIRST) == kept.lifetime(SECOND) == FOR_EVER


def test_a_file_that_is_replaced_counts_with_the_next_advert(kept: Kept) -> None:
    kept.wait_leased(SECOND, advert(52, OWN))
    fresh = kept.config.with_suffix(".new")
    fresh.write_text(to_json(LeaseConfig((instance(FIRST)._replace(vrid=9),))))
    fresh.replace(kept.config)
    kept.wait_leased(FIRST, advert(51, OWN), advert(9, OWN))


def test_a_file_that_has_gone_changes_nothing(kept: Kept) -> None:
    """A reload takes it away before PID 1 ends the keeper."""
    kept.wait_leased(SECOND, advert(52, OWN))
    kept.config.unlink()
    kept.wait_leased(FIRST, advert(51, OWN))


def test_what_a_reload_takes_from_it_stays_for_ever(kept: Kept) -> None:
    """keepalived still holds it, so it would run out under a healthy master."""
    kept.wait_leased(FIRST, advert(51, OWN))
    fresh = kept.config.with_suffix(".new")
    fresh.write_text(to_json(LeaseConfig((instance(SECOND),))))
    fresh.replace(kept.config)
    kept.wait_leased(SECOND, advert(52, OWN))
    assert kept.lifetime(FIRST) == FOR_EVER


def test_a_link_that_has_just_gone_is_no_fault(network: Network, tmp_path: Path) -> None:
    """The keeper finds a VIP that is the first of its subnet, of which it was not told yet that it is no more."""
    vip = instance("198.51.100.51")._replace(link="gone", vips=(LeasedVip("198.51.100.51", 24, "gone"),))
    config = tmp_path / "lease.json"
    config.write_text(to_json(LeaseConfig((vip,))))

    def try_it() -> None:
        lines = "link add gone type veth peer name gone1\nlink set gone up\n"
        lines += "address add 198.51.100.51/24 dev gone\naddress add 198.51.100.1/24 dev gone\n"
        subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)
        keeper = Keeper(str(config))
        keeper._table.load()
        keeper._read()
        key = socket.AF_INET, socket.if_nametoindex("gone"), socket.inet_aton("198.51.100.51")
        subprocess.run(["ip", "link", "del", "gone"], check=True)
        keeper._set([(key, 2)])
        keeper.give_back()

    network.call(try_it)

"""Another VRRP implementation as the peer: FRR's vrrpd, versions 2 and 3, both families, mastership both ways."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from lab import wait_until
from lab.pair import VIP, VIP6, wait_state
from lab.programs import PATH

if TYPE_CHECKING:
    from types import TracebackType

    from lab import Host, Lab, Sniffer

PROGRAMS = Path("/usr/lib/frr")
VRID = 51


@dataclass(frozen=True)
class Dialect:
    """One way to speak VRRP, and the link that vrrpd wants for it (docs.frrouting.org, VRRP)."""

    version: int
    vip: str
    prefix: int
    interval: float

    @property
    def is_ipv6(self) -> bool:
        """Whether it goes over IPv6."""
        return ":" in self.vip

    @property
    def mac(self) -> str:
        """The address of the virtual router (RFC 5798 §7.3)."""
        return f"00:00:5e:00:0{2 if self.is_ipv6 else 1}:{VRID:02x}"


class Frr:
    """vrrpd, and zebra that it asks for links, on a host of the lab and with files of their own."""

    def __init__(self, host: Host, dialect: Dialect) -> None:
        self.host = host
        self._dialect = dialect
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        # They run as FRR's own account, which cannot enter the directories of a test.
        self._temporary = tempfile.TemporaryDirectory(prefix="ka-frr-", dir="/run")
        self._directory = Path(self._temporary.name)
        shutil.chown(self._directory, "frr", "frr")
        family = ["-6"] if self._dialect.is_ipv6 else []
        vip = f"{self._dialect.vip}/{self._dialect.prefix}"
        nodad = ["nodad"] if self._dialect.is_ipv6 else []
        for command in (
            ["link", "add", "vrrp", "link", "eth0", "type", "macvlan", "mode", "bridge"],
            ["link", "set", "vrrp", "address", self._dialect.mac],
            [*family, "address", "add", vip, "dev", "vrrp", *nodad],
            ["link", "set", "vrrp", "up"],
        ):
            self.host.exec(["ip", *command])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._temporary.cleanup()

    def start(self, priority: int) -> None:
        """Take part in VRRP with this priority."""
        family = "ipv6" if self._dialect.is_ipv6 else "ip"
        config = self._directory / "vrrpd.conf"
        config.write_text(
            "interface eth0\n"
            f" vrrp {VRID} version {self._dialect.version}\n"
            f" vrrp {VRID} priority {priority}\n"
            f" vrrp {VRID} advertisement-interval {self._dialect.interval * 1000:.0f}\n"
            f" vrrp {VRID} {family} {self._dialect.vip}\n",
            encoding="ascii",
        )
        socket = self._directory / "zserv"
        self._launch("zebra", "--retain")
        wait_until(socket.exists, "zebra's socket")
        self._launch("vrrpd", f"--config_file={config}")

    def _launch(self, program: str, *options: str) -> None:
        directory = self._directory
        with (directory / f"{program}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(
                    [
                        *("ip", "netns", "exec", self.host.namespace, str(PROGRAMS / program), *options),
                        *("--vty_port=0", f"--vty_socket={directory}"),
                        *(f"--pid_file={directory}/{program}.pid", f"--socket={directory}/zserv"),
                        *("--log=stdout", "--log-level=debug"),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={"PATH": PATH},
                )
            )

    def log(self, program: str) -> str:
        """What a program has printed."""
        with contextlib.suppress(FileNotFoundError):
            return (self._directory / f"{program}.log").read_text(errors="replace")
        return ""

    def stop(self) -> None:
        """End vrrpd, which says goodbye, and zebra. May be called again."""
        while self._processes:
            process = self._processes.pop()
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module", autouse=True)
def _frr() -> None:
    if not (PROGRAMS / "vrrpd").exists():
        pytest.fail("These tests need FRR's vrrpd: run `apt-get install -y frr`.", pytrace=False)


def wait_adverts(adverts: Sniffer, host: Host, count: int) -> None:
    """Wait for so many more adverts of `host`."""
    since = time.time()
    for _ in range(count):
        since = adverts.wait_advert(host, since=since).time + 0.001


@pytest.mark.parametrize(
    "dialect",
    [Dialect(2, VIP, 24, 1), Dialect(3, VIP, 24, 0.25), Dialect(3, VIP6, 64, 0.25)],
    ids=["version 2", "version 3", "version 3, IPv6"],
)
def test_frr_and_a_node_take_over_from_each_other(lab: Lab, dialect: Dialect) -> None:
    n1, foreign = lab.add_node("n1"), lab.add_host("frr")
    adverts = lab.sniff()
    n1.start_service()
    foreign.start_service()
    address = f"[{dialect.vip}]" if dialect.is_ipv6 else dialect.vip
    client = lab.add_host("client").start_client(f"http://{address}/")
    environment = {
        "KA_TRACK_IFACE": "eth0",
        "KA_INCLUDE": f"{dialect.vip}/{dialect.prefix}",
        "KA_VRID": str(VRID),
        "KA_VRRP_VERSION": str(dialect.version),
        "KA_ADVERT_INTERVAL": f"{dialect.interval:g}",
    }
    with Frr(foreign, dialect) as frr:
        frr.start(100)
        heard = adverts.wait_advert(foreign, priority=100)
        assert (heard.version, heard.interval) == (dialect.version, dialect.interval)
        client.wait_answer(foreign)

        # A higher one takes the VIP over, and vrrpd steps back.
        n1.start({**environment, "KA_PRIORITY": "200"})
        taken = lab.wait_holder(dialect.vip, n1)
        client.wait_answer(n1, since=taken.time)
        wait_until(lambda: {advert.node for advert in adverts.adverts[-3:]} == {"n1"}, "three adverts of n1 in a row")

        # It says goodbye, and vrrpd takes over.
        stopped = time.time()
        n1.stop()
        goodbye = adverts.wait_advert(n1, priority=0, since=stopped)
        again = adverts.wait_advert(foreign, priority=100, since=goodbye.time)
        client.wait_answer(foreign, since=again.time)

        # A lower one leaves it with vrrpd, and takes over when that says goodbye.
        n1.start({**environment, "KA_PRIORITY": "50"})
        wait_state(n1, "BACKUP")
        wait_adverts(adverts, foreign, 5)
        assert lab.holders(dialect.vip) == set()
        stopped = time.time()
        frr.stop()
        goodbye = adverts.wait_advert(foreign, priority=0, since=stopped)
        taken = lab.wait_holder(dialect.vip, n1, since=goodbye.time)
        client.wait_answer(n1, since=taken.time)

"""What is on the wire, as Wireshark's dissector reads it: it carries what the environment said."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import struct
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Self

import pytest

from app.plan.peering import NOBODY
from lab import LIMIT_SECONDS, LabError
from lab.host import BRIDGE, SWITCH
from lab.namespace import LoopInside, namespace_name
from lab.pair import VIP, VIP6
from lab.programs import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from lab import Lab

_ETH_P_ALL = 0x0003
_PACKET_OUTGOING = 4


class Capture:
    """Every frame that the switch gets, from the start of a `with` block to its end, as tshark decodes it."""

    def __init__(self, lab: Lab) -> None:
        self._frames: list[tuple[float, bytes]] = []
        self._changed = threading.Condition()
        self._loop = LoopInside(namespace_name(lab.id, SWITCH))

    def __enter__(self) -> Self:
        self._socket = self._loop.call(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call(self._unlisten())
        self._loop.close()

    async def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(_ETH_P_ALL))
        asyncio.get_running_loop().add_reader(listener, self._receive, listener)
        return listener

    async def _unlisten(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _receive(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            frame, (port, _, direction, *_) = listener.recvfrom(4096)
            if direction != _PACKET_OUTGOING and port != BRIDGE:
                with self._changed:
                    self._frames.append((time.time(), frame))
                    self._changed.notify_all()

    def wait(self, count: int, wanted: Callable[[bytes], bool]) -> None:
        """Wait for so many frames of a kind."""
        with self._changed:
            if not self._changed.wait_for(lambda: sum(wanted(f) for _, f in self._frames) >= count, LIMIT_SECONDS):
                raise LabError(f"There were no {count} such frames within {LIMIT_SECONDS:g} s.")

    def adverts(self, vrid: int) -> list[bytes]:
        """The frames with adverts over IPv4 of a virtual router."""
        with self._changed:
            return [f for _, f in self._frames if f[12:14] == b"\x08\x00" and f[23] == IPPROTO_VRRP and f[35] == vrid]

    def decoded(self, directory: Path, wanted: str, *fields: str) -> list[dict[str, str]]:
        """These fields of every packet that a display filter lets through; more than one value with commas between."""
        path = directory / "capture.pcap"
        with self._changed, path.open("wb") as stream:
            stream.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for moment, frame in self._frames:
                stream.write(struct.pack("=IIII", int(moment), int(moment % 1 * 1e6), len(frame), len(frame)) + frame)
        names = [argument for field in fields for argument in ("-e", field)]
        command = ["tshark", "-r", str(path), "-Y", wanted, "-T", "fields", *names, "-E", "separator=|"]
        shown = run(command, timeout=60).stdout
        return [dict(zip(fields, line.split("|"), strict=True)) for line in shown.splitlines()]


@pytest.fixture(scope="module", autouse=True)
def _tshark() -> None:
    if shutil.which("tshark") is None:
        pytest.fail("These tests need tshark: run `apt-get install -y tshark`.", pytrace=False)


FIELDS = (
    *("vrrp.version", "vrrp.type", "vrrp.prio", "vrrp.adver_int", "vrrp.short_adver_int", "vrrp.auth_type"),
    *("vrrp.auth_string", "vrrp.ip_addr", "vrrp.ipv6_addr", "vrrp.checksum.status"),
    *("ip.src", "ip.dst", "ip.ttl", "ipv6.src", "ipv6.dst", "ipv6.hlim", "eth.dst"),
)
GOOD = "1"
IPPROTO_VRRP = 112


def sums_up(frame: bytes) -> bool:
    """Whether the checksum of VRRP version 3 over IPv4 is right, pseudo-header included (RFC 5798 §5.2.8)."""
    payload = frame[34 : 14 + int.from_bytes(frame[16:18], "big")]
    data = frame[26:34] + struct.pack("!HH", IPPROTO_VRRP, len(payload)) + payload
    words: tuple[int, ...] = struct.unpack(f"!{len(data) // 2}H", data)
    return sum(words) % 0xFFFF == 0


def instance(name: str, **fields: str) -> dict[str, str]:
    """The variables of an instance."""
    return {f"KA_INSTANCES__{name}__{field}": text for field, text in fields.items()}


def _is_to(frame: bytes, *, family: int, vrid: int, address: str) -> bool:
    """Whether an Ethernet frame is an advert to that address."""
    to = socket.inet_pton(family, address)
    if family == socket.AF_INET:
        return frame[12:14] == b"\x08\x00" and frame[23] == 112 and frame[30:34] == to and frame[35] == vrid
    return frame[12:14] == b"\x86\xdd" and frame[20] == 112 and frame[38:54] == to and frame[55] == vrid


def test_adverts_carry_what_the_environment_said(lab: Lab, tmp_path: Path) -> None:
    n1, peer = lab.add_node("n1"), lab.add_host("peer")
    own = {"source": "", "link_local": ""}
    for info in json.loads(n1.exec(["ip", "-json", "address", "show", "dev", "eth0"]).stdout)[0]["addr_info"]:
        own["link_local" if info["scope"] == "link" else "source"] = info["local"]
    environment = {
        "KA_TRACK_IFACE": "eth0",
        **instance("V2", INCLUDE=f"{VIP}/24 203.0.113.20/24", EXCLUDE="203.0.113.21/24", VRID="51", PRIORITY="254"),
        **instance("V2", AUTH_PASS="wire-51"),
        **instance("V2U", INCLUDE="203.0.113.30/24", VRID="52", PRIORITY="1", ADVERT_INTERVAL="2"),
        **instance("V2U", UNICAST_PEERS=f"{peer.ipv4},{n1.ipv4}"),
        **instance("V3", INCLUDE="203.0.113.40/24", VRID="53", PRIORITY="100", ADVERT_INTERVAL="0.25"),
        **instance("V3U", INCLUDE="203.0.113.50/24", VRID="54", PRIORITY="90", VRRP_VERSION="3"),
        **instance("V3U", UNICAST_PEERS=peer.ipv4),
        **instance("V6", INCLUDE=f"{VIP6}/64", VRID="255", PRIORITY="255", ADVERT_INTERVAL="0.1"),
        **instance("V6U", INCLUDE="2001:db8::20/64", VRID="56", PRIORITY="80", UNICAST_PEERS=peer.ipv6),
    }
    with Capture(lab) as capture:
        n1.start(environment)
        for vip in (VIP, "203.0.113.30", "203.0.113.40", "203.0.113.50", VIP6, "2001:db8::20"):
            lab.wait_holder(vip, n1)
        # What goes to a peer leaves after what goes to everybody: its MAC address is asked for first.
        for vrid in (52, 54):
            capture.wait(1, partial(_is_to, family=socket.AF_INET, vrid=vrid, address=peer.ipv4))
        capture.wait(1, partial(_is_to, family=socket.AF_INET6, vrid=56, address=peer.ipv6))

    def advert(vrid: int) -> dict[str, str]:
        shown = f"vrrp.virt_rtr_id == {vrid} && !icmp && !icmpv6"
        # What goes to nobody is the same but for that.
        shown += f" && !(ip.dst == {NOBODY[4]}) && !(ipv6.dst == {NOBODY[6]})"
        found = capture.decoded(tmp_path, shown, *FIELDS)
        assert found == [found[0]] * len(found), "every advert is the same"
        if found[0]["vrrp.version"] == "3" and found[0]["ip.src"]:
            # keepalived and FRR follow RFC 5798; Wireshark from 4.4 on has RFC 9568, without a pseudo-header.
            found[0]["vrrp.checksum.status"] = GOOD if all(map(sums_up, capture.adverts(vrid))) else "wrong"
        return {field: text for field, text in found[0].items() if text}

    multicast = {"ip.src": n1.ipv4, "ip.dst": "224.0.0.18", "ip.ttl": "255", "eth.dst": "01:00:5e:00:00:12"}
    peer_mac = json.loads(peer.exec(["ip", "-json", "link", "show", "dev", "eth0"]).stdout)[0]["address"]
    unicast = {**multicast, "ip.dst": peer.ipv4, "eth.dst": peer_mac}
    v2 = {"vrrp.version": "2", "vrrp.type": "1", "vrrp.checksum.status": GOOD}
    v3 = {**v2, "vrrp.version": "3"}
    assert advert(51) == {
        **v2,
        **multicast,
        "vrrp.prio": "254",
        "vrrp.adver_int": "1",
        "vrrp.auth_type": "1",
        "vrrp.auth_string": "wire-51",
        "vrrp.ip_addr": f"{VIP},203.0.113.20",
    }
    assert advert(52) == {
        **v2,
        **unicast,
        "vrrp.prio": "1",
        "vrrp.adver_int": "2",
        "vrrp.auth_type": "0",
        "vrrp.ip_addr": "203.0.113.30",
    }
    assert advert(53) == {
        **v3,
        **multicast,
        "vrrp.prio": "100",
        "vrrp.short_adver_int": "25",
        "vrrp.ip_addr": "203.0.113.40",
    }
    assert advert(54) == {
        **v3,
        **unicast,
        "vrrp.prio": "90",
        "vrrp.short_adver_int": "100",
        "vrrp.ip_addr": "203.0.113.50",
    }
    assert advert(255) == {
        **v3,
        "vrrp.prio": "255",
        "vrrp.short_adver_int": "10",
        "vrrp.ipv6_addr": VIP6,
        "ipv6.src": own["link_local"],
        "ipv6.dst": "ff02::12",
        "ipv6.hlim": "255",
        "eth.dst": "33:33:00:00:00:12",
    }
    ipv6_unicast = advert(56)
    # keepalived sets the hop limit of multicast alone: here it is the kernel's (it must be 255 by RFC 5798 §5.1.2.3).
    assert ipv6_unicast.pop("ipv6.hlim") in {"64", "255"}
    assert ipv6_unicast == {
        **v3,
        "vrrp.prio": "80",
        "vrrp.short_adver_int": "100",
        "vrrp.ipv6_addr": "2001:db8::20",
        "ipv6.src": n1.ipv6,
        "ipv6.dst": peer.ipv6,
        "eth.dst": peer_mac,
    }


def test_a_master_renews_what_the_others_have_in_their_caches(lab: Lab, tmp_path: Path) -> None:
    n1 = lab.add_node("n1")
    fast = {"KA_TRACK_IFACE": "eth0", "KA_PRIORITY": "254", "KA_VRID": "51", "KA_ADVERT_INTERVAL": "0.1"}
    with Capture(lab) as capture:
        n1.start({**fast, "KA_INCLUDE": f"{VIP}/24 {VIP6}/64", "KA_GARP_REFRESH": "1"})
        for vip in (VIP, VIP6):
            lab.wait_holder(vip, n1)
        # keepalived itself sends five at the take-over, and five more five seconds later; 2.3 renews only after those.
        enough = 5 + 5 + 5 + 4
        capture.wait(enough, lambda frame: frame[12:14] == b"\x08\x06" and frame[28:32] == bytes([203, 0, 113, 10]))
        address = socket.inet_pton(socket.AF_INET6, VIP6)
        capture.wait(enough, lambda frame: frame[54:55] == b"\x88" and frame[62:78] == address)
    for wanted in (
        f"arp.isgratuitous == 1 && arp.src.proto_ipv4 == {VIP}",
        f"icmpv6.type == 136 && icmpv6.nd.na.target_address == {VIP6} && icmpv6.nd.na.flag.o == 1",
    ):
        assert len(capture.decoded(tmp_path, wanted, "frame.time_epoch")) >= enough

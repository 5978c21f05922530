"""What is on the links of this host for some seconds: adverts, who answers for an address, what the firewall drops.

It needs NET_RAW. An advert is looked for twice: as the link has it, and as a raw socket gets it behind the firewall.
"""

from __future__ import annotations

import contextlib
import ipaddress
import selectors
import socket
import struct
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from app.contract.advert import GROUPS, VRRP, packet_of, parsed, unheeded
from app.contract.socket_filter import attach_filter
from app.host.neighbours import answer, packed, question, written

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from app.contract.advert import ParsedAdvert
    from app.host.link_states import LinkState

#: When each question is asked, and a probe is sent: packets get lost. A switch's port may have been silent for hours.
ASK_AT_SECONDS = 0.0, 0.1, 0.4

#: What an answer may take; neighbours take a millisecond.
ANSWER_SECONDS = 0.8

#: How often the clock is looked at.
TICK_SECONDS = 0.01

#: Numbers of linux/if_packet.h and linux/if_ether.h.
_ETH_P_ALL, _PACKET_OUTGOING, _PACKET_OTHERHOST = 3, 4, 3

_LARGEST = 4096

#: Lets VRRP, ARP and ND's answers through, so that a busy link costs nothing: classic BPF, as `tcpdump -d` prints it.
_FILTER = (
    (0x28, 0, 0, 0xFFFFF000),  # the protocol of the frame
    (0x15, 10, 0, 0x0806),  # ARP: take it
    (0x15, 1, 0, 0x0800),
    (0x15, 2, 7, 0x86DD),
    (0x30, 0, 0, 9),  # IPv4: its protocol
    (0x15, 6, 5, VRRP),
    (0x30, 0, 0, 6),  # IPv6: its next header
    (0x15, 4, 0, VRRP),
    (0x15, 0, 2, 58),
    (0x30, 0, 0, 40),  # ICMPv6: its type
    (0x15, 1, 0, 136),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFF),
)


class Sighting(NamedTuple):
    """An advert on a link, the MAC that it came from, and when (``time.monotonic``)."""

    link: str
    mac: str
    at: float
    advert: ParsedAdvert


class UnheededAdvert(NamedTuple):
    """An advert that nobody heeds, to be sent over a link: to the group, or ``to`` an address."""

    link: str
    ip_version: int
    vrrp_version: int
    source: str
    to: str | None = None


@dataclass
class OnTheWire:
    """What there was. ``passed``: whose adverts, by link and source, came through the firewall.

    ``answers``: the MACs that answered for an address of a link. ``refused``: probes that the kernel would not send,
    and why; ``left`` those that left by their link, ``looped`` those that came back through the firewall. ``late``: the
    most seconds by which this process was let run too late.
    """

    adverts: list[Sighting] = field(default_factory=list)
    passed: set[tuple[str, str]] = field(default_factory=set)
    answers: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    refused: dict[UnheededAdvert, str] = field(default_factory=dict)
    left: set[tuple[str, int]] = field(default_factory=set)
    looped: set[tuple[str, int]] = field(default_factory=set)
    late: float = 0.0


def listen(
    links: Collection[LinkState],
    seconds: float,
    *,
    questions: Collection[tuple[str, str]] = (),
    probes: Collection[UnheededAdvert] = (),
) -> OnTheWire:
    """Listens to ``links``, asks who has the addresses of ``questions`` (link and address), and sends ``probes``.

    Raises OSError when the process may not, or a link is gone.
    """
    heard = OnTheWire()
    by_name = {link.name: link for link in links}
    own = {link.mac for link in links}
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        taps: dict[str, socket.socket] = {}
        raws: dict[tuple[str, int], socket.socket] = {}
        for link in links:
            taps[link.name] = stack.enter_context(_tap(link.name))
            selector.register(taps[link.name], selectors.EVENT_READ, (link.name, 0))
            for version in (4, 6):
                with contextlib.suppress(OSError):  # a link without that version
                    raw = stack.enter_context(_raw(link.name, version))
                    raws[link.name, version] = raw
                    selector.register(raw, selectors.EVENT_READ, (link.name, version))
        began = time.monotonic()
        due = [began + after for after in ASK_AT_SECONDS]
        while (now := time.monotonic()) < began + seconds or due:
            if due and now >= due[0]:
                due.pop(0)
                for name, address in questions:
                    if name in taps:
                        _ask(taps[name], by_name[name], address)
                for probe in probes:
                    if (found := raws.get((probe.link, probe.ip_version))) is not None:
                        _send(found, probe, heard)
            for key, _ in selector.select(TICK_SECONDS):
                name, version = key.data
                sock = key.fileobj
                assert isinstance(sock, socket.socket)  # noqa: S101 - what was registered
                for data, sender in _taken(sock):
                    if version:
                        _passed(heard, name, version, data, str(sender[0]))
                    else:
                        _seen(heard, name, data, sender, own)
            heard.late = max(heard.late, time.monotonic() - now - TICK_SECONDS)
    return heard


def _taken(source: socket.socket) -> Iterator[tuple[bytes, tuple[object, ...]]]:
    # A limit, so that a flood does not keep the clock from being looked at.
    for _ in range(256):
        try:
            yield source.recvfrom(_LARGEST)
        except OSError:  # nothing waits, or the link has gone
            return


def _passed(heard: OnTheWire, link: str, version: int, data: bytes, source: str) -> None:
    """What a raw socket got; over IPv6 without its header."""
    packet = packet_of(data) if version == 4 else None
    body = packet.body if packet else data
    source = packet.source if packet else source.partition("%")[0]
    if len(body) >= 2 and body[1]:
        heard.passed.add((link, source))
    elif len(body) >= 2:
        heard.looped.add((link, version))


def _seen(heard: OnTheWire, link: str, data: bytes, sender: tuple[object, ...], own: Iterable[str]) -> None:
    """What a link had; ``sender`` as packet(7) has it."""
    _, protocol, direction, _, mac = sender
    assert isinstance(protocol, int) and isinstance(mac, bytes)  # noqa: S101, PT018 - packet(7)
    packet = packet_of(data)
    if packet is not None:
        if direction == _PACKET_OUTGOING:
            if packet.body[1:2] == b"\0":
                heard.left.add((link, 6 if ":" in packet.source else 4))
        elif direction != _PACKET_OTHERHOST and (advert := parsed(packet)) is not None and advert.vrid:
            heard.adverts.append(Sighting(link, written(mac), time.monotonic(), advert))
    elif direction != _PACKET_OUTGOING and (found := answer(protocol, data, mac)) and found.mac not in own:
        heard.answers[link, str(found.address)].add(found.mac)


def _tap(link: str) -> socket.socket:
    """Everything that the filter takes, as the link has it. Raises OSError."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    try:
        attach_filter(made, _FILTER)
        made.setblocking(False)
        # Bound only now: before it, nothing comes in past the filter.
        made.bind((link, _ETH_P_ALL))
    except OSError:
        made.close()
        raise
    return made


def _raw(link: str, version: int) -> socket.socket:
    """Adverts behind the firewall; a member of the group, so that they come to this host. Raises OSError."""
    made = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_RAW, VRRP)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
        index = socket.if_nametoindex(link)
        if version == 4:
            # struct ip_mreqn (ip(7)).
            request = struct.pack("=4s4si", socket.inet_aton(GROUPS[4]), bytes(4), index)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
            for option, number in ((socket.IP_MULTICAST_TTL, 255), (socket.IP_TTL, 255), (socket.IP_MULTICAST_LOOP, 1)):
                made.setsockopt(socket.IPPROTO_IP, option, number)
        else:
            member = socket.inet_pton(socket.AF_INET6, GROUPS[6]) + struct.pack("=I", index)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            for option, number in (
                (socket.IPV6_MULTICAST_HOPS, 255),
                (socket.IPV6_UNICAST_HOPS, 255),
                (socket.IPV6_MULTICAST_LOOP, 1),
            ):
                made.setsockopt(socket.IPPROTO_IPV6, option, number)
    except OSError:
        made.close()
        raise
    return made


def _ask(tap: socket.socket, link: LinkState, address: str) -> None:
    asked = question(ipaddress.ip_address(address), packed(link.mac))
    with contextlib.suppress(OSError):  # the link is down, which others say
        tap.sendto(asked.payload, (link.name, asked.protocol, 0, 0, asked.to))


def _send(raw: socket.socket, probe: UnheededAdvert, heard: OnTheWire) -> None:
    to = probe.to or GROUPS[probe.ip_version]
    try:
        raw.sendto(unheeded(probe.source, to, probe.vrrp_version), (to, 0))
    except OSError as error:
        heard.refused[probe] = error.strerror or str(error)

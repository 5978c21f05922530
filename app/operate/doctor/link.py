"""The category link: whether the links can carry VRRP and the VIPs, and the kernel lets the VIPs be reached there."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from app.host.addresses import ask_ip
from app.host.link_states import strictest, sysctl
from app.operate.doctor.catalogue import found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.expected import ExpectedInstance, ExpectedVip
    from app.operate.doctor.catalogue import Finding
    from app.operate.doctor.scene import Scene

#: The least MTU of IPv6 (RFC 8200 §5).
IPV6_MTU = 1280

STRICT = 1


def look(scene: Scene) -> Iterator[Finding]:
    """What is wrong with the links that the node uses, each thing once."""
    seen = set()
    for finding in _all(scene):
        if finding not in seen:
            seen.add(finding)
            yield finding


def _all(scene: Scene) -> Iterator[Finding]:
    for instance in scene.node.instances:
        for name in (instance.link, *instance.tracked_links, *(vip.link for vip in instance.vips)):
            yield from _is_there(scene, name)
        yield from _can_carry(scene, instance)
        for vip in instance.vips:
            if vip.link != "lo":
                yield from _can_hold(scene, vip)


def _is_there(scene: Scene, name: str) -> Iterator[Finding]:
    link = scene.links.get(name)
    if link is None:  # the environment's rules say so
        return
    if not link.is_up:
        yield found("KA0301", link=name)
    elif not link.has_carrier:
        yield found("KA0302", link=name)


def _can_carry(scene: Scene, instance: ExpectedInstance) -> Iterator[Finding]:
    link = scene.links.get(instance.link)
    if link is None:
        return
    version = instance.ip_version
    if not instance.peers and not link.is_multicast:
        yield found("KA0303", link=link.name)
    carried = sum(vip.in_adverts for vip in instance.vips)
    # The header of IP, VRRP's, and the password or its place.
    least = (20 if version == 4 else 40) + 8 + carried * (4 if version == 4 else 16) + 8 * (instance.vrrp_version == 2)
    if link.mtu < least:
        yield found("KA0304", link=link.name, mtu=link.mtu, what=f"an advert with {carried} VIPs ({least} bytes)")
    elif link.mtu < IPV6_MTU and any(":" in vip.address for vip in instance.vips):
        yield found("KA0304", link=link.name, mtu=link.mtu, what=f"IPv6 ({IPV6_MTU} bytes)")
    if not instance.source and not scene.sources(instance) and link.is_up:
        yield found("KA0305", link=link.name, version=version)


def _can_hold(scene: Scene, vip: ExpectedVip) -> Iterator[Finding]:
    if ":" in vip.address:
        if sysctl(f"ipv6/conf/{vip.link}/disable_ipv6"):
            yield found("KA0306", link=vip.link, vip=vip.address)
            return
    else:
        yield from _answers_arp(scene, vip)
        other = _way_out()
        if strictest("rp_filter", vip.link) == STRICT and other not in {None, vip.link}:
            yield found("KA0308", link=vip.link, vip=vip.address, other=other)
    link = scene.links.get(vip.link)
    if link is not None and link.is_up and not scene.is_near(vip.link, vip.address):
        yield found("KA0307", vip=vip.address, link=vip.link)


def _answers_arp(scene: Scene, vip: ExpectedVip) -> Iterator[Finding]:
    ignored = strictest("arp_ignore", vip.link)
    if ignored == 8 or (ignored == 2 and vip.prefix == 32):
        yield found("KA0309", link=vip.link, vip=vip.address, value=ignored)
    if ignored == 0:
        for held in scene.own:
            if held.link != vip.link and ipaddress.ip_address(vip.address) in held.network and held.prefix:
                yield found("KA0310", vip=vip.address, link=vip.link, other=held.link)


def _way_out() -> str | None:
    """The link of IPv4's default route."""
    return next((str(route["dev"]) for route in ask_ip("-4", "route", "show", "default") if "dev" in route), None)

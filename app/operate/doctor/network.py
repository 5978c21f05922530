"""The category network: whether adverts leave and come in, the peers are there, and nobody else has a VIP."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from app.operate.doctor.catalogue import found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.expected import ExpectedInstance
    from app.operate.doctor.catalogue import Finding
    from app.operate.doctor.scene import Scene

#: What lists a firewall's rules, where it is installed; nft has those of iptables, too.
RULES = {4: (("nft", "list", "ruleset"), ("iptables", "-S")), 6: (("nft", "list", "ruleset"), ("ip6tables", "-S"))}

_DROPS = re.compile(r"^(?=.*\b(?:112|vrrp)\b)(?=.*\b(?:drop|reject)\b).*$", re.IGNORECASE | re.MULTILINE)

#: Adverts that a firewall must have dropped before it is blamed: one may have come before the doctor could hear it.
ENOUGH = 2


def look(scene: Scene) -> Iterator[Finding]:
    """What keeps adverts from getting through, and who has the VIPs."""
    for instance in scene.node.instances:
        link = scene.links.get(instance.link)
        if link is None or not link.can_speak:  # the category link says so
            continue
        yield from _leaves(scene, instance)
        yield from _comes_in(scene, instance)
        yield from _peers_are_there(scene, instance)
    yield from _vips_are_free(scene)


def _leaves(scene: Scene, instance: ExpectedInstance) -> Iterator[Finding]:
    heard, version = scene.heard, instance.ip_version
    refused = [why for probe, why in heard.refused.items() if _is_of(probe.link, probe.ip_version, instance)]
    is_sent = bool(scene.sources(instance)) and not instance.peers
    if refused:
        yield found("KA0401", link=instance.link, reason=refused[0], rule=_rule(version), tool=_tool(version))
    elif is_sent and (instance.link, version) not in heard.left:
        yield found("KA0401", link=instance.link, reason="not sent", rule=_rule(version), tool=_tool(version))


def _comes_in(scene: Scene, instance: ExpectedInstance) -> Iterator[Finding]:
    heard, version = scene.heard, instance.ip_version
    sources = [
        seen.advert.source
        for seen in heard.adverts
        if seen.link == instance.link and (":" in seen.advert.source) == (version == 6)
    ]
    facts = {"link": instance.link, "tool": _tool(version)}
    for source in sorted(set(sources)):
        if sources.count(source) >= ENOUGH and (instance.link, source) not in heard.passed:
            yield found("KA0402", source=source, rule=_rule(version), **facts)
    is_back = (instance.link, version) in heard.looped or (instance.link, version) not in heard.left
    if not sources and not instance.peers and not is_back:
        yield found("KA0403", rule=_rule(version), **facts)


def _peers_are_there(scene: Scene, instance: ExpectedInstance) -> Iterator[Finding]:
    heard = scene.heard
    speaking = {seen.advert.source for seen in heard.adverts}
    for peer in instance.peers:
        is_there = peer in speaking or heard.answers.get((instance.link, peer))
        if not is_there and scene.is_near(instance.link, peer):
            yield found("KA0404", peer=peer, link=instance.link)


def _vips_are_free(scene: Scene) -> Iterator[Finding]:
    heard = scene.heard
    for instance in scene.node.instances:
        masters = {seen.mac for seen in heard.adverts if seen.advert.vrid == instance.vrid}
        for vip in instance.vips:
            for mac in sorted(heard.answers.get((vip.link, vip.address), set()) - masters):
                yield found("KA0405", vip=vip.address, mac=mac, link=vip.link)


def _is_of(link: str, ip_version: int, instance: ExpectedInstance) -> bool:
    return (link, ip_version) == (instance.link, instance.ip_version)


def _tool(version: int) -> str:
    return "iptables" if version == 4 else "ip6tables"


def _rule(version: int) -> str:
    """The rule that drops VRRP, for the end of a sentence; nothing where it cannot be seen."""
    for command in RULES[version]:
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=2)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if rule := _DROPS.search(done.stdout):
            return f": {' '.join(rule[0].split())}"
    return ""

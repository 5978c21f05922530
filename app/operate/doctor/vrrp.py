"""The category VRRP: what other routers on the link say, held against what this node would say."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from app.contract.advert import PASSWORD_LENGTH
from app.operate.doctor.catalogue import found
from app.operate.health import EXIT_HEALTHY, health

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.advert import ParsedAdvert
    from app.contract.expected import ExpectedInstance
    from app.host.wire import Sighting
    from app.operate.doctor.catalogue import Finding
    from app.operate.doctor.scene import Scene

#: Adverts in which somebody must have been master, and the intervals before the end in which the last one came.
ENOUGH, LATELY = 2, 2.0

#: By how many intervals a backup's patience may be eaten up before it is said: it has three.
TOO_LATE = 1.5

VRIDS = range(1, 256)


def look(scene: Scene) -> Iterator[Finding]:
    """What is wrong between this node and the others."""
    if scene.is_running:
        yield from _itself(scene)
    for instance in scene.node.instances:
        heard = [seen for seen in scene.heard.adverts if _is_for(seen, instance, scene)]
        last = {seen.advert.source: seen.advert for seen in heard}
        strangers = set()
        for advert in last.values():
            for finding in _differences(scene, instance, advert):
                if finding.code == "KA0501":
                    strangers.add(advert.source)
                yield finding
        yield from _masters(scene, instance, [seen for seen in heard if seen.advert.source not in strangers])
    soonest = min((instance.interval for instance in scene.node.instances), default=1.0)
    if scene.heard.late > TOO_LATE * soonest:
        longer = round(scene.heard.late + soonest, 1)
        yield found("KA0507", late=scene.heard.late, interval=soonest, longer=longer)


def _is_for(seen: Sighting, instance: ExpectedInstance, scene: Scene) -> bool:
    advert = seen.advert
    is_ours = advert.source in {str(held.address) for held in scene.held}
    is_same = seen.link == instance.link and (":" in advert.source) == (instance.ip_version == 6)
    return is_same and not is_ours and advert.vrid == instance.vrid


def _differences(scene: Scene, instance: ExpectedInstance, advert: ParsedAdvert) -> Iterator[Finding]:
    facts = {"instance": instance.name, "source": advert.source}
    own = {str(ipaddress.ip_address(vip.address)) for vip in instance.vips if vip.in_adverts}
    theirs = set(advert.addresses)
    if not own & theirs and advert.source not in instance.peers:
        taken = {seen.advert.vrid for seen in scene.heard.adverts}
        taken |= {other.vrid for other in scene.node.instances}
        free = next((vrid for vrid in VRIDS if vrid not in taken), "")
        variable = "KA_VRID" if instance.name == "main" else f"KA_INSTANCES__{_plain(instance.name)}__VRID"
        what = {"vrid": instance.vrid, "link": instance.link, "vips": ", ".join(sorted(theirs)), "free": free}
        yield found("KA0501", variable=variable, **what, **facts)
        return
    if advert.version != instance.vrrp_version:
        yield found("KA0502", theirs=advert.version, ours=instance.vrrp_version, **facts)
    elif instance.vrrp_version == 2:
        password = instance.password.encode().ljust(PASSWORD_LENGTH, b"\0") if instance.password else None
        if advert.password != password:
            if advert.password and password:
                difference = "another password than this node's"
            else:
                difference = "no password, and this node has one" if password else "a password, and this node has none"
            yield found("KA0504", difference=difference, **facts)
    if advert.interval != instance.interval:
        yield found("KA0503", theirs=advert.interval, ours=instance.interval, **facts)
    if theirs != own:
        yield found("KA0505", theirs=",".join(sorted(theirs)), ours=",".join(sorted(own)), **facts)


def _plain(name: str) -> str:
    """The instance of the settings that an instance of one IP version belongs to."""
    return name.removesuffix("-ipv4").removesuffix("-ipv6").upper()


def _masters(scene: Scene, instance: ExpectedInstance, heard: list[Sighting]) -> Iterator[Finding]:
    """All that send adverts at this time; one that steps back sends a last one."""
    newest = max((seen.at for seen in heard), default=0.0)
    sources = sorted({seen.advert.source for seen in heard})
    masters = []
    for source in sources:
        times = [seen.at for seen in heard if seen.advert.source == source]
        if len(times) >= ENOUGH and times[-1] > newest - LATELY * instance.interval:
            masters.append(source)
    here = {(str(held.address), held.link) for held in scene.held}
    if scene.is_running and masters and any((vip.address, vip.link) in here for vip in instance.vips):
        masters.append("this node")
    if len(masters) > 1:
        yield found("KA0506", instance=instance.name, masters=" and ".join(masters))


def _itself(scene: Scene) -> Iterator[Finding]:
    """What a node that runs says of itself."""
    status, sentences = health(scene.layout)
    if status != EXIT_HEALTHY:
        for sentence in sentences:
            yield found("KA0508", contradiction=sentence)
    if scene.layout.drain.exists() and scene.layout.drain.read_text(encoding="ascii").strip() == "1":
        yield found("KA0509")

"""``ka init VIP``: looks at this network and gives a .env that every node can use as it is."""

from __future__ import annotations

import ipaddress
import secrets
import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.expected import ExpectedInstance, ExpectedVip
    from app.operate.doctor.scene import Scene

EXIT_TAKEN = 1

#: VRIDs to choose from. 1 is what everybody has who chose none.
VRIDS = range(2, 256)

#: What VRRP version 2 has room for.
PASSWORD_LENGTH = 8

WANTED = "it must be an address that nobody has"


class NotFreeError(Exception):
    """There is no .env for this VIP here; the message says why, in one sentence."""


def asked_for(vip: str) -> dict[str, str]:
    """The environment by which the rules of ``ka run`` find the link of the VIP, or say what is wrong with it."""
    return {
        "KA_TRACK_IFACE": (vip.split("/") + [""] * 2)[2] or "auto",
        "KA_INCLUDE": vip,
        "KA_PRIORITY": "254",
        "KA_VRID": "255",
    }


def env_file(scene: Scene) -> str:
    """The .env, by what is on the link of the scene's VIP. Raises NotFreeError and what the scene raises."""
    asked = scene.environ["KA_INCLUDE"].partition("/")[0]
    if any(str(held.address) == asked for held in scene.held):
        raise NotFreeError(f"{asked}: this machine has it already; {WANTED}")
    if problems := [str(problem) for problem in scene.examined.problems]:
        raise NotFreeError("; ".join(problems).replace("KA_INCLUDE: ", "the VIP "))
    (instance, *_) = scene.node.instances
    (vip,) = instance.vips
    _refuse_taken(scene, instance, vip)
    near = [
        held.prefix
        for held in scene.own
        if held.link == vip.link and ipaddress.ip_address(vip.address) in held.network and held.prefix
    ]
    if not near:
        links = ", ".join(sorted(name for name in scene.links if name != "lo"))
        sentence = f"{vip.address}: is in no subnet of this machine's links {links}"
        raise NotFreeError(f"{sentence}; it must be a free address of a subnet that all nodes are in")
    return "\n".join(_lines(scene, instance, vip, max(near)))


def _refuse_taken(scene: Scene, instance: ExpectedInstance, vip: ExpectedVip) -> None:
    for seen in scene.heard.adverts:
        if vip.address in seen.advert.addresses:
            group = f"{seen.advert.source} sends adverts with it on {seen.link}, VRID {seen.advert.vrid}"
            raise NotFreeError(f"{vip.address}: {group}; {WANTED}, or this node needs the .env of that one")
    for mac in sorted(scene.heard.answers.get((instance.link, vip.address), ())):
        raise NotFreeError(f"{vip.address}: {mac} on {instance.link} answers for it; {WANTED}")


def _lines(scene: Scene, instance: ExpectedInstance, vip: ExpectedVip, prefix: int) -> Iterator[str]:
    routers = sorted({(seen.advert.vrid, seen.advert.source) for seen in scene.heard.adverts})
    taken = {vrid for vrid, _ in routers}
    others = ", ".join(f"{source} has {vrid}" for vrid, source in routers) or "no other router was heard"
    named = scene.environ["KA_TRACK_IFACE"]
    yield f"# A VIP that moves between the nodes of {vip.link}'s network: this file, as it is, on every one of them."
    yield ""
    yield f"# Nobody answered for it on {vip.link}. The prefix is the subnet's."
    yield f"KA_INCLUDE={vip.address}/{prefix}"
    yield ""
    yield f"# auto: the link whose subnet holds the VIP. On this machine that is {vip.link}."
    yield f"KA_TRACK_IFACE={named}"
    yield ""
    yield f"# What tells this group from others on the network: {others}."
    yield f"KA_VRID={secrets.choice([vrid for vrid in VRIDS if vrid not in taken])}"
    yield ""
    if instance.vrrp_version == 2:
        yield "# By chance. It travels in the clear: it keeps strays apart, not attackers."
        letters = string.ascii_letters + string.digits
        yield f"KA_AUTH_PASS={''.join(secrets.choice(letters) for _ in range(PASSWORD_LENGTH))}"
        yield ""
    yield "# The same on all: who is first is master and stays it. To prefer nodes, by their host names:"
    yield "#KA_PRIORITY_BY_NODE=n1=254,n2=253"
    yield "KA_PRIORITY=254"
    yield ""
    yield "# When a node counts as healthy: while its service answers here. Without it: while its link is up."
    yield "#KA_ENABLE_CHECK=http://127.0.0.1:8080/health"
    yield ""

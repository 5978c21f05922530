"""The plan in words: the first lines of a node's log, so that nobody has to guess what it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.plan import HttpCheck
from app.render import masked_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.plan import Instance, Plan


def summary(plan: Plan) -> Iterator[str]:
    """A line for each thing that the node will do; no secret is in any of them."""
    yield f"router {plan.router_name}"
    for instance in plan.instances:
        yield from _instance(instance)
    for group in plan.sync_groups:
        yield f"group {group.name}: {' and '.join(group.instances)} are master together"
    yield _check(plan)


def _instance(instance: Instance) -> Iterator[str]:
    yield (
        f"instance {instance.name} on {instance.link}: VRRP version {instance.version}, VRID {instance.vrid}, "
        f"priority {instance.priority}, adverts every {instance.advert_interval:g} s, "
        f"password {'[set]' if instance.auth_pass else '[not set]'}"
    )
    for address in instance.addresses:
        yield f"instance {instance.name}: VIP {address}{'' if address.in_adverts else ', not in the adverts'}"


def _check(plan: Plan) -> str:
    check = plan.check
    if check is None:
        return "no check: this node is healthy while its link is up"
    if isinstance(check, HttpCheck):
        what = ", ".join(masked_url(url) for url in check.urls)
    else:
        what = f"{check.script} as {plan.script_user.name}"
    does = "takes this node out" if check.weight == 0 else f"changes the priority by {check.weight:+d}"
    return (
        f"check {what} every {check.interval:g} s with a time-out of {check.timeout:g} s, "
        f"rise {check.rise}, fall {check.fall}: it {does}"
    )

"""The plan in words: the first lines of a node's log, so that nobody has to guess what it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.contract.check_url import masked_url
from app.plan.lease import lease_text
from app.plan.log import spool_of
from app.plan.model import HttpCheck, route_text
from app.plan.priority import priorities

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.plan.model import Instance, Plan, ScriptCheck


def summary(plan: Plan) -> Iterator[str]:
    """A line for each thing that the node will do; no secret is in any of them."""
    yield f"node {plan.node_name}, router {plan.router_name}"
    for instance in plan.instances:
        yield from _instance(instance)
        yield f"instance {instance.name}: VIPs {lease_text(instance, has_lease=instance.name in plan.leased)}"
    for group in plan.sync_groups:
        yield f"group {group.name}: {' and '.join(group.instances)} are master together"
    for http in plan.http_checks:
        yield _check(http, plan)
    for script in plan.script_checks:
        yield _check(script, plan)
    for target in plan.log.targets:
        kept = f", up to {plan.log.spool_size} wait in {spool_of(plan)}" if target.has_spool else ""
        yield f"log: copied to {target}{kept}"
    if plan.log.levels.programs:
        yield f"log: level {plan.log.levels}"


def _instance(instance: Instance) -> Iterator[str]:
    name = f"instance {instance.name}"
    yield (
        f"{name} on {instance.link}: VRRP version {instance.version}, VRID {instance.vrid}, "
        f"adverts every {instance.advert_interval:g} s, password {'[set]' if instance.auth_pass else '[not set]'}"
    )
    takes_back = "" if not instance.nopreempt else ", takes nothing back from a lower one"
    yield f"{name}: priority {instance.priority} ({instance.priority_reason}){takes_back}"
    if instance.peering.others:
        others = ", ".join(str(address) for address in instance.peering.others)
        yield f"{name}: adverts from {instance.peering.source} to {others}"
    for address in instance.addresses:
        yield f"{name}: VIP {address}{'' if address.in_adverts else ', not in the adverts'}"
    for route in instance.routes:
        yield f"{name}: route {route_text(route)}"
    for link in instance.track_interfaces:
        yield f"{name}: needs {link} too"
    yield f"{name}: {f'check {instance.check.name}' if instance.check else 'no check, healthy while its link is up'}"
    if instance.check and instance.check.weight:
        healthy, failed = priorities(instance.priority, instance.check.weight)
        yield f"{name}: check {instance.check.name} makes its priority {healthy} while it passes, {failed} while not"


def _check(check: HttpCheck | ScriptCheck, plan: Plan) -> str:
    if isinstance(check, HttpCheck):
        what = ", ".join(masked_url(url) for url in check.urls)
    else:
        what = f"{check.script} as {plan.script_user.name}"
    does = "takes the node out" if check.weight == 0 else f"changes the priority by {check.weight:+d}"
    return (
        f"check {check.name}: {what} every {check.interval:g} s with a time-out of {check.timeout:g} s, "
        f"rise {check.rise}, fall {check.fall}; it {does}"
    )

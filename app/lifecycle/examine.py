"""Looks at an environment for ``ka doctor``: every problem, and what the node would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.contract.errors import ConfigError
from app.contract.expected import Examined, ExpectedCheck, ExpectedInstance, ExpectedNode, ExpectedVip
from app.host.leftovers import written_down
from app.lifecycle.check import dry_run
from app.lifecycle.prepare import prepare
from app.plan.model import HttpCheck, ScriptCheck

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.contract.paths import Layout
    from app.plan.model import Instance, Plan, PlannedCheck


def examine(environ: Mapping[str, str], layout: Layout) -> Examined:
    """What ``ka run`` would say and do, with nothing touched; beside a node that runs, too."""
    # What that node has put on this host is none of the host's own.
    ours = written_down(layout.vips) if layout.vips.exists() else frozenset()
    try:
        plan = prepare(environ, ours=ours)
    except ConfigError as error:
        return Examined(problems=error.problems)
    try:
        dry_run(plan)
    except ConfigError as error:
        return Examined(refusals=error.problems, warnings=plan.warnings, node=_node(plan))
    return Examined(warnings=plan.warnings, node=_node(plan))


def _node(plan: Plan) -> ExpectedNode:
    scripts = [("KA_OVERRIDE_CHECK", check.script) for check in plan.script_checks]
    if plan.notify is not None:
        scripts.append(("KA_NOTIFY", plan.notify))
    return ExpectedNode(
        instances=tuple(map(_instance, plan.instances)),
        names=tuple(plan.peer_names),
        scripts=tuple(scripts),
        log_servers=plan.log.targets,
    )


def _instance(instance: Instance) -> ExpectedInstance:
    peering = instance.peering
    first = next((vip.address.version for vip in instance.addresses if vip.in_adverts), 4)
    return ExpectedInstance(
        name=instance.name,
        link=instance.link,
        tracked_links=instance.track_interfaces,
        ip_version=peering.source.version if peering.source else first,
        vrrp_version=instance.version,
        vrid=instance.vrid,
        priority=instance.priority,
        interval=instance.advert_interval,
        password=instance.auth_pass.get_secret_value() if instance.auth_pass else None,
        vips=tuple(ExpectedVip(str(vip.address), vip.prefix, vip.link, vip.in_adverts) for vip in instance.addresses),
        source=str(peering.source) if peering.source else None,
        peers=tuple(map(str, peering.others)),
        check=_check(instance.check),
    )


def _check(check: PlannedCheck | None) -> ExpectedCheck | None:
    if isinstance(check, HttpCheck):
        return ExpectedCheck("KA_ENABLE_CHECK", check.urls, None, check.interval, check.timeout)
    if isinstance(check, ScriptCheck):
        return ExpectedCheck("KA_OVERRIDE_CHECK", (), check.script, check.interval, check.timeout)
    return None

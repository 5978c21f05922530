"""Rules of the whole node: what its instances share, its groups, hooks and accounts.

Each rule is a generator of problems; app.plan.rules asks them all.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from app.contract.errors import Problem
from app.plan.log_rules import LOG_RULES
from app.plan.make import carrier, transports
from app.plan.model import FALLBACK_ACCOUNT, OWN_ACCOUNT
from app.plan.operator_files import own_templates_are_usable, own_text_is_usable, script_can_run
from app.settings.vrrp import DEFAULT_VRID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.host.machine import Host
    from app.settings import Settings


def _vips_differ(settings: Settings, _host: Host) -> Iterator[Problem]:
    seen = set()
    for asked in settings.instances:
        for variable, vip in asked.vips():
            if vip.address in seen:
                yield Problem(variable, f"cannot name {vip.address} again; each VIP must be named once")
            seen.add(vip.address)


def _vrids_differ(settings: Settings, host: Host) -> Iterator[Problem]:
    for one, other in combinations(settings.instances, 2):
        vrid = other.vrrp.vrid or DEFAULT_VRID
        is_same = (one.vrrp.vrid or DEFAULT_VRID) == vrid and carrier(one, host) == carrier(other, host)
        if is_same and set(transports(one, host)) & set(transports(other, host)):
            own = other.variable("KA_VRID") if "KA_VRID" in other.own else f"KA_INSTANCES__{other.name.upper()}__VRID"
            sentence = f"cannot be {vrid}, which instance {one.name} has on the same link"
            yield Problem(own, f"{sentence}; each instance must have a VRID of its own")


def _groups_fit(settings: Settings, _host: Host) -> Iterator[Problem]:
    variable = "KA_SYNC_GROUPS"
    known = {asked.name: asked for asked in settings.instances}
    seen: dict[str, str] = {}
    groups = [group for group, _ in settings.node.sync_groups]
    for group in dict.fromkeys(groups):
        if groups.count(group) > 1:
            yield Problem(variable, f"cannot name {group} again; each group must be named once")
    for group, members in settings.node.sync_groups:
        if group in known and group not in members:
            # keepalived would have two groups of that name when the instance has both families.
            sentence = f"cannot call {' and '.join(members)} {group}, which is another instance"
            yield Problem(variable, f"{sentence}; it must be a name of its own")
        for name in members:
            if name not in known:
                yield Problem(variable, f"cannot put {name} into {group}; the instances are {', '.join(known)}")
            elif name in seen:
                yield Problem(variable, f"cannot put {name} into {group}, it is in {seen[name]}; one group must do")
            seen[name] = group
        weights = {known[name].checks for name in members if name in known and known[name].checks.check_weight}
        if weights and len({known[name].checks for name in members if name in known}) > 1:
            sentence = f"cannot join {' and '.join(members)}, whose checks have weights and differ"
            yield Problem(variable, f"{sentence}; they must have the same check, or weight 0")


def _notify_can_run(settings: Settings, host: Host) -> Iterator[Problem]:
    if settings.hooks.notify:
        yield from script_can_run("KA_NOTIFY", settings.places.data_dir, settings.hooks.notify, host)


def _accounts_exist(settings: Settings, host: Host) -> Iterator[Problem]:
    name = settings.places.script_user
    if name and name not in host.accounts:
        yield Problem("KA_SCRIPT_USER", f"cannot be {name}; it must be an account that exists here, such as nobody")
    if OWN_ACCOUNT not in host.accounts and FALLBACK_ACCOUNT not in host.accounts:
        yield Problem("/etc/passwd", f"has no account {OWN_ACCOUNT} or {FALLBACK_ACCOUNT}; it must have one of them")


NODE_RULES: tuple[Callable[[Settings, Host], Iterator[Problem]], ...] = (
    _vips_differ,
    _vrids_differ,
    _groups_fit,
    _notify_can_run,
    own_text_is_usable,
    own_templates_are_usable,
    _accounts_exist,
    *LOG_RULES,
)

"""Which priority this node has, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.plan.peering import listed, source_of
from app.settings.vrrp import PRIORITY_OWNER, PRIORITY_RANGE

if TYPE_CHECKING:
    from app.host.machine import Host
    from app.settings import Settings
    from app.settings.instance import InstanceSettings

AUTO = "auto"


def asked_priority(asked: InstanceSettings, settings: Settings, host: Host) -> int | str | None:
    """The number for this node, ``auto``, or None when nothing says it."""
    by_node = dict(asked.vrrp.priority_by_node)
    return by_node.get(settings.node.node_name or host.name, asked.vrrp.priority)


def priority_of(asked: InstanceSettings, settings: Settings, host: Host) -> tuple[int, str]:
    """The priority and the reason for it. Without one of them app.plan.rules has refused."""
    value = asked_priority(asked, settings, host)
    name = settings.node.node_name or host.name
    if isinstance(value, int):
        in_list = name in dict(asked.vrrp.priority_by_node)
        variable = asked.variable("KA_PRIORITY_BY_NODE" if in_list else "KA_PRIORITY")
        return value, f"{variable} names {name}" if in_list else variable
    for version in (4, 6):
        own = source_of(asked, host, version)
        if own is not None:
            everyone = sorted({*listed(asked, host, version), own}, key=int)
            rank = everyone.index(own)
            reason = f"auto: {own} is number {rank + 1} of {len(everyone)} in {asked.variable('KA_UNICAST_PEERS')}"
            return max(PRIORITY_OWNER - 1 - rank, PRIORITY_RANGE[0]), reason
    return PRIORITY_OWNER - 1, f"auto: nobody is in {asked.variable('KA_UNICAST_PEERS')} now"


def priorities(priority: int, weight: int) -> tuple[int, int]:
    """What a check with a weight makes of a priority: while it passes, and while it does not."""
    low, high = PRIORITY_RANGE[0], PRIORITY_OWNER - 1
    healthy, failed = priority + max(weight, 0), priority + min(weight, 0)
    return min(max(healthy, low), high), min(max(failed, low), high)


def preempts(asked: InstanceSettings, settings: Settings, host: Host) -> bool:
    """Whether this node takes the VIPs back from one of lower priority.

    With ``auto`` no node is preferred, and ranks shift as nodes come and go: a VIP moves only when it must.
    """
    if asked.vrrp.nopreempt is not None:
        return not asked.vrrp.nopreempt
    return asked_priority(asked, settings, host) != AUTO

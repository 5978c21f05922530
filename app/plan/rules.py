"""All rules that tie several settings together, or settings to this host.

A rule that needs a setting which is itself wrong has nothing to say: asking for it raises NotUsableError, and the
others still report, so that the operator sees every problem at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.plan.instance_rules import INSTANCE_RULES
from app.plan.node_rules import NODE_RULES
from app.settings.area import NotUsableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.contract.errors import Problem
    from app.host.machine import Host
    from app.settings import Settings


def problems(settings: Settings, host: Host) -> list[Problem]:
    """Every rule that is broken, each once: instances share what they take from the plain variables."""
    found: dict[Problem, None] = {}
    for instance_rule in INSTANCE_RULES:
        for asked in settings.instances:
            _collect(found, instance_rule(asked, settings, host))
    for rule in NODE_RULES:
        _collect(found, rule(settings, host))
    return list(found)


def _collect(found: dict[Problem, None], broken: Iterable[Problem]) -> None:
    try:
        found.update((problem, None) for problem in broken)
    except NotUsableError:
        return

"""What the operator asked for: one frozen model per area, read from ``KA_*`` variables, every problem at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from app.contract.errors import Problem
from app.settings.addresses import Addresses
from app.settings.checks import Checks
from app.settings.environment import clean
from app.settings.hooks import Hooks
from app.settings.instance import (
    INSTANCE_AREAS,
    MAIN,
    NOT_INHERITED,
    InstanceSettings,
    environment_of,
    instance_names,
    instance_variable,
    instance_variables,
)
from app.settings.logs import Logs
from app.settings.node import ThisNode
from app.settings.peers import Peers
from app.settings.places import Places
from app.settings.vrrp import Vrrp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.settings.area import Area

AnyArea = TypeVar("AnyArea", bound="Area")

#: Every area, in the order of the reference.
AREAS: tuple[type[Area], ...] = (*INSTANCE_AREAS, ThisNode, Hooks, Logs, Places)


@dataclass(frozen=True)
class Settings:
    """All that was asked for, ``auto`` included."""

    instances: tuple[InstanceSettings, ...]
    node: ThisNode
    hooks: Hooks
    logs: Logs
    places: Places


@dataclass(frozen=True)
class Loaded:
    """What :func:`load` found. With problems, the settings that are wrong raise NotUsableError when asked for."""

    settings: Settings
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


def known_variables() -> list[str]:
    """The names of all plain variables, without their ``_FILE`` forms."""
    return [name for area in AREAS for name, _, _ in area.variables()]


def load(environ: Mapping[str, str]) -> Loaded:
    """Reads the ``KA_*`` variables of ``environ``."""
    others = [name for name in instance_names(environ) if name != MAIN]
    known = [*known_variables(), *(variable for name in others for variable in instance_variables(name))]
    cleaned = clean(environ, known)
    # A value that could not be read from its file is reported for that; it is not missing besides.
    reported = {problem.subject.removesuffix("_FILE") for problem in cleaned.problems}
    # What instances take from the plain variables would be reported once for each of them.
    found: dict[Problem, None] = dict.fromkeys(cleaned.problems)

    def read(area: type[AnyArea], values: Mapping[str, str], named: Callable[[str], str] = str) -> AnyArea:
        unread = {plain for plain, _, _ in area.variables() if named(plain) in reported}
        settings, problems = area.read(values, unread)
        found.update((Problem(named(problem.subject), problem.sentence), None) for problem in problems)
        return settings

    def instance(name: str) -> InstanceSettings:
        values, own = (cleaned.values, frozenset[str]()) if name == MAIN else environment_of(name, cleaned.values)

        def named(plain: str) -> str:
            is_own = name != MAIN and (plain in own or plain in NOT_INHERITED)
            return instance_variable(name, plain) if is_own else plain

        return InstanceSettings(
            name,
            read(Addresses, values, named),
            read(Peers, values, named),
            read(Vrrp, values, named),
            read(Checks, values, named),
            own,
        )

    # With instances of their own names, the plain variables may be nothing but what these have in common.
    names = (
        others if others and "KA_INCLUDE" not in cleaned.values and "KA_INCLUDE" not in reported else [MAIN, *others]
    )
    settings = Settings(
        tuple(instance(name) for name in names),
        read(ThisNode, cleaned.values),
        read(Hooks, cleaned.values),
        read(Logs, cleaned.values),
        read(Places, cleaned.values),
    )
    return Loaded(settings, tuple(found), cleaned.warnings)

"""What the operator asked for: one frozen model per area, read from ``KA_*`` variables, every problem at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from app.settings.addresses import Addresses
from app.settings.checks import Checks
from app.settings.environment import clean
from app.settings.logs import Logs
from app.settings.places import Places
from app.settings.vrrp import Vrrp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.errors import Problem
    from app.settings.area import Area

AnyArea = TypeVar("AnyArea", bound="Area")

#: Every area, in the order of the reference.
AREAS: tuple[type[Area], ...] = (Addresses, Vrrp, Checks, Logs, Places)


@dataclass(frozen=True)
class Settings:
    """All that was asked for, ``auto`` included."""

    addresses: Addresses
    vrrp: Vrrp
    checks: Checks
    logs: Logs
    places: Places


@dataclass(frozen=True)
class Loaded:
    """What :func:`load` found. With problems, the settings that are wrong raise NotUsableError when asked for."""

    settings: Settings
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


def known_variables() -> list[str]:
    """The names of all variables, without their ``_FILE`` forms."""
    return [name for area in AREAS for name, _, _ in area.variables()]


def load(environ: Mapping[str, str]) -> Loaded:
    """Reads the ``KA_*`` variables of ``environ``."""
    cleaned = clean(environ, known_variables())
    # A value that could not be read from its file is reported for that; it is not missing besides.
    reported = {problem.subject.removesuffix("_FILE") for problem in cleaned.problems}
    problems = list(cleaned.problems)

    def read(area: type[AnyArea]) -> AnyArea:
        settings, found = area.read(cleaned.values)
        problems.extend(problem for problem in found if problem.subject not in reported)
        return settings

    settings = Settings(read(Addresses), read(Vrrp), read(Checks), read(Logs), read(Places))
    return Loaded(settings, tuple(problems), cleaned.warnings)

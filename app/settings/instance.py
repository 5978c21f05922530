"""VRRP instances: the one that the plain variables describe, and those of ``KA_INSTANCES__NAME__FIELD``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.contract.environ import PREFIX
from app.settings.addresses import Addresses
from app.settings.checks import Checks
from app.settings.node import INSTANCE_PATTERN
from app.settings.peers import Peers
from app.settings.vrrp import Vrrp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from app.settings.addresses import Vip
    from app.settings.area import Area

#: The instance of the plain variables.
MAIN = "main"

#: What an instance can say for itself.
INSTANCE_AREAS: tuple[type[Area], ...] = (Addresses, Peers, Vrrp, Checks)

#: What makes an instance that instance: it is not taken from the plain variables.
NOT_INHERITED = frozenset({"KA_INCLUDE", "KA_EXCLUDE", "KA_ROUTES"})

#: What an instance says itself in place of another thing that it would take from the plain variables.
IN_PLACE_OF = {
    "KA_ENABLE_CHECK": "KA_OVERRIDE_CHECK",
    "KA_OVERRIDE_CHECK": "KA_ENABLE_CHECK",
    "KA_PRIORITY": "KA_PRIORITY_BY_NODE",
}

_INSTANCE = re.compile(rf"KA_INSTANCES__({INSTANCE_PATTERN.replace('a-z', 'A-Z')})__[A-Z0-9_]+")


@dataclass(frozen=True)
class InstanceSettings:
    """What was asked of one instance. ``own`` are the plain names of what it said itself."""

    name: str
    addresses: Addresses
    peers: Peers
    vrrp: Vrrp
    checks: Checks
    own: frozenset[str]

    def variable(self, plain: str) -> str:
        """The variable that the value of ``plain`` came from, or would have to come from."""
        is_plain = self.name == MAIN or (plain not in self.own and plain not in NOT_INHERITED)
        return plain if is_plain else instance_variable(self.name, plain)

    def vips(self) -> Iterator[tuple[str, Vip]]:
        """Each VIP, with the variable that names it."""
        for plain, vips in (("KA_INCLUDE", self.addresses.include), ("KA_EXCLUDE", self.addresses.exclude)):
            for vip in vips:
                yield self.variable(plain), vip


def instance_names(environ: Iterable[str]) -> list[str]:
    """The instances that the names of an environment speak of, without main."""
    found = {match[1].lower() for name in environ if (match := _INSTANCE.fullmatch(name))}
    return sorted(found)


def instance_variable(name: str, plain: str) -> str:
    """The variable of an instance that stands in for the plain one."""
    return f"{PREFIX}INSTANCES__{name.upper()}__{plain.removeprefix(PREFIX)}"


def instance_variables(name: str) -> Iterator[str]:
    """All of them."""
    for area in INSTANCE_AREAS:
        for plain, _, _ in area.variables():
            yield instance_variable(name, plain)


def environment_of(name: str, values: Mapping[str, str]) -> tuple[dict[str, str], frozenset[str]]:
    """The plain variables as they are for one instance, and which of them it said itself."""
    own = {
        plain: values[full]
        for area in INSTANCE_AREAS
        for plain, _, _ in area.variables()
        if (full := instance_variable(name, plain)) in values
    }
    replaced = NOT_INHERITED | {IN_PLACE_OF[plain] for plain in own if plain in IN_PLACE_OF}
    inherited = {plain: text for plain, text in values.items() if plain not in replaced}
    return {**inherited, **own}, frozenset(own)

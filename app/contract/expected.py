"""What an environment comes to on this host, for who asks whether it would work: nothing in it is left to guess."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.errors import Problem
    from app.contract.log_server import LogServer


class ExpectedVip(NamedTuple):
    """A VIP and the link that it goes to."""

    address: str
    prefix: int
    link: str
    in_adverts: bool


@dataclass(frozen=True)
class ExpectedCheck:
    """A check: ``urls``, or a script. ``variable`` names what asked for it; times in seconds."""

    variable: str
    urls: tuple[str, ...]
    script: Path | None
    interval: float
    timeout: float


@dataclass(frozen=True)
class ExpectedInstance:
    """A VRRP instance: one IP version on one link. ``interval`` in seconds; without ``peers``: multicast."""

    name: str
    link: str
    tracked_links: tuple[str, ...]
    ip_version: int
    vrrp_version: int
    vrid: int
    priority: int
    interval: float
    password: str | None = field(repr=False)
    vips: tuple[ExpectedVip, ...]
    source: str | None
    peers: tuple[str, ...]
    check: ExpectedCheck | None


@dataclass(frozen=True)
class ExpectedNode:
    """``names``: the DNS names of peers; ``scripts``: the operator's own, each with the variable that names it."""

    instances: tuple[ExpectedInstance, ...]
    names: tuple[str, ...]
    scripts: tuple[tuple[str, Path], ...]
    log_servers: tuple[LogServer, ...]

    @property
    def vips(self) -> tuple[ExpectedVip, ...]:
        """Every address that may be on this host while it is master."""
        return tuple(vip for instance in self.instances for vip in instance.vips)

    @property
    def checks(self) -> tuple[ExpectedCheck, ...]:
        """Each check once, however many instances share it."""
        return tuple(dict.fromkeys(instance.check for instance in self.instances if instance.check))


@dataclass(frozen=True)
class Examined:
    """An environment, looked at: what is wrong with it, what keepalived says against it, what is doubtful.

    Without problems there is a node.
    """

    problems: tuple[Problem, ...] = ()
    refusals: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    node: ExpectedNode | None = None

"""The plan: everything that is rendered and run on this host, frozen, with nothing left to guess."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.contract.gates import SCRIPTS
from app.plan.priority import priorities

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr

    from app.host.machine import Account
    from app.plan.log import LogPlan
    from app.plan.peering import Peering
    from app.settings.checks import StatusRange
    from app.settings.routes import IPAddress, Route

#: The siblings' account in the image, and the one that every Debian has.
OWN_ACCOUNT = "ka"
FALLBACK_ACCOUNT = "nobody"

#: Whose the operator's scripts are where nobody says it: the first that is not the siblings', for a script must not be
#: able to write the verdict of a check.
SCRIPT_ACCOUNTS = ("ka-script", "nobody", "daemon")

#: The file of the operator's that takes a node out while it is there.
MAINTENANCE = "maintenance"


@dataclass(frozen=True)
class MovingAddress:
    """An address that moves, where it goes, and whether adverts carry it."""

    address: IPAddress
    prefix: int
    link: str
    in_adverts: bool = True

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix} dev {self.link}"


@dataclass(frozen=True)
class Instance:
    """One VRRP instance: one IP version that adverts go over, on one link. Times in seconds."""

    name: str
    link: str
    ip_version: int
    version: int
    vrid: int
    priority: int
    priority_reason: str
    starts_as_master: bool
    nopreempt: bool
    preempt_delay: float
    advert_interval: float
    garp_refresh: int
    auth_pass: SecretStr | None
    addresses: tuple[MovingAddress, ...]
    routes: tuple[Route, ...]
    track_interfaces: tuple[str, ...]
    peering: Peering
    check: PlannedCheck | None

    @property
    def is_weighted(self) -> bool:
        """Whether the check changes the priority, and does not take the node out."""
        return self.check is not None and self.check.weight != 0

    @property
    def tracked(self) -> tuple[str, ...]:
        """The names of the files that take this instance out while one of them does not say 0."""
        verdict = self.check.name if isinstance(self.check, HttpCheck) and not self.is_weighted else None
        scripts = SCRIPTS if isinstance(self.check, ScriptCheck) else None
        return tuple(name for name in ("drain", self.peering.gate, scripts, verdict) if name)

    @property
    def base_priority(self) -> int:
        """What keepalived starts from. The verdict of a check that lowers the priority is told the other way round:
        one that keepalived cannot read must not count as healthy."""
        if isinstance(self.check, HttpCheck) and self.check.weight < 0:
            return priorities(self.priority, self.check.weight)[1]
        return self.priority

    @property
    def raise_by(self) -> int:
        """What a good verdict of a check with a weight adds to the base priority."""
        weight = self.check.weight if self.check else 0
        return weight if weight > 0 else self.priority - self.base_priority


@dataclass(frozen=True)
class SyncGroup:
    """Instances that are master or backup together."""

    name: str
    instances: tuple[str, ...]
    is_weighted: bool


@dataclass(frozen=True)
class PlannedCheck:
    """How often a check is made and what its result does. ``timeout`` and ``interval`` in seconds."""

    name: str
    interval: float
    timeout: float
    rise: int
    fall: int
    weight: int


@dataclass(frozen=True)
class HttpCheck(PlannedCheck):
    """URLs that the http-checker asks."""

    fast_interval: float
    slow_interval: float
    urls: tuple[str, ...]
    status: tuple[StatusRange, ...]
    headers: tuple[tuple[str, str], ...]
    body: str | None
    follows: bool
    ca: str | None
    is_insecure: bool
    is_instant: bool

    @property
    def ca_path(self) -> str | None:
        """Where its certificates lie in the run directory. It changes with them."""
        return None if self.ca is None else f"ca/{hashlib.sha256(self.ca.encode()).hexdigest()[:12]}.pem"

    @property
    def up(self) -> int:
        """The verdict of a healthy node: keepalived multiplies it by the weight (0: anything but 0 is FAULT)."""
        return int(self.weight != 0)

    @property
    def down(self) -> int:
        """The verdict of a failed node."""
        return 1 - self.up


@dataclass(frozen=True)
class ScriptCheck(PlannedCheck):
    """An executable of the operator's."""

    script: Path


@dataclass(frozen=True)
class OwnText:
    """The operator's own keepalived text: the files by their names, and a short digest of them."""

    digest: str
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Plan:
    """Everything that is rendered and run on this host."""

    node_name: str
    router_name: str
    instances: tuple[Instance, ...]
    sync_groups: tuple[SyncGroup, ...]
    peer_names: dict[str, tuple[IPAddress, ...]]
    peer_refresh: float
    notify: Path | None
    notify_url: SecretStr | None
    run_dir: Path
    data_dir: Path
    own_text: OwnText | None
    leased: tuple[str, ...]
    maintenance: Path | None
    siblings: Account
    script_user: Account
    log: LogPlan
    warnings: tuple[str, ...]

    @property
    def addresses(self) -> tuple[MovingAddress, ...]:
        """Every address that may be on this host while it is master."""
        return tuple(address for instance in self.instances for address in instance.addresses)

    @property
    def http_checks(self) -> tuple[HttpCheck, ...]:
        """What the http-checker does, each check once however many instances share it."""
        found = {instance.check: None for instance in self.instances if isinstance(instance.check, HttpCheck)}
        return tuple(found)

    @property
    def script_checks(self) -> tuple[ScriptCheck, ...]:
        """The operator's own checks, each once."""
        found = {instance.check: None for instance in self.instances if isinstance(instance.check, ScriptCheck)}
        return tuple(found)

    @property
    def hooks(self) -> bool:
        """Whether somebody wants to hear of transitions."""
        return self.notify is not None or self.notify_url is not None

    @property
    def tracked(self) -> tuple[tuple[str, ...], ...]:
        """What instances track without a weight, each set of files once."""
        return tuple(dict.fromkeys(instance.tracked for instance in self.instances))

    @property
    def unicast(self) -> tuple[Instance, ...]:
        """The instances that speak by unicast."""
        return tuple(instance for instance in self.instances if instance.peering.receivers)

    @property
    def gates(self) -> tuple[str, ...]:
        """What must be open for this node to take part (app.peers.watch), each once."""
        return tuple(dict.fromkeys(i.peering.gate for i in self.instances if i.peering.gate))


#: What the kernel gives an IPv6 route without a metric. keepalived 2.3.3 does not know its own route by that again, and
#: would never take it away.
IPV6, IPV6_METRIC = 6, 1024


def route_text(route: Route) -> str:
    """A route of keepalived.conf (keepalived.conf(5), STATIC ROUTES)."""
    metric = ["metric", str(IPV6_METRIC)] if route.version == IPV6 else []
    if route.gateway is None:
        # There is no link whose state could be tracked.
        return " ".join(["blackhole", str(route.destination), "no_track", *metric])
    words = [str(route.destination), "via", str(route.gateway)]
    words += ["dev", route.link] if route.link else []
    words += ["src", str(route.source)] if route.source else []
    return " ".join([*words, *metric])

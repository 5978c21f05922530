"""What this host will do: settings and host facts made one frozen description, with nothing left to guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.settings.vrrp import DEFAULT_VRID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pydantic import SecretStr

    from app.host import Account, Host
    from app.settings import Settings
    from app.settings.addresses import IPAddress, Vip
    from app.settings.checks import StatusRange

#: Name of the VRRP instance that the plain variables describe, and of the group of its two address families.
MAIN = "main"

#: The siblings' account in the image, and the one that every Debian has.
OWN_ACCOUNT = "ka"
FALLBACK_ACCOUNT = "nobody"

#: Seconds between the gratuitous ARPs of a master: caches that missed the first ones heal by themselves.
GARP_REFRESH = 60


@dataclass(frozen=True)
class Address:
    """An address that moves, where it goes, and whether adverts carry it."""

    address: IPAddress
    prefix: int
    link: str
    in_adverts: bool = True

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix} dev {self.link}"


@dataclass(frozen=True)
class Instance:
    """One VRRP instance: one address family on one link."""

    name: str
    link: str
    version: int
    vrid: int
    priority: int
    starts_as_master: bool
    advert_interval: float
    auth_pass: SecretStr | None
    addresses: tuple[Address, ...]


@dataclass(frozen=True)
class SyncGroup:
    """Instances that are master or backup together."""

    name: str
    instances: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """How often a check is made and what its result does. ``timeout`` and ``interval`` in seconds."""

    interval: float
    timeout: float
    rise: int
    fall: int
    weight: int


@dataclass(frozen=True)
class HttpCheck(Check):
    """URLs that the http-checker asks."""

    urls: tuple[str, ...]
    status: tuple[StatusRange, ...]

    @property
    def up(self) -> int:
        """The verdict of a healthy node: keepalived multiplies it by the weight (0: anything but 0 is FAULT)."""
        return int(self.weight > 0)

    @property
    def down(self) -> int:
        """The verdict of a failed node."""
        return 1 - self.up


@dataclass(frozen=True)
class ScriptCheck(Check):
    """An executable of the operator's."""

    script: Path


@dataclass(frozen=True)
class Plan:
    """Everything that is rendered and run on this host."""

    router_name: str
    instances: tuple[Instance, ...]
    sync_groups: tuple[SyncGroup, ...]
    check: HttpCheck | ScriptCheck | None
    run_dir: Path
    data_dir: Path
    siblings: Account
    script_user: Account
    log_format: str
    log_level: str
    warnings: tuple[str, ...]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Every address that may be on this host while it is master."""
        return tuple(address for instance in self.instances for address in instance.addresses)


def make_plan(settings: Settings, host: Host, warnings: Iterable[str] = ()) -> Plan:
    """The plan for ``host``. Both must have passed app.rules: nothing is checked twice."""
    warnings = list(warnings)
    instances = tuple(_instances(settings, host, warnings))
    # Two instances stand for one service: they are master together or not at all.
    groups = (SyncGroup(MAIN, tuple(instance.name for instance in instances)),) if len(instances) > 1 else ()
    siblings = host.accounts.get(OWN_ACCOUNT) or host.accounts[FALLBACK_ACCOUNT]
    places = settings.places
    return Plan(
        router_name=settings.vrrp.router_name or host.name,
        instances=instances,
        sync_groups=groups,
        check=_check(settings),
        run_dir=places.run_dir,
        data_dir=places.data_dir,
        siblings=siblings,
        script_user=host.accounts[places.script_user] if places.script_user else siblings,
        log_format=settings.logs.log_format,
        log_level=settings.logs.log_level,
        warnings=tuple(warnings),
    )


def version_of(settings: Settings, ip_version: int) -> int:
    """The VRRP version for VIPs of an IP version: version 2 knows neither IPv6 nor fractions of a second."""
    if settings.vrrp.vrrp_version != "auto":
        return int(settings.vrrp.vrrp_version)
    return 3 if ip_version == 6 or not settings.vrrp.advert_interval.is_integer() else 2


def carrier(settings: Settings, host: Host) -> str | None:
    """The link that adverts go over; None when this host has none."""
    asked = settings.addresses.track_iface
    link = host.link(asked) if asked != "auto" else None
    if link is not None and not link.is_loopback:
        return asked
    if asked != "auto" and link is None:
        return None
    # auto, or VIPs on the loopback, where VRRP itself cannot run (docs/decisions/0002-loopback.md).
    return _link_of_subnet(settings.addresses.include, host) or next(iter(host.default_links.values()), None)


def _link_of_subnet(vips: tuple[Vip, ...], host: Host) -> str | None:
    for vip in vips:
        for link in host.links:
            if not link.is_loopback and any(vip.address in address.network for address in link.addresses):
                return link.name
    return None


def _instances(settings: Settings, host: Host, warnings: list[str]) -> Iterator[Instance]:
    link = carrier(settings, host)
    if link is None:
        raise ValueError("no link: app.rules must have refused this")
    vrrp = settings.vrrp
    asked = settings.addresses.track_iface
    vip_link = link if asked == "auto" else asked
    if vip_link != link:
        warnings.append(f"KA_TRACK_IFACE: {vip_link} cannot carry VRRP, so the adverts go over {link}")
    if vrrp.vrid is None:
        warnings.append(f"KA_VRID: is not set, so it is {DEFAULT_VRID}; another VRRP group here would clash with it")
    addresses = [
        Address(vip.address, vip.prefix or vip.address.max_prefixlen, vip.link or vip_link, in_adverts)
        for vips, in_adverts in ((settings.addresses.include, True), (settings.addresses.exclude, False))
        for vip in vips
    ]
    families = sorted({address.address.version for address in addresses})
    for family in families:
        version = version_of(settings, family)
        if vrrp.auth_pass is None and version == 2:
            warnings.append("KA_AUTH_PASS: is not set, so the adverts carry no password")
        elif vrrp.auth_pass is not None and version == 3:
            warnings.append(f"KA_AUTH_PASS: is not used for IPv{family}, VRRP version 3 has no passwords")
        yield Instance(
            name=MAIN if len(families) == 1 else f"{MAIN}-ipv{family}",
            link=link,
            version=version,
            vrid=vrrp.vrid or DEFAULT_VRID,
            priority=vrrp.priority,
            starts_as_master=vrrp.master,
            advert_interval=vrrp.advert_interval,
            auth_pass=vrrp.auth_pass if version == 2 else None,
            addresses=tuple(address for address in addresses if address.address.version == family),
        )


def _check(settings: Settings) -> HttpCheck | ScriptCheck | None:
    checks = settings.checks
    timeout = checks.check_interval if checks.check_timeout is None else checks.check_timeout
    pace = (checks.check_interval, timeout, checks.check_rise, checks.check_fall, checks.check_weight)
    if checks.enable_check:
        return HttpCheck(*pace, urls=checks.enable_check, status=checks.check_status)
    if checks.override_check:
        return ScriptCheck(*pace, script=settings.places.data_dir / "scripts" / checks.override_check)
    return None

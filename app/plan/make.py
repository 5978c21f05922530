"""What this host will do: settings and host facts made one frozen description, with nothing left to guess."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING

from app.plan.checks import planned_check
from app.plan.lease import MOST_IPV6, leased
from app.plan.log import log_plan
from app.plan.model import (
    FALLBACK_ACCOUNT,
    MAINTENANCE,
    OWN_ACCOUNT,
    SCRIPT_ACCOUNTS,
    Instance,
    MovingAddress,
    OwnText,
    Plan,
    PlannedCheck,
    SyncGroup,
)
from app.plan.peering import listed, peering_of
from app.plan.priority import AUTO, asked_priority, preempts, priority_of
from app.settings.vrrp import DEFAULT_VRID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from app.contract.peers_config import Learned
    from app.host.addresses import Place
    from app.host.files import Files
    from app.host.machine import Account, Host
    from app.settings import Settings
    from app.settings.addresses import Vip
    from app.settings.instance import InstanceSettings
    from app.settings.routes import IPAddress, Route


def make_plan(settings: Settings, host: Host, warnings: Iterable[str] = (), learned: Iterable[Learned] = ()) -> Plan:
    """The plan for ``host``. Both must have passed app.plan.rules: nothing is checked twice.

    ``learned``: peers that are not listed, but heard.
    """
    siblings = host.accounts.get(OWN_ACCOUNT) or host.accounts[FALLBACK_ACCOUNT]
    script_user = _script_user(settings, host, siblings)
    places, node = settings.places, settings.node
    said = dict.fromkeys(warnings)
    checks: list[PlannedCheck] = []
    heard: dict[str, list[IPAddress]] = {}
    for peer in learned:
        heard.setdefault(peer.instance, []).append(ipaddress.ip_address(peer.address))
    instances = {
        asked.name: tuple(_instances(asked, settings, host, checks, said, heard=heard)) for asked in settings.instances
    }
    if not checks and any(asked.checks.check_weight for asked in settings.instances):
        said["KA_CHECK_WEIGHT: does nothing without a check; set KA_ENABLE_CHECK, or leave it out"] = None
    everyone = tuple(instance for family in instances.values() for instance in family)
    with_lease = tuple(instance.name for instance in leased(everyone)) if node.lease == "auto" else ()
    if node.lease == "auto" and (rest := [instance.name for instance in everyone if instance.name not in with_lease]):
        sentence = f"keeps at most {MOST_IPV6} IPv6 VIPs, so those of {', '.join(rest)} stay on a node that is killed"
        said[f"KA_LEASE: {sentence}"] = None
    log = log_plan(settings.logs, host.files, places.run_dir)
    if log.spool_size < settings.logs.log_spool_size:
        sentence = f"is {log.spool_size} for each server and not {settings.logs.log_spool_size}, a quarter of what fits"
        said[f"KA_LOG_SPOOL_SIZE: {sentence} into {places.run_dir} at most; for more, put KA_LOG_SPOOL on a volume"] = (
            None
        )
    return Plan(
        node_name=node.node_name or host.name,
        router_name=node.router_name or node.node_name or host.name,
        instances=everyone,
        sync_groups=tuple(_groups(settings, instances)),
        peer_names={
            name: host.names.get(name, ())
            for asked in settings.instances
            for name in asked.peers.unicast_peers
            if isinstance(name, str)
        },
        peer_refresh=node.peer_refresh,
        notify=places.data_dir / "scripts" / settings.hooks.notify if settings.hooks.notify else None,
        notify_url=settings.hooks.notify_url,
        run_dir=places.run_dir,
        data_dir=places.data_dir,
        leased=with_lease,
        own_text=_own_text(host.files, places.data_dir / "conf.d"),
        # Where nothing is mounted nobody can put the file, and nobody need look for it.
        maintenance=places.data_dir / MAINTENANCE if host.files.is_directory(places.data_dir) else None,
        siblings=siblings,
        script_user=script_user,
        log=log,
        warnings=tuple(said),
    )


def _script_user(settings: Settings, host: Host, siblings: Account) -> Account:
    """Who runs scripts: whom the operator names, else an account that is not the siblings'."""
    names = (settings.places.script_user,) if settings.places.script_user else SCRIPT_ACCOUNTS
    return next((host.accounts[name] for name in names if name in host.accounts and name != siblings.name), siblings)


def version_of(asked: InstanceSettings, ip_version: int) -> int:
    """The VRRP version over an IP version: version 2 knows neither IPv6 nor fractions of a second."""
    if asked.vrrp.vrrp_version != "auto":
        return int(asked.vrrp.vrrp_version)
    return 3 if ip_version == 6 or not asked.vrrp.advert_interval.is_integer() else 2


def transports(asked: InstanceSettings, host: Host) -> list[int]:
    """The IP versions that adverts of this instance go over: one keepalived instance each.

    Those of its VIPs; but where peers are listed, only those that some node has: VIPs of the other version go along.
    """
    wanted: list[int] = sorted({vip.address.version for vip in asked.addresses.include})
    if not asked.peers.unicast_peers:
        return wanted
    spoken: list[int] = [version for version in (4, 6) if listed(asked, host, version)]
    return [version for version in wanted if version in spoken] or spoken[:1] or wanted


def carrier(asked: InstanceSettings, host: Host) -> str | None:
    """The link that adverts go over; None when this host has none."""
    return _carrier(asked.addresses.track_iface, asked.addresses.include, host)


def vip_places(asked: InstanceSettings, host: Host) -> tuple[frozenset[Place], str | None]:
    """Where this node may have put a VIP, and the link of its adverts, by what is right of the settings.

    That is the VIP's link, KA_TRACK_IFACE, and what carries the adverts.
    """
    named = getattr(asked.addresses, "track_iface", "auto")
    vips = [vip for field in ("include", "exclude") for vip in getattr(asked.addresses, field, ())]
    over = _carrier(named if host.link(named) else "auto", vips, host)
    return frozenset((vip.address, link) for vip in vips for link in (vip.link, named, over) if link is not None), over


def _carrier(named: str, vips: Iterable[Vip], host: Host) -> str | None:
    link = host.link(named) if named != "auto" else None
    if link is not None and not link.is_loopback:
        return named
    if named != "auto" and link is None:
        return None
    # auto, or VIPs on the loopback, where VRRP itself cannot run (docs/decisions/0002-loopback.md).
    return _link_of_subnet(vips, host) or next(iter(host.default_links.values()), None)


def _link_of_subnet(vips: Iterable[Vip], host: Host) -> str | None:
    """The link with the narrowest subnet that holds the first VIP that any holds."""
    for vip in vips:
        found = [
            (held.prefix, link.name)
            for link in host.links
            for held in link.addresses
            if not link.is_loopback and vip.address in held.network
        ]
        if found:
            return max(found)[1]
    return None


def _instances(
    asked: InstanceSettings,
    settings: Settings,
    host: Host,
    checks: list[PlannedCheck],
    said: dict[str, None],
    *,
    heard: Mapping[str, Iterable[IPAddress]],
) -> Iterator[Instance]:
    link = carrier(asked, host)
    if link is None:
        raise ValueError("no link: app.plan.rules must have refused this")
    vrrp = asked.vrrp
    named = asked.addresses.track_iface
    vip_link = link if named == "auto" else named
    if vip_link != link:
        variable = asked.variable("KA_TRACK_IFACE")
        said[f"{variable}: {vip_link} cannot carry VRRP, so the adverts go over {link}"] = None
    if vrrp.vrid is None:
        sentence = f"is not set, so it is {DEFAULT_VRID}; another VRRP group on this network would clash with it"
        said[f"{asked.variable('KA_VRID')}: {sentence}"] = None
    addresses = [
        MovingAddress(vip.address, vip.prefix or vip.address.max_prefixlen, vip.link or vip_link, in_adverts)
        for vips, in_adverts in ((asked.addresses.include, True), (asked.addresses.exclude, False))
        for vip in vips
    ]
    check = planned_check(asked, settings, host.files, checks)
    over = transports(asked, host)
    priority, reason = priority_of(asked, settings, host)
    is_auto = asked_priority(asked, settings, host) == AUTO
    for transport in over:
        version = version_of(asked, transport)
        if vrrp.auth_pass is None and version == 2:
            said[f"{asked.variable('KA_AUTH_PASS')}: is not set, so the adverts carry no password"] = None
        elif vrrp.auth_pass is not None and version == 3:
            sentence = f"is not used over IPv{transport}, VRRP version 3 has no passwords"
            said[f"{asked.variable('KA_AUTH_PASS')}: {sentence}"] = None
        name = asked.name if len(over) == 1 else f"{asked.name}-ipv{transport}"
        peering = peering_of(
            asked,
            host,
            transport,
            is_auto=is_auto,
            learned=tuple(heard.get(name, ())),
            has_lease=settings.node.lease == "auto",
        )
        listed = asked.peers.unicast_peers
        if listed and not peering.others and not any(isinstance(peer, str) for peer in listed):
            sentence = "lists no node but this one, so nobody gets its adverts and every node becomes master"
            said[f"{asked.variable('KA_UNICAST_PEERS')}: {sentence}"] = None
        # An instance carries one family in its adverts; a family without a transport goes along with the first.
        mine = {transport} if transport != over[0] else {4, 6} - set(over[1:])
        yield Instance(
            name=name,
            link=link,
            ip_version=transport,
            version=version,
            vrid=vrrp.vrid or DEFAULT_VRID,
            priority=priority,
            priority_reason=reason,
            starts_as_master=vrrp.master,
            nopreempt=not preempts(asked, settings, host),
            preempt_delay=vrrp.preempt_delay,
            advert_interval=vrrp.advert_interval,
            garp_refresh=vrrp.garp_refresh,
            auth_pass=vrrp.auth_pass if version == 2 else None,
            addresses=tuple(
                MovingAddress(address.address, address.prefix, address.link, address.in_adverts and family == transport)
                for address in addresses
                if (family := address.address.version) in mine
            ),
            routes=tuple(_with_link(route, vip_link) for route in asked.addresses.routes if route.version in mine),
            # keepalived watches the link of the adverts anyway, and refuses to be told so.
            track_interfaces=tuple(name for name in asked.addresses.track_interfaces if name != link),
            peering=peering,
            check=check,
        )


def _own_text(files: Files, directory: Path) -> OwnText | None:
    """The keepalived text in ``directory``; None without any."""
    found = tuple((path.name, files.text(path)) for path in files.listed(directory, "*.conf"))
    if not found:
        return None
    content = "".join(f"{name}\0{text}" for name, text in found)
    return OwnText(hashlib.sha256(content.encode()).hexdigest()[:12], found)


def _with_link(route: Route, link: str) -> Route:
    """keepalived takes no route without its link, except one that leads nowhere."""
    return route if route.link or route.gateway is None else replace(route, link=link)


def _groups(settings: Settings, instances: dict[str, tuple[Instance, ...]]) -> Iterator[SyncGroup]:
    """The groups that were asked for, and one for each instance that became two: they stand for one service."""
    grouped: set[str] = set()
    for name, members in settings.node.sync_groups:
        grouped.update(members)
        yield _group(name, [instance for member in members for instance in instances[member]])
    for name, families in instances.items():
        if len(families) > 1 and name not in grouped:
            yield _group(name, families)


def _group(name: str, members: Iterable[Instance]) -> SyncGroup:
    found = tuple(members)
    is_weighted = any(instance.check and instance.check.weight for instance in found)
    return SyncGroup(name, tuple(instance.name for instance in found), is_weighted)

"""Rules that tie several settings together, or settings to this host.

Each rule is a generator of problems. One that needs a setting which is itself wrong has nothing to say: asking for it
raises NotUsableError, and the others still report, so that the operator sees every problem at once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from app.errors import Problem
from app.plan import FALLBACK_ACCOUNT, OWN_ACCOUNT, carrier, version_of
from app.settings.area import NotUsableError
from app.settings.text import shown
from app.settings.vrrp import ADVERT_RANGE_V2, ADVERT_RANGE_V3, PRIORITY_OWNER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.host import Host
    from app.settings import Settings


def problems(settings: Settings, host: Host) -> list[Problem]:
    """Every rule that is broken."""
    found: list[Problem] = []
    for rule in RULES:
        try:
            found.extend(rule(settings, host))
        except NotUsableError:
            continue
    return found


def _one_check(settings: Settings, _host: Host) -> Iterator[Problem]:
    if settings.checks.override_check and settings.checks.enable_check:
        yield Problem("KA_OVERRIDE_CHECK", "cannot be set together with KA_ENABLE_CHECK; leave one of them out")


def _vips_differ(settings: Settings, _host: Host) -> Iterator[Problem]:
    seen = set()
    for variable, vips in (("KA_INCLUDE", settings.addresses.include), ("KA_EXCLUDE", settings.addresses.exclude)):
        for vip in vips:
            if vip.address in seen:
                yield Problem(variable, f"cannot name {vip.address} again; each VIP must be named once")
            seen.add(vip.address)


def _some_vip(settings: Settings, _host: Host) -> Iterator[Problem]:
    if not settings.addresses.include:
        yield Problem("KA_INCLUDE", "cannot be without an address; it must name at least one VIP")
    families = {vip.address.version for vip in settings.addresses.include}
    for vip in settings.addresses.exclude:
        if families and vip.address.version not in families:
            yield Problem(
                "KA_EXCLUDE",
                f"cannot be {vip.address}; KA_INCLUDE must name a VIP of IPv{vip.address.version} for it to move with",
            )


def _version_fits(settings: Settings, _host: Host) -> Iterator[Problem]:
    version = settings.vrrp.vrrp_version
    ipv6 = [vip for vip in settings.addresses.include if vip.address.version == 6]
    if version == "2" and ipv6:
        yield Problem("KA_VRRP_VERSION", f"cannot be 2 with the IPv6 VIP {ipv6[0].address}; it must be 3 or auto")


def _advert_fits(settings: Settings, _host: Host) -> Iterator[Problem]:
    interval = settings.vrrp.advert_interval
    version = settings.vrrp.vrrp_version
    low, high = ADVERT_RANGE_V2
    if version == "2" and not interval.is_integer():
        sentence = f"cannot be {interval:g} with VRRP version 2; it must be {low}–{high} whole seconds, or version 3"
        yield Problem("KA_ADVERT_INTERVAL", sentence)
    families = {vip.address.version for vip in settings.addresses.include} or {4}
    if interval > ADVERT_RANGE_V3[1] and any(version_of(settings, family) == 3 for family in families):
        sentence = f"cannot be {interval:g} with VRRP version 3; it must be {ADVERT_RANGE_V3[0]}–{ADVERT_RANGE_V3[1]}"
        yield Problem("KA_ADVERT_INTERVAL", f"{sentence} seconds")


def _auth_fits(settings: Settings, _host: Host) -> Iterator[Problem]:
    families = {vip.address.version for vip in settings.addresses.include}
    if settings.vrrp.auth_pass and families and all(version_of(settings, family) == 3 for family in families):
        why = "IPv6" if families == {6} else "KA_VRRP_VERSION or KA_ADVERT_INTERVAL asks for it"
        yield Problem(
            "KA_AUTH_PASS", f"cannot be used with VRRP version 3 ({why}), which has no passwords; leave it out"
        )


def _owner_has_no_weight(settings: Settings, _host: Host) -> Iterator[Problem]:
    if settings.vrrp.priority == PRIORITY_OWNER and settings.checks.check_weight:
        sentence = f"cannot be {settings.checks.check_weight} with KA_PRIORITY {PRIORITY_OWNER}, which nothing changes"
        yield Problem("KA_CHECK_WEIGHT", f"{sentence}; it must be 0, or the priority at most {PRIORITY_OWNER - 1}")


def _track_link_exists(settings: Settings, host: Host) -> Iterator[Problem]:
    asked = settings.addresses.track_iface
    if asked != "auto" and host.link(asked) is None:
        yield Problem("KA_TRACK_IFACE", f"cannot be {asked}; {_links_of(host)}")
    elif carrier(settings, host) is None:
        other = "a link by name" if asked == "auto" else "a link that reaches the other nodes"
        sentence = f"cannot be {asked} here, no link holds the VIP's subnet or a default route; it must be {other}"
        yield Problem("KA_TRACK_IFACE", sentence)


def _vip_links_exist(settings: Settings, host: Host) -> Iterator[Problem]:
    for variable, vips in (("KA_INCLUDE", settings.addresses.include), ("KA_EXCLUDE", settings.addresses.exclude)):
        for vip in vips:
            if vip.link and host.link(vip.link) is None:
                yield Problem(variable, f"cannot put {vip.address} on {vip.link}; {_links_of(host)}")


def _links_of(host: Host) -> str:
    return f"this machine's links are {', '.join(link.name for link in host.links)}"


def _script_can_run(settings: Settings, _host: Host) -> Iterator[Problem]:
    name = settings.checks.override_check
    if not name:
        return
    script = settings.places.data_dir / "scripts" / name
    if not script.is_file():
        there = sorted(path.name for path in script.parent.glob("*") if path.is_file())
        holds = f"it holds {', '.join(there)}" if there else "it holds no files"
        yield Problem(
            "KA_OVERRIDE_CHECK", f"cannot be {shown(name)}; there is no such file in {script.parent}, {holds}"
        )
    elif not os.access(script, os.X_OK):
        yield Problem("KA_OVERRIDE_CHECK", f"cannot be {shown(name)}, which is not executable; chmod +x {script}")


def _accounts_exist(settings: Settings, host: Host) -> Iterator[Problem]:
    name = settings.places.script_user
    if name and name not in host.accounts:
        yield Problem("KA_SCRIPT_USER", f"cannot be {name}; it must be an account that exists here, such as nobody")
    if OWN_ACCOUNT not in host.accounts and FALLBACK_ACCOUNT not in host.accounts:
        yield Problem("/etc/passwd", f"has no account {OWN_ACCOUNT} or {FALLBACK_ACCOUNT}; it must have one of them")


RULES: tuple[Callable[[Settings, Host], Iterator[Problem]], ...] = (
    _track_link_exists,
    _some_vip,
    _vips_differ,
    _vip_links_exist,
    _version_fits,
    _advert_fits,
    _auth_fits,
    _owner_has_no_weight,
    _one_check,
    _script_can_run,
    _accounts_exist,
)

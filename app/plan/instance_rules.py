"""Rules of one instance: what it was asked for must fit together, and fit this host.

Each rule is a generator of problems; app.plan.rules asks them all.
"""

from __future__ import annotations

import ssl
from itertools import pairwise
from typing import TYPE_CHECKING

from app.contract.errors import Problem
from app.plan.make import carrier, transports, version_of, vip_places
from app.plan.operator_files import script_can_run
from app.plan.peering import listed, source_of
from app.plan.priority import AUTO, asked_priority, preempts, priorities
from app.settings.instance import MAIN
from app.settings.vrrp import ADVERT_RANGE_V2, ADVERT_RANGE_V3, PRIORITY_OWNER, PRIORITY_RANGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.host.machine import Host
    from app.settings import Settings
    from app.settings.instance import InstanceSettings


def _track_link_exists(asked: InstanceSettings, _settings: Settings, host: Host) -> Iterator[Problem]:
    variable = asked.variable("KA_TRACK_IFACE")
    named = asked.addresses.track_iface
    if named != "auto" and host.link(named) is None:
        yield Problem(variable, f"cannot be {named}; {_links_of(host)}")
    elif carrier(asked, host) is None:
        other = "a link by name" if named == "auto" else "a link that reaches the other nodes"
        sentence = f"cannot be {named} here, no link holds the VIP's subnet or a default route; it must be {other}"
        yield Problem(variable, sentence)


def _more_links_exist(asked: InstanceSettings, _settings: Settings, host: Host) -> Iterator[Problem]:
    for name in asked.addresses.track_interfaces:
        if host.link(name) is None:
            yield Problem(asked.variable("KA_TRACK_INTERFACES"), f"cannot be {name}; {_links_of(host)}")


def _excluded_have_company(asked: InstanceSettings, _settings: Settings, _host: Host) -> Iterator[Problem]:
    families = {vip.address.version for vip in asked.addresses.include}
    for vip in asked.addresses.exclude:
        if families and vip.address.version not in families:
            included = asked.variable("KA_INCLUDE")
            sentence = f"{included} must name a VIP of IPv{vip.address.version} for it to move with"
            yield Problem(asked.variable("KA_EXCLUDE"), f"cannot be {vip.address}; {sentence}")


def _vip_links_exist(asked: InstanceSettings, _settings: Settings, host: Host) -> Iterator[Problem]:
    for variable, vip in asked.vips():
        if vip.link and host.link(vip.link) is None:
            yield Problem(variable, f"cannot put {vip.address} on {vip.link}; {_links_of(host)}")


def _vips_are_no_own_addresses(asked: InstanceSettings, _settings: Settings, host: Host) -> Iterator[Problem]:
    places, over = vip_places(asked, host)
    variables = {vip.address: variable for variable, vip in asked.vips()}
    for held in host.moving:
        if held.place in places and host.is_own(held, over):
            sentence = f"cannot be {held.address}, which is this machine's own address on {held.link}"
            yield Problem(variables[held.address], f"{sentence}; it must be one that no machine has as its own")


def _routes_fit(asked: InstanceSettings, _settings: Settings, host: Host) -> Iterator[Problem]:
    variable = asked.variable("KA_ROUTES")
    for route in asked.addresses.routes:
        if route.link and host.link(route.link) is None:
            yield Problem(variable, f"cannot send {route.destination} to {route.link}; {_links_of(host)}")
        if route.version not in {vip.address.version for vip in asked.addresses.include}:
            sentence = f"needs a VIP of IPv{route.version} in {asked.variable('KA_INCLUDE')} to move with"
            yield Problem(variable, f"cannot be {route.destination}, which {sentence}; leave it out or name one")


def _version_fits(asked: InstanceSettings, _settings: Settings, host: Host) -> Iterator[Problem]:
    if asked.vrrp.vrrp_version == "2" and 6 in transports(asked, host):
        ipv6 = next((vip.address for vip in asked.addresses.include if vip.address.version == 6), "peers")
        sentence = f"cannot be 2 with the IPv6 VIP {ipv6}; it must be 3 or auto"
        yield Problem(asked.variable("KA_VRRP_VERSION"), sentence)


def _advert_fits(asked: InstanceSettings, _settings: Settings, host: Host) -> Iterator[Problem]:
    variable = asked.variable("KA_ADVERT_INTERVAL")
    interval = asked.vrrp.advert_interval
    low, high = ADVERT_RANGE_V2
    if asked.vrrp.vrrp_version == "2" and not interval.is_integer():
        sentence = f"cannot be {interval:g} with VRRP version 2; it must be {low}–{high} whole seconds, or version 3"
        yield Problem(variable, sentence)
    families = transports(asked, host) or [4]
    if interval > ADVERT_RANGE_V3[1] and any(version_of(asked, family) == 3 for family in families):
        sentence = f"cannot be {interval:g} with VRRP version 3; it must be {ADVERT_RANGE_V3[0]}–{ADVERT_RANGE_V3[1]}"
        yield Problem(variable, f"{sentence} seconds")


def _auth_fits(asked: InstanceSettings, _settings: Settings, host: Host) -> Iterator[Problem]:
    families = transports(asked, host)
    # What an instance takes from the plain variables it cannot leave out; the plan says that it is not used.
    is_own = asked.name == MAIN or "KA_AUTH_PASS" in asked.own
    if is_own and asked.vrrp.auth_pass and families and all(version_of(asked, family) == 3 for family in families):
        by_variable = "KA_VRRP_VERSION or KA_ADVERT_INTERVAL asks for it"
        why = "IPv6" if families == [6] else by_variable
        sentence = f"cannot be used with VRRP version 3 ({why}), which has no passwords; leave it out"
        yield Problem(asked.variable("KA_AUTH_PASS"), sentence)


def _priority_is_said(asked: InstanceSettings, settings: Settings, host: Host) -> Iterator[Problem]:
    value = asked_priority(asked, settings, host)
    variable = asked.variable("KA_PRIORITY")
    peers = asked.variable("KA_UNICAST_PEERS")
    nodes = [node for node, _ in asked.vrrp.priority_by_node]
    for node in dict.fromkeys(nodes):
        if nodes.count(node) > 1:
            by_node = asked.variable("KA_PRIORITY_BY_NODE")
            yield Problem(by_node, f"cannot name {node} again; each node must be named once")
    if value is None:
        name = settings.node.node_name or host.name
        others = f", and KA_PRIORITY_BY_NODE names {', '.join(nodes)} but not {name}" if nodes else ""
        yield Problem(variable, f"is not set{others}; it must be 1–255 or auto")
    elif value == AUTO and not asked.peers.unicast_peers:
        sentence = f"cannot be auto without {peers}, whose order decides; it must be 1–255, or set {peers}"
        yield Problem(variable, sentence)


def _peers_are_usable(asked: InstanceSettings, _settings: Settings, host: Host) -> Iterator[Problem]:
    peers = asked.variable("KA_UNICAST_PEERS")
    source = asked.peers.unicast_src_ip
    if source is not None and not asked.peers.unicast_peers:
        sentence = (
            f"cannot be {source} without {peers}, multicast adverts come from the link; leave it out or set {peers}"
        )
        yield Problem(asked.variable("KA_UNICAST_SRC_IP"), sentence)
    elif source is not None and source not in host.own_addresses:
        here = ", ".join(sorted(str(address) for address in host.own_addresses if not address.is_loopback))
        sentence = f"cannot be {source}; this machine's addresses are {here or 'none'}"
        yield Problem(asked.variable("KA_UNICAST_SRC_IP"), sentence)
    if asked.peers.unicast_peers:
        versions = {vip.address.version for vip in asked.addresses.include}
        over = transports(asked, host)
        if any(listed(asked, host, version) for version in over) and not versions & set(over):
            sentence = f"has only IPv{over[0]} addresses, and adverts must carry a VIP of the peers' version"
            yield Problem(peers, f"{sentence}; it must have IPv{min(versions, default=6)} addresses too")
        for version in over:
            if listed(asked, host, version) and source_of(asked, host, version) is None:
                sentence = f"cannot be reached over IPv{version}, this machine has no route to any of them"
                sentence += "; it must list addresses of a network that this machine is in"
                yield Problem(peers, sentence)


def _preemption_fits(asked: InstanceSettings, settings: Settings, host: Host) -> Iterator[Problem]:
    stays = not preempts(asked, settings, host)
    is_auto = asked.vrrp.nopreempt is None
    why = f"{asked.variable('KA_PRIORITY')} auto" if is_auto else f"{asked.variable('KA_NOPREEMPT')} true"
    rule = "nopreempt needs the initial state BACKUP"
    if stays and asked.vrrp.master:
        yield Problem(asked.variable("KA_MASTER"), f"cannot be true with {why}, {rule}; leave one of them out")
    if stays and asked_priority(asked, settings, host) == PRIORITY_OWNER:
        sentence = f"cannot be {PRIORITY_OWNER} with {why}, an address owner always preempts (RFC 5798 §6.1)"
        yield Problem(asked.variable("KA_PRIORITY"), f"{sentence}; it must be at most {PRIORITY_OWNER - 1}")
    if asked.vrrp.preempt_delay:
        variable = asked.variable("KA_PREEMPT_DELAY")
        found = f"cannot be {asked.vrrp.preempt_delay:g}"
        if stays:
            yield Problem(variable, f"{found} with {why}, there is nothing to delay; leave one of them out")
        elif asked.vrrp.master:
            sentence = f"{found} with {asked.variable('KA_MASTER')} true, a delay needs the initial state BACKUP"
            yield Problem(variable, f"{sentence}; leave one of them out")


def _owner_has_no_weight(asked: InstanceSettings, settings: Settings, host: Host) -> Iterator[Problem]:
    if asked_priority(asked, settings, host) == PRIORITY_OWNER and asked.checks.check_weight:
        sentence = f"cannot be {asked.checks.check_weight} with KA_PRIORITY {PRIORITY_OWNER}, which nothing changes"
        wanted = f"it must be 0, or the priority at most {PRIORITY_OWNER - 1}"
        yield Problem(asked.variable("KA_CHECK_WEIGHT"), f"{sentence}; {wanted}")


def _one_check(asked: InstanceSettings, _settings: Settings, _host: Host) -> Iterator[Problem]:
    if asked.checks.override_check and asked.checks.enable_check:
        sentence = f"cannot be set together with {asked.variable('KA_ENABLE_CHECK')}; leave one of them out"
        yield Problem(asked.variable("KA_OVERRIDE_CHECK"), sentence)


def _tls_fits(asked: InstanceSettings, _settings: Settings, host: Host) -> Iterator[Problem]:
    ca_file = asked.checks.check_ca_file
    variable = asked.variable("KA_CHECK_CA_FILE")
    if ca_file is not None and asked.checks.check_insecure:
        other = asked.variable("KA_CHECK_INSECURE")
        yield Problem(variable, f"cannot be set together with {other} true; leave one of them out")
    elif ca_file is not None and (why := host.files.unreadable(ca_file)):
        yield Problem(variable, f"cannot be {ca_file}: {why}; it must be a file that can be read")
    elif ca_file is not None:
        try:
            host.files.use_bundle(ca_file)
        except OSError as error:
            said = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            yield Problem(
                variable, f"cannot be {ca_file}: {said}; it must be certificates in PEM form that root can read"
            )


def _header_fits(asked: InstanceSettings, _settings: Settings, _host: Host) -> Iterator[Problem]:
    names = [name.lower() for name, _ in asked.checks.check_headers]
    variable = asked.variable("KA_CHECK_HEADERS")
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield Problem(variable, f"cannot have {name} twice; each header must be named once")
    if "authorization" in names and any(
        "@" in url.split("//", 1)[-1].split("/")[0] for url in asked.checks.enable_check
    ):
        sentence = "cannot have authorization beside credentials in a URL; leave one of them out"
        yield Problem(variable, sentence)


def _weight_can_matter(asked: InstanceSettings, settings: Settings, host: Host) -> Iterator[Problem]:
    weight = asked.checks.check_weight
    if not weight:
        return
    variable = asked.variable("KA_CHECK_WEIGHT")
    priority = asked_priority(asked, settings, host)
    if not preempts(asked, settings, host):
        why = f"{asked.variable('KA_PRIORITY')} auto" if priority == AUTO else f"{asked.variable('KA_NOPREEMPT')} true"
        sentence = f"cannot be {weight} with {why}: no peer takes over from a master that lives, whatever its priority"
        yield Problem(variable, f"{sentence}; it must be 0, or {asked.variable('KA_NOPREEMPT')} false")
    elif isinstance(priority, int) and weight > 0 and priority == PRIORITY_OWNER - 1:
        sentence = f"cannot be {weight} with priority {priority}, which nothing can raise; it must be below 0"
        yield Problem(variable, f"{sentence}, or the priority lower")
    elif priority == PRIORITY_RANGE[0] and weight < 0:
        sentence = f"cannot be {weight} with priority {priority}, which nothing can lower; it must be above 0"
        yield Problem(variable, f"{sentence}, or the priority higher")
    named = {number for _, number in asked.vrrp.priority_by_node}
    known = sorted(named | ({asked.vrrp.priority} if isinstance(asked.vrrp.priority, int) else set()))
    pairs = list(pairwise(known))
    # With as much as the gap it would be a tie, and a tie leaves the master what it is (RFC 5798 §6.4.2).
    if len(named) > 1 and PRIORITY_OWNER not in known and all(_stays(low, high, weight) for low, high in pairs):
        gap = min(high - low for low, high in pairs)
        sentence = f"cannot be {weight}, for the priorities of the nodes are {gap} and more apart"
        yield Problem(variable, f"{sentence} and no order would change; it must be 0, or more than {gap} either way")


def _stays(low: int, high: int, weight: int) -> bool:
    """Whether a healthy node of priority ``low`` does not overtake a failed one of ``high``."""
    return priorities(low, weight)[0] <= priorities(high, weight)[1]


def _check_can_run(asked: InstanceSettings, settings: Settings, host: Host) -> Iterator[Problem]:
    if asked.checks.override_check:
        variable = asked.variable("KA_OVERRIDE_CHECK")
        yield from script_can_run(variable, settings.places.data_dir, asked.checks.override_check, host)


def _links_of(host: Host) -> str:
    return f"this machine's links are {', '.join(link.name for link in host.links)}"


INSTANCE_RULES: tuple[Callable[[InstanceSettings, Settings, Host], Iterator[Problem]], ...] = (
    _track_link_exists,
    _more_links_exist,
    _excluded_have_company,
    _vip_links_exist,
    _vips_are_no_own_addresses,
    _routes_fit,
    _version_fits,
    _advert_fits,
    _auth_fits,
    _priority_is_said,
    _peers_are_usable,
    _preemption_fits,
    _owner_has_no_weight,
    _one_check,
    _tls_fits,
    _header_fits,
    _weight_can_matter,
    _check_can_run,
)

"""One machine for all tests, whatever they run on: its links and accounts, and the least that a node on it is told."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from app.contract.errors import ConfigError
from app.host.addresses import Held, Link
from app.host.machine import Account, Host
from app.plan.make import make_plan
from app.plan.rules import problems
from app.render import render
from app.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from app.contract.errors import Problem
    from app.contract.peers_config import Learned
    from app.plan.model import Plan


def link(name: str, *addresses: str, is_loopback: bool = False) -> Link:
    """A link with these addresses, written as ``ADDRESS/PREFIX``."""
    interfaces = map(ipaddress.ip_interface, addresses)
    return Link(name, is_loopback, tuple(Held(found.ip, found.network.prefixlen, name) for found in interfaces))


LOOPBACK = link("lo", "127.0.0.1/8", "::1/128", is_loopback=True)
NOBODY = Account("nobody", 65534, 65534)
DAEMON = Account("daemon", 1, 1)

#: A name that stands for every node, this one among them, and one that stands for this node alone.
NODES = "nodes.example.org"
ALONE = "alone.example.org"

_HERE = ipaddress.ip_address("203.0.113.11")
_HERE_IPV6 = ipaddress.ip_address("2001:db8::11")
_THERE = tuple(ipaddress.ip_address(f"203.0.113.{number}") for number in (12, 13))
_THERE_IPV6 = tuple(ipaddress.ip_address(f"2001:db8::{number}") for number in (12, 13))

#: Two links; the default route leaves by the first. Its peers are .12 and .13 on the first.
HOST = Host(
    name="node1",
    links=(
        LOOPBACK,
        link("eth0", "203.0.113.11/24", "2001:db8::11/64"),
        link("eth1", "198.51.100.11/24", "2001:db8:1::11/64"),
    ),
    default_links={4: "eth0", 6: "eth0"},
    accounts={"nobody": NOBODY, "daemon": DAEMON, "root": Account("root", 0, 0)},
    names={NODES: (_HERE, *_THERE), ALONE: (_HERE,)},
    sources={**dict.fromkeys(_THERE, _HERE), **dict.fromkeys(_THERE_IPV6, _HERE_IPV6)},
)

#: What is required, and nothing else.
LEAST = {"KA_TRACK_IFACE": "eth0", "KA_PRIORITY": "100", "KA_INCLUDE": "203.0.113.10/24/eth0"}

#: A value of each variable that is right on its own.
RIGHT = {
    "KA_TRACK_IFACE": "eth0",
    "KA_INCLUDE": "203.0.113.10/24",
    "KA_EXCLUDE": "203.0.113.20/24",
    "KA_TRACK_INTERFACES": "lo",
    "KA_ROUTES": "198.51.100.0/24 via 203.0.113.1",
    "KA_UNICAST_PEERS": "203.0.113.11,203.0.113.12,2001:db8::12",
    "KA_UNICAST_SRC_IP": "203.0.113.11",
    "KA_PRIORITY": "100",
    "KA_PRIORITY_BY_NODE": "node1=254,node2=253",
    "KA_MASTER": "true",
    "KA_VRID": "51",
    "KA_AUTH_PASS": "secret",
    "KA_ADVERT_INTERVAL": "1",
    "KA_VRRP_VERSION": "2",
    "KA_NOPREEMPT": "false",
    "KA_PREEMPT_DELAY": "30",
    "KA_GARP_REFRESH": "60",
    "KA_ENABLE_CHECK": "http://127.0.0.1/",
    "KA_OVERRIDE_CHECK": "check-service",
    "KA_CHECK_INTERVAL": "2",
    "KA_CHECK_TIMEOUT": "2",
    "KA_CHECK_RISE": "2",
    "KA_CHECK_FALL": "2",
    "KA_CHECK_WEIGHT": "-10",
    "KA_CHECK_STATUS": "200",
    "KA_CHECK_HEADERS": "Host: www.example.org",
    "KA_CHECK_BODY": "ok",
    "KA_CHECK_FOLLOW": "true",
    "KA_CHECK_CA_FILE": "/etc/ssl/certs/ca-certificates.crt",
    "KA_CHECK_INSECURE": "false",
    "KA_CHECK_FAST_INTERVAL": "1",
    "KA_CHECK_SLOW_INTERVAL": "5",
    "KA_CHECK_INSTANT": "true",
    "KA_NODE_NAME": "node1",
    "KA_ROUTER_NAME": "node1",
    "KA_PEER_REFRESH": "10",
    "KA_LEASE": "off",
    "KA_SYNC_GROUPS": "edge=main+web",
    "KA_NOTIFY": "notify",
    "KA_NOTIFY_URL": "http://127.0.0.1/",
    "KA_LOG_FORMAT": "json",
    "KA_LOG_LEVEL": "info,keepalived=debug",
    "KA_LOG_FORWARD": "tls://log.example.org:6514",
    "KA_LOG_FORWARD_CA": "/etc/ssl/certs/ca-certificates.crt",
    "KA_LOG_FORWARD_CERT": "/etc/ssl/node.pem",
    "KA_LOG_FORWARD_KEY": "/etc/ssl/node.key",
    "KA_LOG_FORWARD_NAME": "*.example.org",
    "KA_LOG_SPOOL": "/var/spool/ka",
    "KA_LOG_SPOOL_SIZE": "16M",
    "KA_RUN_DIR": "/run/ka",
    "KA_DATA_DIR": "/ka-data",
    "KA_SCRIPT_USER": "nobody",
}


def problems_of(environ: Mapping[str, str], host: Host = HOST) -> list[Problem]:
    """All that is wrong with ``environ``, as ``ka check`` finds it before it asks keepalived."""
    loaded = load(environ)
    return [*loaded.problems, *problems(loaded.settings, host)]


def plan_of(environ: Mapping[str, str], host: Host = HOST, learned: Iterable[Learned] = ()) -> Plan:
    """The plan that ``environ`` makes. Raises ConfigError."""
    found = problems_of(environ, host)
    if found:
        raise ConfigError(*found)
    loaded = load(environ)
    return make_plan(loaded.settings, host, loaded.warnings, learned)


def rendered(plan: Plan, path: str) -> str:
    """The text of one rendered file."""
    return next(file.text for file in render(plan, show_secrets=True) if file.path == path)

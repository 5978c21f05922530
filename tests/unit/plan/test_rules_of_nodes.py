"""Rules of preemption, weights, peers, routes, groups and checks: each as it is broken, and what is just right."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.unit.machine import HOST, LEAST, NODES, problems_of

if TYPE_CHECKING:
    from collections.abc import Mapping

LINKS = "this machine's links are lo, eth0, eth1"
WEB = {"KA_INSTANCES__WEB__INCLUDE": "203.0.113.20", "KA_INSTANCES__WEB__VRID": "9"}
PEERS = {"KA_UNICAST_PEERS": "203.0.113.11,203.0.113.12"}
AUTO = {"KA_PRIORITY": "auto", **PEERS}
URL = {"KA_ENABLE_CHECK": "http://127.0.0.1/"}


def of(environ: Mapping[str, str]) -> list[str]:
    """What is wrong with the least environment and ``environ``."""
    return [str(problem) for problem in problems_of({**LEAST, **environ})]


@pytest.mark.parametrize(
    "environ",
    [
        {"KA_NOPREEMPT": "true"},
        {"KA_NOPREEMPT": "false", "KA_MASTER": "true"},
        {"KA_PREEMPT_DELAY": "5"},
        {"KA_PREEMPT_DELAY": "0", "KA_MASTER": "true"},
        {"KA_NOPREEMPT": "true", "KA_PRIORITY": "254"},
        {"KA_PRIORITY": "255"},
        AUTO,
        {**AUTO, "KA_NOPREEMPT": "false", "KA_MASTER": "true"},
        {**AUTO, "KA_NOPREEMPT": "false", "KA_CHECK_WEIGHT": "-5"},
        {"KA_PRIORITY": "", "KA_PRIORITY_BY_NODE": "node1=7"},
        {"KA_PRIORITY": "253", "KA_CHECK_WEIGHT": "1"},
        {"KA_PRIORITY": "254", "KA_CHECK_WEIGHT": "-1"},
        {"KA_PRIORITY_BY_NODE": "node1=200,node2=150", "KA_CHECK_WEIGHT": "-51"},
        {"KA_PRIORITY_BY_NODE": "node1=200,node2=150,node3=149", "KA_CHECK_WEIGHT": "-2"},
        {"KA_PRIORITY_BY_NODE": "node1=200", "KA_CHECK_WEIGHT": "-2"},
        PEERS,
        {**PEERS, "KA_UNICAST_SRC_IP": "198.51.100.11"},
        {"KA_UNICAST_PEERS": f"dns:{NODES}"},
        {"KA_UNICAST_PEERS": "dns:nowhere"},
        {"KA_INCLUDE": "2001:db8::10", "KA_UNICAST_PEERS": "2001:db8::12"},
        {"KA_INCLUDE": "203.0.113.10 2001:db8::10", "KA_UNICAST_PEERS": "203.0.113.12"},
        {"KA_ROUTES": "default via 203.0.113.1 dev eth1"},
        {"KA_INCLUDE": "203.0.113.10 2001:db8::10", "KA_ROUTES": "blackhole 2001:db8:dead::/48"},
        {"KA_TRACK_INTERFACES": "eth0,eth1,lo"},
        {"KA_CHECK_HEADERS": "Host: a; X-Host: b"},
        {"KA_CHECK_HEADERS": "Authorization: a", "KA_ENABLE_CHECK": "http://h/a@b"},
        {"KA_CHECK_HEADERS": "X-A: a", "KA_ENABLE_CHECK": "http://u:p@h/"},
        {**WEB, "KA_SYNC_GROUPS": "edge=main+web"},
        {**WEB, "KA_SYNC_GROUPS": "web=main+web"},
        {**WEB, **URL, "KA_SYNC_GROUPS": "edge=main+web", "KA_CHECK_WEIGHT": "-9"},
        {**WEB, **URL, "KA_SYNC_GROUPS": "edge=main+web", "KA_INSTANCES__WEB__CHECK_RISE": "7"},
    ],
)
def test_just_right(environ: dict[str, str]) -> None:
    assert of(environ) == []


@pytest.mark.parametrize(
    ("environ", "sentences"),
    [
        pytest.param(
            {"KA_NOPREEMPT": "true", "KA_MASTER": "true"},
            [
                "KA_MASTER: cannot be true with KA_NOPREEMPT true, nopreempt needs the initial state BACKUP; "
                "leave one of them out"
            ],
            id="nopreempt in state MASTER",
        ),
        pytest.param(
            {**AUTO, "KA_MASTER": "true"},
            [
                "KA_MASTER: cannot be true with KA_PRIORITY auto, nopreempt needs the initial state BACKUP; "
                "leave one of them out"
            ],
            id="auto in state MASTER",
        ),
        pytest.param(
            {"KA_NOPREEMPT": "true", "KA_PRIORITY": "255"},
            [
                "KA_PRIORITY: cannot be 255 with KA_NOPREEMPT true, an address owner always preempts "
                "(RFC 5798 §6.1); it must be at most 254"
            ],
            id="nopreempt for the address owner",
        ),
        pytest.param(
            {"KA_NOPREEMPT": "true", "KA_PREEMPT_DELAY": "5"},
            ["KA_PREEMPT_DELAY: cannot be 5 with KA_NOPREEMPT true, there is nothing to delay; leave one of them out"],
            id="a delay of nothing",
        ),
        pytest.param(
            {**AUTO, "KA_PREEMPT_DELAY": "2.5"},
            ["KA_PREEMPT_DELAY: cannot be 2.5 with KA_PRIORITY auto, there is nothing to delay; leave one of them out"],
            id="a delay of nothing with auto",
        ),
        pytest.param(
            {"KA_MASTER": "true", "KA_PREEMPT_DELAY": "5"},
            [
                "KA_PREEMPT_DELAY: cannot be 5 with KA_MASTER true, a delay needs the initial state BACKUP; "
                "leave one of them out"
            ],
            id="a delay in state MASTER",
        ),
        pytest.param(
            {"KA_PRIORITY": "auto"},
            [
                "KA_PRIORITY: cannot be auto without KA_UNICAST_PEERS, whose order decides; "
                "it must be 1–255, or set KA_UNICAST_PEERS"
            ],
            id="auto without a list",
        ),
        pytest.param(
            {"KA_PRIORITY": "", "KA_PRIORITY_BY_NODE": "n1=2,n3=4"},
            ["KA_PRIORITY: is not set, and KA_PRIORITY_BY_NODE names n1, n3 but not node1; it must be 1–255 or auto"],
            id="a node without a priority",
        ),
        pytest.param(
            {"KA_PRIORITY_BY_NODE": "node1=200,node2=7,node1=100,node1=100"},
            ["KA_PRIORITY_BY_NODE: cannot name node1 again; each node must be named once"],
            id="a node twice",
        ),
        pytest.param(
            {"KA_PRIORITY": "254", "KA_CHECK_WEIGHT": "5"},
            [
                "KA_CHECK_WEIGHT: cannot be 5 with priority 254, which nothing can raise; "
                "it must be below 0, or the priority lower"
            ],
            id="a weight that cannot raise",
        ),
        pytest.param(
            {"KA_PRIORITY": "1", "KA_CHECK_WEIGHT": "-5"},
            [
                "KA_CHECK_WEIGHT: cannot be -5 with priority 1, which nothing can lower; "
                "it must be above 0, or the priority higher"
            ],
            id="a weight that cannot lower",
        ),
        pytest.param(
            {"KA_NOPREEMPT": "true", "KA_CHECK_WEIGHT": "-5"},
            [
                "KA_CHECK_WEIGHT: cannot be -5 with KA_NOPREEMPT true: no peer takes over from a master that lives, "
                "whatever its priority; it must be 0, or KA_NOPREEMPT false"
            ],
            id="a weight without preemption",
        ),
        pytest.param(
            {**AUTO, "KA_CHECK_WEIGHT": "-5"},
            [
                "KA_CHECK_WEIGHT: cannot be -5 with KA_PRIORITY auto: no peer takes over from a master that lives, "
                "whatever its priority; it must be 0, or KA_NOPREEMPT false"
            ],
            id="a weight with auto",
        ),
        pytest.param(
            {"KA_PRIORITY_BY_NODE": "node1=200,node2=150,node3=20", "KA_CHECK_WEIGHT": "-50"},
            [
                "KA_CHECK_WEIGHT: cannot be -50, for the priorities of the nodes are 50 and more apart and no order "
                "would change; it must be 0, or more than 50 either way"
            ],
            id="a weight that changes no order",
        ),
        pytest.param(
            {**PEERS, "KA_UNICAST_SRC_IP": "203.0.113.99"},
            [
                "KA_UNICAST_SRC_IP: cannot be 203.0.113.99; this machine's addresses are 198.51.100.11, "
                "2001:db8:1::11, 2001:db8::11, 203.0.113.11"
            ],
            id="a source of another machine",
        ),
        pytest.param(
            {"KA_UNICAST_PEERS": "192.0.2.1,192.0.2.2"},
            [
                "KA_UNICAST_PEERS: cannot be reached over IPv4, this machine has no route to any of them; "
                "it must list addresses of a network that this machine is in"
            ],
            id="peers out of reach",
        ),
        pytest.param(
            {"KA_UNICAST_PEERS": "203.0.113.12", "KA_INCLUDE": "2001:db8::10"},
            [
                "KA_UNICAST_PEERS: has only IPv4 addresses, and adverts must carry a VIP of the peers' version; "
                "it must have IPv6 addresses too"
            ],
            id="IPv4 peers for an IPv6 VIP",
        ),
        pytest.param(
            {"KA_UNICAST_PEERS": "2001:db8::12"},
            [
                "KA_UNICAST_PEERS: has only IPv6 addresses, and adverts must carry a VIP of the peers' version; "
                "it must have IPv4 addresses too"
            ],
            id="IPv6 peers for an IPv4 VIP",
        ),
        pytest.param(
            {"KA_INCLUDE": "203.0.113.10 2001:db8::10", "KA_UNICAST_PEERS": "2001:db8::12", "KA_VRRP_VERSION": "2"},
            ["KA_VRRP_VERSION: cannot be 2 with the IPv6 VIP 2001:db8::10; it must be 3 or auto"],
            id="version 2 over IPv6",
        ),
        pytest.param(
            {"KA_ROUTES": "::/0 via 2001:db8::1"},
            [
                "KA_ROUTES: cannot be ::/0, which needs a VIP of IPv6 in KA_INCLUDE to move with; "
                "leave it out or name one"
            ],
            id="a route of another family",
        ),
        pytest.param(
            {"KA_ROUTES": "default via 203.0.113.1 dev eth9"},
            [f"KA_ROUTES: cannot send 0.0.0.0/0 to eth9; {LINKS}"],
            id="a route over no link",
        ),
        pytest.param(
            {"KA_TRACK_INTERFACES": "eth1,eth8,eth9"},
            [f"KA_TRACK_INTERFACES: cannot be eth8; {LINKS}", f"KA_TRACK_INTERFACES: cannot be eth9; {LINKS}"],
            id="links that are not there",
        ),
        pytest.param(
            {"KA_CHECK_HEADERS": "Host: a; X: b; host: c"},
            ["KA_CHECK_HEADERS: cannot have host twice; each header must be named once"],
            id="a header twice",
        ),
        pytest.param(
            {"KA_CHECK_HEADERS": "authorization: Bearer x", "KA_ENABLE_CHECK": "http://h/ http://u:p@h/"},
            ["KA_CHECK_HEADERS: cannot have authorization beside credentials in a URL; leave one of them out"],
            id="credentials twice",
        ),
        pytest.param(
            {"KA_CHECK_CA_FILE": "/etc/passwd", "KA_CHECK_INSECURE": "true"},
            ["KA_CHECK_CA_FILE: cannot be set together with KA_CHECK_INSECURE true; leave one of them out"],
            id="authorities that nobody asks",
        ),
        pytest.param(
            {"KA_CHECK_CA_FILE": "/etc"},
            ["KA_CHECK_CA_FILE: cannot be /etc: it is no regular file; it must be a file that can be read"],
            id="a directory of authorities",
        ),
        pytest.param(
            {"KA_SYNC_GROUPS": "edge=main+web"},
            ["KA_SYNC_GROUPS: cannot put web into edge; the instances are main"],
            id="a group of what is not there",
        ),
        pytest.param(
            {**WEB, "KA_SYNC_GROUPS": "edge=main+web,core=web+main"},
            [
                "KA_SYNC_GROUPS: cannot put web into core, it is in edge; one group must do",
                "KA_SYNC_GROUPS: cannot put main into core, it is in edge; one group must do",
            ],
            id="in two groups",
        ),
        pytest.param(
            {"KA_SYNC_GROUPS": "edge=main+main"},
            ["KA_SYNC_GROUPS: cannot put main into edge, it is in edge; one group must do"],
            id="in one group twice",
        ),
        pytest.param(
            {
                **WEB,
                "KA_INSTANCES__A__INCLUDE": "203.0.113.21",
                "KA_INSTANCES__A__VRID": "10",
                "KA_INSTANCES__B__INCLUDE": "203.0.113.22",
                "KA_INSTANCES__B__VRID": "11",
                "KA_SYNC_GROUPS": "edge=main+web,edge=a+b",
            },
            ["KA_SYNC_GROUPS: cannot name edge again; each group must be named once"],
            id="a group twice",
        ),
        pytest.param(
            {
                **WEB,
                "KA_INSTANCES__A__INCLUDE": "203.0.113.21 2001:db8::21",
                "KA_INSTANCES__A__VRID": "10",
                "KA_SYNC_GROUPS": "a=main+web",
            },
            ["KA_SYNC_GROUPS: cannot call main and web a, which is another instance; it must be a name of its own"],
            id="a group with an instance's name",
        ),
        pytest.param(
            {
                **WEB,
                **URL,
                "KA_SYNC_GROUPS": "edge=main+web",
                "KA_CHECK_WEIGHT": "-9",
                "KA_INSTANCES__WEB__CHECK_WEIGHT": "-8",
            },
            [
                "KA_SYNC_GROUPS: cannot join main and web, whose checks have weights and differ; "
                "they must have the same check, or weight 0"
            ],
            id="a group that would disagree",
        ),
        pytest.param(
            {"KA_NOTIFY": "notify", "KA_DATA_DIR": "/nowhere"},
            ["KA_NOTIFY: cannot be notify; there is no such file in /nowhere/scripts, it holds no files"],
            id="a hook that is not there",
        ),
    ],
)
def test_broken(environ: dict[str, str], sentences: list[str]) -> None:
    assert of(environ) == sentences


def test_a_machine_without_addresses_says_so() -> None:
    host = replace(HOST, links=tuple(replace(link, addresses=()) for link in HOST.links))
    found = problems_of({**LEAST, **PEERS, "KA_UNICAST_SRC_IP": "203.0.113.11"}, host)
    assert "KA_UNICAST_SRC_IP: cannot be 203.0.113.11; this machine's addresses are none" in map(str, found)

"""What the variables of peers, routes, nodes, groups and hooks may be written as."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from app.settings import Settings, load
from app.settings.node import GROUP_FORM
from app.settings.peers import PEER_FORM
from app.settings.routes import ROUTE_FORM, Route
from tests.unit.machine import LEAST

if TYPE_CHECKING:
    from app.settings.instance import InstanceSettings

ip = ipaddress.ip_address
network = ipaddress.ip_network


def everything(**environ: str) -> Settings:
    """The settings of the least environment and ``environ``, which must be right."""
    loaded = load({**LEAST, **environ})
    assert loaded.problems == ()
    return loaded.settings


def settings(**environ: str) -> InstanceSettings:
    """Those of its instance."""
    return everything(**environ).instances[0]


def refused(**environ: str) -> str:
    """The one sentence against ``environ``."""
    (problem,) = load({**LEAST, **environ}).problems
    return str(problem)


class TestPeers:
    @pytest.mark.parametrize(
        ("text", "peers"),
        [
            ("203.0.113.12", (ip("203.0.113.12"),)),
            ("203.0.113.12, 2001:DB8::0:12", (ip("203.0.113.12"), ip("2001:db8::12"))),
            ("dns:nodes", ("nodes",)),
            ("dns:nodes.ka.svc.cluster.local.", ("nodes.ka.svc.cluster.local.",)),
            ("dns:a_service-1 203.0.113.12", ("a_service-1", ip("203.0.113.12"))),
            ("fe80::1", (ip("fe80::1"),)),
        ],
    )
    def test_right(self, text: str, peers: tuple[object, ...]) -> None:
        assert settings(KA_UNICAST_PEERS=text).peers.unicast_peers == peers

    @pytest.mark.parametrize(
        "text",
        [
            "nodes.example.org",
            "203.0.113.12/24",
            "203.0.113.256",
            "dns:",
            "dns:-a",
            "dns:a..b-",
            "dns:a{b",
            "dns:" + "a" * 300,
            "DNS:nodes",
            "224.0.0.18",
            "0.0.0.0",
            "127.0.0.1",
            "::1",
            "fe80::1%eth0",
        ],
    )
    def test_wrong(self, text: str) -> None:
        assert refused(KA_UNICAST_PEERS=text).endswith(f"; it must be {PEER_FORM}")

    @pytest.mark.parametrize("text", ["203.0.113.11", "2001:db8::11"])
    def test_source(self, text: str) -> None:
        assert settings(KA_UNICAST_SRC_IP=text).peers.unicast_src_ip == ip(text)

    @pytest.mark.parametrize("text", ["eth0", "203.0.113.11/24", "dns:me", "127.0.0.1", "203.0.113.11,203.0.113.12"])
    def test_no_source(self, text: str) -> None:
        assert refused(KA_UNICAST_SRC_IP=text) == (
            f"KA_UNICAST_SRC_IP: cannot be {text}; it must be an address of this host"
        )

    @pytest.mark.parametrize("text", ["0", "0.5", "3601", "10s"])
    def test_refresh(self, text: str) -> None:
        assert everything(KA_PEER_REFRESH="2.5").node.peer_refresh == 2.5
        assert refused(KA_PEER_REFRESH=text) == f"KA_PEER_REFRESH: cannot be {text}; it must be 1–3600 seconds"


class TestRoutes:
    @pytest.mark.parametrize(
        ("text", "route"),
        [
            ("198.51.100.0/24 via 203.0.113.1", Route(network("198.51.100.0/24"), ip("203.0.113.1"))),
            ("198.51.100.7 via 203.0.113.1", Route(network("198.51.100.7/32"), ip("203.0.113.1"))),
            ("default via 203.0.113.1", Route(network("0.0.0.0/0"), ip("203.0.113.1"))),
            ("default via 2001:db8::1", Route(network("::/0"), ip("2001:db8::1"))),
            (
                "::/0 via 2001:db8::1 dev eth1 src 2001:db8::10",
                Route(network("::/0"), ip("2001:db8::1"), "eth1", ip("2001:db8::10")),
            ),
            (
                "192.0.2.0/24 src 203.0.113.10 dev eth1 via 203.0.113.1",
                Route(network("192.0.2.0/24"), ip("203.0.113.1"), "eth1", ip("203.0.113.10")),
            ),
            ("blackhole 192.0.2.0/24", Route(network("192.0.2.0/24"))),
            ("blackhole 2001:db8:dead::/48", Route(network("2001:db8:dead::/48"))),
            ("blackhole default", Route(network("0.0.0.0/0"))),
        ],
    )
    def test_one(self, text: str, route: Route) -> None:
        assert settings(KA_ROUTES=text).addresses.routes == (route,)

    @pytest.mark.parametrize("separator", [";", "; ", " ;\n", ";;"])
    def test_several(self, separator: str) -> None:
        texts = ("blackhole 192.0.2.0/24", "default via 203.0.113.1", "::/0 via 2001:db8::1 dev eth0")
        assert len(settings(KA_ROUTES=separator.join(texts)).addresses.routes) == 3

    @pytest.mark.parametrize(
        "text",
        [
            "198.51.100.0/24",
            "198.51.100.0/24 dev eth0",
            "198.51.100.0/24 via",
            "198.51.100.1/24 via 203.0.113.1",
            "198.51.100.0/24 via 203.0.113.1 dev",
            "198.51.100.0/24 via 203.0.113.1 via 203.0.113.2",
            "198.51.100.0/24 via 203.0.113.1 dev eth{0",
            "198.51.100.0/24 via 203.0.113.1 metric 5",
            "198.51.100.0/24 via eth0",
            "via 203.0.113.1",
            "blackhole",
            "blackhole 192.0.2.0/24 dev eth0",
            "blackhole blackhole 192.0.2.0/24",
            "nowhere via 203.0.113.1",
            "default via fe80::1%eth0",
            "default via 2001:db8::1%1 dev eth0",
            "default via fe80::1%} dev eth0",
            "default via fe80::1 dev eth0 src fe80::2%}",
            "blackhole fe80::%{/64",
        ],
    )
    def test_none(self, text: str) -> None:
        assert refused(KA_ROUTES=text) == f"KA_ROUTES: cannot be {text}; it must be {ROUTE_FORM}"

    @pytest.mark.parametrize(
        "text",
        [
            "198.51.100.0/24 via 2001:db8::1",
            "2001:db8::/32 via 203.0.113.1",
            "198.51.100.0/24 via 203.0.113.1 src 2001:db8::1",
        ],
    )
    def test_of_two_versions(self, text: str) -> None:
        assert refused(KA_ROUTES=text) == (
            f"KA_ROUTES: cannot be {text}; it must be a route with all its addresses of one IP version"
        )


class TestNodes:
    @pytest.mark.parametrize("text", ["node1", "node-1.example.org", "_x", "N" * 63])
    def test_name(self, text: str) -> None:
        assert everything(KA_NODE_NAME=text).node.node_name == text

    @pytest.mark.parametrize("text", ["N" * 64, "-a", "a b", "a=1", "a/b", 'a"'])
    def test_no_name(self, text: str) -> None:
        assert refused(KA_NODE_NAME=text).startswith("KA_NODE_NAME: cannot be ")

    def test_priorities(self) -> None:
        found = settings(KA_PRIORITY_BY_NODE="n1=254, n-2.example.org=1")
        assert found.vrrp.priority_by_node == (("n1", 254), ("n-2.example.org", 1))

    @pytest.mark.parametrize("text", ["n1", "n1=", "=5", "n1=0", "n1=256", "n1=auto", "n 1=5", "a=b=5", "n1:5"])
    def test_no_priorities(self, text: str) -> None:
        assert refused(KA_PRIORITY_BY_NODE=text).endswith("; it must be NODE=PRIORITY, for example n1=254,n2=253")

    @pytest.mark.parametrize(
        ("text", "groups"),
        [
            ("edge=main+web", (("edge", ("main", "web")),)),
            ("Edge=MAIN+Web_2", (("edge", ("main", "web_2")),)),
            ("a=b+c,d=e+f+g", (("a", ("b", "c")), ("d", ("e", "f", "g")))),
        ],
    )
    def test_groups(self, text: str, groups: tuple[object, ...]) -> None:
        assert everything(KA_SYNC_GROUPS=text).node.sync_groups == groups

    @pytest.mark.parametrize(
        "text", ["edge", "edge=main", "=main+web", "edge=main+", "a-b=c+d", "e=main++web", "e=a+b{"]
    )
    def test_no_groups(self, text: str) -> None:
        assert refused(KA_SYNC_GROUPS=text) == f"KA_SYNC_GROUPS: cannot be {text}; it must be {GROUP_FORM}"


class TestPreemption:
    def test_by_default_the_priority_decides(self) -> None:
        found = settings().vrrp
        assert (found.nopreempt, found.preempt_delay, found.garp_refresh) == (None, 0.0, 60)

    @pytest.mark.parametrize("text", ["-1", "1001", "never"])
    def test_delay(self, text: str) -> None:
        assert settings(KA_PREEMPT_DELAY="12.5").vrrp.preempt_delay == 12.5
        assert refused(KA_PREEMPT_DELAY=text).startswith(f"KA_PREEMPT_DELAY: cannot be {text}; it must be 0–1000 ")


class TestHooks:
    def test_script(self) -> None:
        assert everything(KA_NOTIFY="notify.sh").hooks.notify == "notify.sh"

    @pytest.mark.parametrize("text", ["../notify", "notify now", "/bin/true", "-x", ".hidden"])
    def test_no_script(self, text: str) -> None:
        assert refused(KA_NOTIFY=text).startswith(f"KA_NOTIFY: cannot be {text}; ")

    def test_url(self) -> None:
        url = "https://u:secret@hooks.example.org/ka?token=secret"
        assert everything(KA_NOTIFY_URL=url).hooks.notify_url == SecretStr(url)

    @pytest.mark.parametrize("text", ["hooks.example.org", "tcp://127.0.0.1:25", "ftp://u:secret@h/", "http://"])
    def test_no_url_and_no_word_of_it(self, text: str) -> None:
        assert refused(KA_NOTIFY_URL=text) == (
            f"KA_NOTIFY_URL: cannot be a text of {len(text)} characters; it must be an http:// or https:// URL"
        )

"""Settings and host facts become one description with nothing left to guess."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.contract.errors import ConfigError
from app.host.files import Files
from app.host.machine import Account, Host
from app.plan.model import HttpCheck, Instance, MovingAddress, Plan, ScriptCheck, SyncGroup
from app.plan.peering import Peering
from tests.unit.machine import DAEMON, HOST, LEAST, LOOPBACK, NOBODY, link, plan_of

#: A machine without addresses of its own on any link but the loopback, and without routes.
BARE = replace(HOST, links=(LOOPBACK, link("eth0")), default_links={})


def instances(host: Host = HOST, **environ: str) -> tuple[Instance, ...]:
    """The instances of the least environment and ``environ``."""
    return plan_of({**LEAST, **environ}, host).instances


def addresses(host: Host = HOST, **environ: str) -> list[str]:
    """Its addresses, as keepalived.conf says them."""
    return [str(address) for address in plan_of({**LEAST, **environ}, host).addresses]


def test_the_least() -> None:
    plan = plan_of(LEAST)
    (instance,) = plan.instances
    assert instance == Instance(
        name="main",
        link="eth0",
        ip_version=4,
        version=2,
        vrid=1,
        priority=100,
        priority_reason="KA_PRIORITY",
        starts_as_master=False,
        nopreempt=False,
        preempt_delay=0.0,
        advert_interval=1.0,
        garp_refresh=60,
        auth_pass=None,
        addresses=(MovingAddress(plan.addresses[0].address, 24, "eth0"),),
        routes=(),
        track_interfaces=(),
        peering=Peering(),
        check=None,
    )
    assert (plan.node_name, plan.router_name, plan.sync_groups) == ("node1", "node1", ())
    assert (plan.http_checks, plan.script_checks, plan.peer_names) == ((), (), {})
    assert (plan.run_dir, plan.data_dir) == (Path("/run/ka"), Path("/ka-data"))
    assert (plan.siblings, plan.script_user) == (NOBODY, DAEMON)
    assert plan.warnings == (
        "KA_VRID: is not set, so it is 1; another VRRP group on this network would clash with it",
        "KA_AUTH_PASS: is not set, so the adverts carry no password",
    )


def test_what_is_set_needs_no_warning() -> None:
    assert plan_of({**LEAST, "KA_VRID": "1", "KA_AUTH_PASS": "geheim"}).warnings == ()


def test_a_weight_without_a_check_is_mentioned() -> None:
    environ = {**LEAST, "KA_VRID": "1", "KA_AUTH_PASS": "geheim", "KA_CHECK_WEIGHT": "-10"}
    assert plan_of(environ).warnings == (
        "KA_CHECK_WEIGHT: does nothing without a check; set KA_ENABLE_CHECK, or leave it out",
    )
    assert (
        plan_of(
            {
                **environ,
                "KA_INSTANCES__B__INCLUDE": "203.0.113.20/24",
                "KA_INSTANCES__B__VRID": "2",
                "KA_INSTANCES__B__ENABLE_CHECK": "http://127.0.0.1/",
            }
        ).warnings
        == ()
    )


def test_a_node_that_is_its_only_peer_is_mentioned() -> None:
    environ = {**LEAST, "KA_VRID": "1", "KA_AUTH_PASS": "geheim", "KA_UNICAST_PEERS": "203.0.113.11"}
    assert plan_of(environ).warnings == (
        "KA_UNICAST_PEERS: lists no node but this one, so nobody gets its adverts and every node becomes master",
    )
    assert plan_of({**environ, "KA_UNICAST_PEERS": "203.0.113.11, 203.0.113.12"}).warnings == ()


def test_warnings_of_the_environment_come_first() -> None:
    first, *_ = plan_of({**LEAST, "KA_SERVICE_HOST": "192.0.2.1"}).warnings
    assert first.startswith("KA_SERVICE_HOST: ignored")


class TestLinks:
    """Which link carries the adverts, and which the VIPs."""

    def test_auto_is_the_link_of_the_vips_subnet(self) -> None:
        found = instances(KA_TRACK_IFACE="auto", KA_INCLUDE="198.51.100.10/24")
        assert (found[0].link, str(found[0].addresses[0])) == ("eth1", "198.51.100.10/24 dev eth1")

    def test_also_for_ipv6(self) -> None:
        assert instances(KA_TRACK_IFACE="auto", KA_INCLUDE="2001:db8:1::10/64")[0].link == "eth1"

    def test_of_the_first_vip_that_is_in_one(self) -> None:
        found = instances(KA_TRACK_IFACE="auto", KA_INCLUDE="192.0.2.10/32 198.51.100.10/24 203.0.113.10/24")
        assert found[0].link == "eth1"

    def test_else_the_one_of_the_default_route(self) -> None:
        host = replace(HOST, default_links={4: "eth1"})
        assert instances(host, KA_TRACK_IFACE="auto", KA_INCLUDE="192.0.2.10/32")[0].link == "eth1"

    def test_none_of_both_is_a_problem(self) -> None:
        with pytest.raises(ConfigError, match=r"^KA_TRACK_IFACE: cannot be auto here, no link holds"):
            instances(BARE, KA_TRACK_IFACE="auto", KA_INCLUDE="203.0.113.10/24")

    def test_a_link_by_name_needs_neither(self) -> None:
        assert instances(BARE)[0].link == "eth0"

    def test_the_loopback_carries_vips_but_no_adverts(self) -> None:
        plan = plan_of({**LEAST, "KA_TRACK_IFACE": "lo", "KA_INCLUDE": "203.0.113.10/24"})
        assert (plan.instances[0].link, str(plan.addresses[0])) == ("eth0", "203.0.113.10/24 dev lo")
        assert plan.warnings[0] == "KA_TRACK_IFACE: lo cannot carry VRRP, so the adverts go over eth0"

    def test_the_loopback_needs_another_link(self) -> None:
        with pytest.raises(ConfigError) as caught:
            instances(BARE, KA_TRACK_IFACE="lo", KA_INCLUDE="203.0.113.10/24/lo")
        assert str(caught.value) == (
            "KA_TRACK_IFACE: cannot be lo here, no link holds the VIP's subnet or a default route; "
            "it must be a link that reaches the other nodes"
        )

    def test_auto_is_never_the_loopback(self) -> None:
        host = replace(HOST, links=(link("lo", "203.0.113.1/24", is_loopback=True), *HOST.links[1:]))
        assert instances(host, KA_TRACK_IFACE="auto", KA_INCLUDE="203.0.113.10/24")[0].link == "eth0"

    def test_auto_is_the_narrowest_subnet(self) -> None:
        host = replace(HOST, links=(LOOPBACK, link("eth0", "10.0.0.1/8"), link("eth1", "10.1.2.1/24")))
        assert instances(host, KA_TRACK_IFACE="auto", KA_INCLUDE="10.1.2.10/24")[0].link == "eth1"


class TestVips:
    def test_without_prefix_and_link(self) -> None:
        found = addresses(KA_TRACK_IFACE="eth1", KA_INCLUDE="203.0.113.10 2001:db8::10")
        assert found == ["203.0.113.10/32 dev eth1", "2001:db8::10/128 dev eth1"]

    def test_with_both(self) -> None:
        assert addresses(KA_INCLUDE="203.0.113.10/24/eth1") == ["203.0.113.10/24 dev eth1"]

    def test_excluded_ones_are_not_in_the_adverts(self) -> None:
        found = plan_of({**LEAST, "KA_EXCLUDE": "203.0.113.20/24"}).addresses
        assert [(str(address.address), address.in_adverts) for address in found] == [
            ("203.0.113.10", True),
            ("203.0.113.20", False),
        ]

    def test_the_order_stays(self) -> None:
        vips = ["203.0.113.30/24 dev eth0", "203.0.113.10/24 dev eth0", "203.0.113.20/24 dev eth0"]
        asked = " ".join(vip.replace(" dev ", "/") for vip in vips)
        assert addresses(KA_INCLUDE=asked) == vips


class TestFamilies:
    BOTH = "203.0.113.10/24 2001:db8::10/64"

    def test_ipv6_is_version_3(self) -> None:
        (found,) = instances(KA_INCLUDE="2001:db8::10/64")
        assert (found.name, found.version) == ("main", 3)

    def test_both_live_and_die_together(self) -> None:
        plan = plan_of({**LEAST, "KA_INCLUDE": self.BOTH, "KA_EXCLUDE": "2001:db8::20/64 203.0.113.20/24"})
        assert [(entry.name, entry.version, entry.vrid) for entry in plan.instances] == [
            ("main-ipv4", 2, 1),
            ("main-ipv6", 3, 1),
        ]
        assert plan.sync_groups == (SyncGroup("main", ("main-ipv4", "main-ipv6"), is_weighted=False),)
        for entry, family in zip(plan.instances, (4, 6), strict=True):
            assert {address.address.version for address in entry.addresses} == {family}
            assert [address.in_adverts for address in entry.addresses] == [True, False]

    def test_the_order_of_the_vips_does_not_matter(self) -> None:
        assert [entry.name for entry in instances(KA_INCLUDE="2001:db8::10 203.0.113.10")] == ["main-ipv4", "main-ipv6"]

    def test_a_password_is_for_version_2_alone(self) -> None:
        plan = plan_of({**LEAST, "KA_INCLUDE": self.BOTH, "KA_AUTH_PASS": "geheim", "KA_VRID": "51"})
        assert [entry.auth_pass for entry in plan.instances] == [SecretStr("geheim"), None]
        assert plan.warnings == ("KA_AUTH_PASS: is not used over IPv6, VRRP version 3 has no passwords",)

    def test_version_3_for_both(self) -> None:
        found = instances(KA_INCLUDE=self.BOTH, KA_VRRP_VERSION="3")
        assert [entry.version for entry in found] == [3, 3]


@pytest.mark.parametrize(
    ("interval", "asked", "version"),
    [("1", "auto", 2), ("255", "auto", 2), ("0.5", "auto", 3), ("1.5", "auto", 3), ("1", "3", 3), ("2", "2", 2)],
)
def test_version(interval: str, asked: str, version: int) -> None:
    (found,) = instances(KA_ADVERT_INTERVAL=interval, KA_VRRP_VERSION=asked)
    assert (found.version, found.advert_interval) == (version, float(interval))


def test_all_of_vrrp() -> None:
    plan = plan_of({**LEAST, "KA_MASTER": "yes", "KA_VRID": "51", "KA_AUTH_PASS": "geheim", "KA_ROUTER_NAME": "left"})
    (found,) = plan.instances
    assert (found.starts_as_master, found.vrid, found.auth_pass) == (True, 51, SecretStr("geheim"))
    assert plan.router_name == "left"


class TestChecks:
    def check(self, **environ: str) -> HttpCheck | ScriptCheck | None:
        (instance,) = plan_of({**LEAST, **environ}).instances
        assert isinstance(instance.check, HttpCheck | ScriptCheck | None)
        return instance.check

    def test_urls(self) -> None:
        assert self.check(
            KA_ENABLE_CHECK="http://127.0.0.1/a http://127.0.0.1/b",
            KA_CHECK_INTERVAL="0.5",
            KA_CHECK_TIMEOUT="0.3",
            KA_CHECK_RISE="1",
            KA_CHECK_FALL="4",
            KA_CHECK_STATUS="200-299",
            KA_CHECK_HEADERS="Host: www.example.org; X-Token: a, b",
            KA_CHECK_BODY="^ok$",
        ) == HttpCheck(
            name="http",
            interval=0.5,
            timeout=0.3,
            rise=1,
            fall=4,
            weight=0,
            fast_interval=0.5,
            slow_interval=0.5,
            urls=("http://127.0.0.1/a", "http://127.0.0.1/b"),
            status=((200, 299),),
            headers=(("Host", "www.example.org"), ("X-Token", "a, b")),
            body="^ok$",
            follows=False,
            ca=None,
            is_insecure=False,
            is_instant=True,
        )

    def test_the_time_out_is_the_interval(self) -> None:
        found = self.check(KA_ENABLE_CHECK="http://127.0.0.1/", KA_CHECK_INTERVAL="5")
        assert found is not None
        assert found.timeout == 5

    @pytest.mark.parametrize(("weight", "up", "down"), [(0, 0, 1), (-10, 1, 0), (10, 1, 0)])
    def test_the_verdict_that_keepalived_multiplies(self, weight: int, up: int, down: int) -> None:
        found = self.check(KA_ENABLE_CHECK="http://127.0.0.1/", KA_CHECK_WEIGHT=str(weight))
        assert isinstance(found, HttpCheck)
        assert (found.up, found.down) == (up, down)

    def test_a_script(self, data_dir: Path) -> None:
        found = self.check(KA_OVERRIDE_CHECK="check-service", KA_DATA_DIR=str(data_dir))
        assert found == ScriptCheck("override", 2.0, 2.0, 2, 2, 0, script=data_dir / "scripts" / "check-service")


class TestAccounts:
    KA = Account("ka", 1000, 1000)

    def plan(self, **environ: str) -> Plan:
        host = replace(HOST, accounts={**HOST.accounts, "ka": self.KA})
        return plan_of({**LEAST, **environ}, host)

    def test_the_images_own_comes_first(self) -> None:
        assert (self.plan().siblings, self.plan().script_user) == (self.KA, NOBODY)
        accounts = {**HOST.accounts, "ka": self.KA, "ka-script": Account("ka-script", 991, 991)}
        assert plan_of(LEAST, replace(HOST, accounts=accounts)).script_user.name == "ka-script"

    def test_scripts_are_not_the_siblings(self) -> None:
        """A script of the same account could write the checker's verdict."""
        alone = replace(HOST, accounts={"nobody": NOBODY})
        assert plan_of(LEAST).script_user == DAEMON
        assert plan_of(LEAST, alone).script_user == NOBODY  # there is no other

    def test_the_script_user_changes_the_scripts_alone(self) -> None:
        plan = self.plan(KA_SCRIPT_USER="daemon")
        assert (plan.siblings, plan.script_user) == (self.KA, DAEMON)


class TestSpool:
    @pytest.mark.parametrize(
        ("mebibytes", "urls", "size"),
        [
            (16, "tcp://a:1", "4M"),
            (16, "tcp://a:1,relp://b:2,udp://c:3", "2M"),
            (64, "tcp://a:1", "16M"),
            (1, "tcp://a:1", "256K"),
        ],
    )
    def test_it_takes_a_quarter_of_the_run_directory_at_most(self, mebibytes: int, urls: str, size: str) -> None:
        plan = plan_of({**LEAST, "KA_LOG_FORWARD": urls}, with_room(mebibytes))
        assert str(plan.log.spool_size) == size
        assert any(warning.startswith(f"KA_LOG_SPOOL_SIZE: is {size}") for warning in plan.warnings) is (size != "16M")

    def test_a_directory_of_the_operators_is_his(self) -> None:
        plan = plan_of({**LEAST, "KA_LOG_FORWARD": "tcp://a:1", "KA_LOG_SPOOL": "/var/spool/ka"}, with_room(1))
        assert str(plan.log.spool_size) == "16M"


def with_room(mebibytes: int) -> Host:
    """The machine, with file systems of that size."""

    class Small(Files):
        def size(self, path: Path) -> int:  # noqa: ARG002 - they are all the same
            return mebibytes << 20

    return replace(HOST, files=Small())

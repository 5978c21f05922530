"""``KA_INSTANCES__NAME__FIELD``: what an instance says itself, what it takes from the plain variables, and the names
of variables in what is said against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.settings import load
from app.settings.instance import (
    IN_PLACE_OF,
    INSTANCE_AREAS,
    NOT_INHERITED,
    InstanceSettings,
    environment_of,
    instance_names,
    instance_variable,
    instance_variables,
)
from tests.unit.machine import LEAST, RIGHT, plan_of, problems_of

if TYPE_CHECKING:
    from pathlib import Path

#: One instance of its own name, and nothing else.
WEB = {
    "KA_TRACK_IFACE": "eth0",
    "KA_PRIORITY": "100",
    "KA_INSTANCES__WEB__INCLUDE": "203.0.113.20/24",
    "KA_INSTANCES__WEB__VRID": "52",
}
FIELDS = [name for area in INSTANCE_AREAS for name, _, _ in area.variables()]
VIP_FORM = "ADDRESS[/PREFIX[/LINK]], for example 203.0.113.10/24/eth0"


def instances(**environ: str) -> dict[str, InstanceSettings]:
    """The instances of ``environ``, which must be right, by name."""
    loaded = load(environ)
    assert loaded.problems == ()
    return {found.name: found for found in loaded.settings.instances}


def said(**environ: str) -> list[str]:
    """What is wrong with WEB and ``environ``."""
    return [str(problem) for problem in problems_of({**WEB, **environ})]


class TestNames:
    def test_they_come_from_the_variables(self) -> None:
        names = ("KA_INSTANCES__WEB__VRID", "KA_INSTANCES__A__INCLUDE", "KA_INSTANCES__WEB_2__VRID", "KA_VRID", "PATH")
        assert instance_names(names) == ["a", "web", "web_2"]

    def test_a_file_is_enough(self) -> None:
        assert instance_names(["KA_INSTANCES__WEB__INCLUDE_FILE"]) == ["web"]

    @pytest.mark.parametrize(
        "name", ["KA_INSTANCES__web__VRID", "KA_INSTANCES____VRID", "KA_INSTANCES__WEB", "KA_INSTANCES__WEB__"]
    )
    def test_what_names_none(self, name: str) -> None:
        assert instance_names([name]) == []

    def test_each_field_has_a_variable(self) -> None:
        assert list(instance_variables("web_2")) == [
            f"KA_INSTANCES__WEB_2__{plain.removeprefix('KA_')}" for plain in FIELDS
        ]

    def test_the_plain_variables_alone_are_main(self) -> None:
        assert list(instances(**LEAST)) == ["main"]

    def test_main_comes_first(self) -> None:
        assert list(instances(**LEAST, KA_INSTANCES__A__INCLUDE="203.0.113.20", KA_INSTANCES__A__VRID="2")) == [
            "main",
            "a",
        ]

    def test_without_a_plain_vip_there_is_no_main(self) -> None:
        assert list(instances(**WEB)) == ["web"]

    def test_a_plain_vip_that_cannot_be_read_is_one_all_the_same(self) -> None:
        loaded = load({**WEB, "KA_INCLUDE_FILE": "/nowhere"})
        assert [found.name for found in loaded.settings.instances] == ["main", "web"]
        assert [problem.subject for problem in loaded.problems] == ["KA_INCLUDE_FILE"]


class TestInheritance:
    def test_what_it_does_not_say_it_takes(self) -> None:
        found = instances(**WEB, KA_AUTH_PASS="geheim", KA_ADVERT_INTERVAL="2", KA_CHECK_RISE="7")["web"]
        assert (found.vrrp.advert_interval, found.vrrp.priority, found.checks.check_rise) == (2.0, 100, 7)
        assert found.vrrp.auth_pass is not None
        assert found.own == {"KA_INCLUDE", "KA_VRID"}

    def test_what_it_says_wins(self) -> None:
        found = instances(**WEB, KA_INSTANCES__WEB__PRIORITY="7", KA_INSTANCES__WEB__TRACK_IFACE="eth1")["web"]
        assert (found.vrrp.priority, found.addresses.track_iface) == (7, "eth1")
        assert found.own == {"KA_INCLUDE", "KA_VRID", "KA_PRIORITY", "KA_TRACK_IFACE"}

    def test_what_it_says_is_nobody_elses(self) -> None:
        found = instances(
            **WEB,
            KA_INSTANCES__WEB__PRIORITY="7",
            KA_INSTANCES__MAIL__INCLUDE="203.0.113.30",
            KA_INSTANCES__MAIL__VRID="53",
        )
        assert (found["web"].vrrp.priority, found["mail"].vrrp.priority) == (7, 100)

    def test_an_empty_value_is_not_set(self) -> None:
        found = instances(**WEB, KA_INSTANCES__WEB__PRIORITY="")["web"]
        assert (found.vrrp.priority, "KA_PRIORITY" in found.own) == (100, False)

    def test_addresses_and_routes_are_not_taken(self) -> None:
        found = instances(
            **{**WEB, **LEAST},
            KA_EXCLUDE="203.0.113.11",
            KA_ROUTES="blackhole 192.0.2.0/24",
        )["web"]
        assert [str(vip) for vip in found.addresses.include] == ["203.0.113.20/24"]
        assert (found.addresses.exclude, found.addresses.routes) == ((), ())

    @pytest.mark.parametrize("plain", FIELDS)
    def test_every_field(self, plain: str) -> None:
        own = instance_variable("web", plain)
        theirs = "KA_MASTER" if plain != "KA_MASTER" else "KA_VRID"
        merged, found = environment_of("web", {plain: "plain", theirs: "kept", own: "own"})
        assert (merged[plain], merged[theirs], found) == ("own", "kept", frozenset({plain}))
        merged, found = environment_of("web", {plain: "plain"})
        assert (merged.get(plain), found) == (None if plain in NOT_INHERITED else "plain", frozenset())

    def test_a_check_of_its_own_stands_in_place_of_the_plain_one(self, data_dir: Path) -> None:
        url = {"KA_ENABLE_CHECK": "http://127.0.0.1/"}
        script = {"KA_OVERRIDE_CHECK": "check-service"}
        places = {"KA_DATA_DIR": str(data_dir)}
        found = instances(**WEB, **url, **places, KA_INSTANCES__WEB__OVERRIDE_CHECK="check-service")["web"].checks
        assert (found.enable_check, found.override_check) == ((), "check-service")
        found = instances(**WEB, **script, **places, KA_INSTANCES__WEB__ENABLE_CHECK="http://127.0.0.2/")["web"].checks
        assert (found.enable_check, found.override_check) == (("http://127.0.0.2/",), None)

    def test_a_priority_of_its_own_wins_over_the_plain_ones_by_node(self) -> None:
        by_node = {"KA_PRIORITY_BY_NODE": "node1=200"}
        assert plan_of({**WEB, **by_node}).instances[0].priority == 200
        assert plan_of({**WEB, **by_node, "KA_INSTANCES__WEB__PRIORITY": "7"}).instances[0].priority == 7
        both = {"KA_INSTANCES__WEB__PRIORITY": "7", "KA_INSTANCES__WEB__PRIORITY_BY_NODE": "node1=8"}
        assert plan_of({**WEB, **by_node, **both}).instances[0].priority == 8

    def test_what_stands_in_place_of_another_is_a_field(self) -> None:
        assert {*IN_PLACE_OF, *IN_PLACE_OF.values()} <= set(FIELDS)

    def test_a_password_that_it_took_is_not_used_with_version_3(self) -> None:
        """It could not leave it out: an empty value is not set."""
        environ = {**WEB, "KA_AUTH_PASS": "geheim", "KA_INSTANCES__SIX__INCLUDE": "2001:db8::10"}
        assert [(found.name, found.auth_pass is not None) for found in plan_of(environ).instances] == [
            ("six", False),
            ("web", True),
        ]
        assert "KA_AUTH_PASS: is not used over IPv6, VRRP version 3 has no passwords" in plan_of(environ).warnings

    def test_one_of_its_own_is_refused(self) -> None:
        (sentence,) = said(KA_INSTANCES__WEB__AUTH_PASS="geheim", KA_INSTANCES__WEB__VRRP_VERSION="3")
        assert sentence.startswith("KA_INSTANCES__WEB__AUTH_PASS: cannot be used with VRRP version 3 ")


class TestFiles:
    def test_a_file_of_its_own(self, tmp_path: Path) -> None:
        (tmp_path / "pass").write_text("geheim\n")
        found = instances(**WEB, KA_AUTH_PASS="plain", KA_INSTANCES__WEB__AUTH_PASS_FILE=str(tmp_path / "pass"))["web"]
        assert found.vrrp.auth_pass is not None
        assert found.vrrp.auth_pass.get_secret_value() == "geheim"

    def test_a_plain_file_is_taken(self, tmp_path: Path) -> None:
        (tmp_path / "pass").write_text("geheim\n")
        found = instances(**WEB, KA_AUTH_PASS_FILE=str(tmp_path / "pass"))["web"]
        assert found.vrrp.auth_pass is not None
        assert found.vrrp.auth_pass.get_secret_value() == "geheim"

    def test_both_are_too_many(self) -> None:
        assert said(KA_INSTANCES__WEB__AUTH_PASS="geheim", KA_INSTANCES__WEB__AUTH_PASS_FILE="/nowhere") == [
            "KA_INSTANCES__WEB__AUTH_PASS: cannot be set together with KA_INSTANCES__WEB__AUTH_PASS_FILE; "
            "leave one of them out"
        ]

    def test_what_cannot_be_read_is_not_missing_besides(self) -> None:
        assert said(KA_INSTANCES__WEB__INCLUDE="", KA_INSTANCES__WEB__INCLUDE_FILE="/nowhere") == [
            "KA_INSTANCES__WEB__INCLUDE_FILE: cannot read /nowhere: No such file or directory; "
            "it must be a file that can be read"
        ]


class TestMessages:
    """Each names the variable that the operator wrote, or has to write."""

    def test_a_value_of_its_own(self) -> None:
        assert said(KA_INSTANCES__WEB__PRIORITY="0") == [
            "KA_INSTANCES__WEB__PRIORITY: cannot be 0; it must be 1–255 or auto"
        ]

    def test_a_value_that_it_took_is_reported_once(self) -> None:
        more = {"KA_INSTANCES__MAIL__INCLUDE": "203.0.113.30", "KA_INSTANCES__MAIL__VRID": "53"}
        assert said(KA_PRIORITY="0", **more) == ["KA_PRIORITY: cannot be 0; it must be 1–255 or auto"]

    def test_a_rule_about_what_it_took(self) -> None:
        assert said(KA_TRACK_IFACE="eth9") == [
            "KA_TRACK_IFACE: cannot be eth9; this machine's links are lo, eth0, eth1"
        ]

    def test_a_rule_about_its_own(self) -> None:
        assert said(KA_INSTANCES__WEB__TRACK_IFACE="eth9") == [
            "KA_INSTANCES__WEB__TRACK_IFACE: cannot be eth9; this machine's links are lo, eth0, eth1"
        ]

    def test_both_in_one_sentence(self) -> None:
        assert said(KA_NOPREEMPT="true", KA_INSTANCES__WEB__MASTER="true") == [
            "KA_INSTANCES__WEB__MASTER: cannot be true with KA_NOPREEMPT true, nopreempt needs the initial state "
            "BACKUP; leave one of them out"
        ]

    def test_a_vip_is_never_taken(self) -> None:
        assert said(KA_INSTANCES__MAIL__VRID="53") == [
            f"KA_INSTANCES__MAIL__INCLUDE: is not set; it must be {VIP_FORM}"
        ]

    def test_what_nobody_says_is_asked_for_by_its_plain_name(self) -> None:
        assert said(KA_TRACK_IFACE="") == ["KA_TRACK_IFACE: is not set; it must be a link name such as eth0 or auto"]

    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("KA_INSTANCES__WEB__PRIORTY", "KA_INSTANCES__WEB__PRIORITY"),
            ("KA_INSTANCES__WEB__AUTHPASS", "KA_INSTANCES__WEB__AUTH_PASS"),
            ("KA_INSTANCES__WEB__AUTHPASS_FILE", "KA_INSTANCES__WEB__AUTH_PASS_FILE"),
            ("KA_INSTANCE__WEB__PRIORITY", "KA_INSTANCES__WEB__PRIORITY"),
        ],
    )
    def test_a_misspelt_field(self, name: str, near: str) -> None:
        assert said(**{name: "1"}) == [f"{name}: is not a known variable; did you mean {near}?"]

    @pytest.mark.parametrize("field", ["RUN_DIR", "LOG_LEVEL", "NOTIFY", "NODE_NAME"])
    def test_what_is_the_nodes_is_no_instances(self, field: str) -> None:
        (sentence,) = said(**{f"KA_INSTANCES__WEB__{field}": RIGHT[f"KA_{field}"]})
        assert sentence.startswith(f"KA_INSTANCES__WEB__{field}: is not a known variable; ")

    @pytest.mark.parametrize("name", ["KA_INSTANCES__MAIN__VRID", "KA_INSTANCES__mail__VRID"])
    def test_what_is_no_instance(self, name: str) -> None:
        (sentence,) = said(**{name: "9"})
        assert sentence.startswith(f"{name}: is not a known variable; ")


class TestVrids:
    def more(self, **mail: str) -> list[str]:
        """What is said of a second instance with these fields."""
        named = {f"KA_INSTANCES__MAIL__{field}": text for field, text in mail.items()}
        # By name mail comes first: web is the one that clashes.
        return said(**named)

    def test_a_clash(self) -> None:
        assert self.more(INCLUDE="203.0.113.30", VRID="52") == [
            "KA_INSTANCES__WEB__VRID: cannot be 52, which instance mail has on the same link; "
            "each instance must have a VRID of its own"
        ]

    def test_of_what_is_not_set(self) -> None:
        assert said(
            KA_INSTANCES__WEB__VRID="",
            KA_INSTANCES__MAIL__INCLUDE="203.0.113.30",
        ) == [
            "KA_INSTANCES__WEB__VRID: cannot be 1, which instance mail has on the same link; "
            "each instance must have a VRID of its own"
        ]

    def test_of_what_both_took(self) -> None:
        (sentence,) = said(
            KA_VRID="9",
            KA_INSTANCES__WEB__VRID="",
            KA_INSTANCES__MAIL__INCLUDE="203.0.113.30",
        )
        assert sentence.startswith("KA_INSTANCES__WEB__VRID: cannot be 9, which instance mail has on the same link; ")

    def test_with_main(self) -> None:
        assert said(KA_INCLUDE="203.0.113.10", KA_VRID="52") == [
            "KA_INSTANCES__WEB__VRID: cannot be 52, which instance main has on the same link; "
            "each instance must have a VRID of its own"
        ]

    def test_of_one_family_of_two(self) -> None:
        (sentence,) = self.more(INCLUDE="2001:db8::30 203.0.113.30", VRID="52")
        assert sentence.startswith("KA_INSTANCES__WEB__VRID: cannot be 52, ")

    def test_another_link_has_numbers_of_its_own(self) -> None:
        assert self.more(INCLUDE="198.51.100.30", VRID="52", TRACK_IFACE="eth1") == []

    def test_so_has_another_family(self) -> None:
        assert self.more(INCLUDE="2001:db8::30", VRID="52") == []

    def test_auto_is_the_same_link_when_it_comes_to_that(self) -> None:
        (sentence,) = self.more(INCLUDE="203.0.113.30/24", VRID="52", TRACK_IFACE="auto")
        assert sentence.startswith("KA_INSTANCES__WEB__VRID: cannot be 52, ")

    def test_no_vip_is_anybody_elses(self) -> None:
        assert self.more(INCLUDE="203.0.113.20", VRID="53") == [
            "KA_INSTANCES__WEB__INCLUDE: cannot name 203.0.113.20 again; each VIP must be named once"
        ]


def test_many() -> None:
    """64 instances with 8 VIPs each: one check for all of them, and no two things of one name."""
    environ = {"KA_TRACK_IFACE": "eth0", "KA_PRIORITY": "254", "KA_ENABLE_CHECK": "http://127.0.0.1/"}
    for number in range(64):
        vips = " ".join(f"198.18.{number}.{host}/24" for host in range(1, 9))
        environ |= {f"KA_INSTANCES__N{number}__INCLUDE": vips, f"KA_INSTANCES__N{number}__VRID": str(number + 1)}
    plan = plan_of(environ)
    assert len({found.name for found in plan.instances}) == 64
    assert len({found.vrid for found in plan.instances}) == 64
    assert len({address.address for address in plan.addresses}) == 512
    assert [check.name for check in plan.http_checks] == ["http"]

"""Rules that tie settings together: each as it is broken, and next to it what is just right."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.host.addresses import Held
from app.plan.instance_rules import INSTANCE_RULES
from app.plan.node_rules import NODE_RULES
from app.render import render
from app.settings import load
from tests.unit.machine import HOST, LEAST, plan_of, problems_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.host.machine import Host


class TestOwnAddresses:
    """A VIP that this machine has as its own; what tells one is in tests/unit/host/test_machine.py."""

    OWN = Held(ip_address("203.0.113.10"), 24, "eth0", is_configured=True)

    @pytest.mark.parametrize(
        "environ",
        [
            {},
            {"KA_TRACK_IFACE": "auto"},
            {"KA_TRACK_IFACE": "eth1", "KA_INCLUDE": "203.0.113.10/24/eth0"},
            {"KA_TRACK_IFACE": "lo", "KA_INCLUDE": "203.0.113.10/32"},
        ],
    )
    def test_is_refused_wherever_this_node_may_put_it(self, environ: dict[str, str]) -> None:
        assert said(on=replace(HOST, moving=(self.OWN,)), **environ) == [
            "KA_INCLUDE: cannot be 203.0.113.10, which is this machine's own address on eth0; "
            "it must be one that no machine has as its own"
        ]

    @pytest.mark.parametrize(
        "held", [replace(OWN, link="eth1"), replace(OWN, is_marked=True), replace(OWN, is_configured=False)]
    )
    def test_others_are_not(self, held: Held) -> None:
        assert said(on=replace(HOST, moving=(held,))) == []


LINKS = "this machine's links are lo, eth0, eth1"


def said(*, on: Host | None = None, **environ: str) -> list[str]:
    """What is wrong with the least environment and ``environ``."""
    return [str(problem) for problem in problems_of({**LEAST, **environ}, on or HOST)]


def of(environ: Mapping[str, str]) -> list[str]:
    """The same of a mapping."""
    return [str(problem) for problem in problems_of({**LEAST, **environ})]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"KA_TRACK_IFACE": "auto"},
        {"KA_TRACK_IFACE": "lo"},
        {"KA_INCLUDE": "203.0.113.10/24/eth1"},
        {"KA_INCLUDE": "203.0.113.10/24/lo"},
        {"KA_INCLUDE": "203.0.113.10 203.0.113.11"},
        {"KA_EXCLUDE": "203.0.113.20"},
        {"KA_INCLUDE": "203.0.113.10 2001:db8::10", "KA_EXCLUDE": "2001:db8::20"},
        {"KA_VRRP_VERSION": "2"},
        {"KA_INCLUDE": "2001:db8::10", "KA_VRRP_VERSION": "3"},
        {"KA_ADVERT_INTERVAL": "2", "KA_VRRP_VERSION": "2"},
        {"KA_ADVERT_INTERVAL": "255"},
        {"KA_ADVERT_INTERVAL": "40.95", "KA_VRRP_VERSION": "3"},
        {"KA_ADVERT_INTERVAL": "40", "KA_INCLUDE": "2001:db8::10"},
        {"KA_AUTH_PASS": "geheim"},
        {"KA_AUTH_PASS": "geheim", "KA_INCLUDE": "203.0.113.10 2001:db8::10"},
        {"KA_PRIORITY": "255", "KA_CHECK_WEIGHT": "0"},
        {"KA_PRIORITY": "254", "KA_CHECK_WEIGHT": "-10"},
        {"KA_ENABLE_CHECK": "http://127.0.0.1/"},
        {"KA_SCRIPT_USER": "root"},
    ],
)
def test_just_right(environ: dict[str, str]) -> None:
    assert of(environ) == []


@pytest.mark.parametrize(
    ("environ", "sentences"),
    [
        pytest.param({"KA_TRACK_IFACE": "eth9"}, [f"KA_TRACK_IFACE: cannot be eth9; {LINKS}"], id="no such link"),
        pytest.param(
            {"KA_INCLUDE": ","},
            ["KA_INCLUDE: cannot be ,; it must be ADDRESS[/PREFIX[/LINK]], for example 203.0.113.10/24/eth0"],
            id="a list without a VIP",
        ),
        pytest.param(
            {"KA_INCLUDE": "203.0.113.10/24 203.0.113.10/32/eth1"},
            ["KA_INCLUDE: cannot name 203.0.113.10 again; each VIP must be named once"],
            id="a VIP twice",
        ),
        pytest.param(
            {"KA_EXCLUDE": "203.0.113.10"},
            ["KA_EXCLUDE: cannot name 203.0.113.10 again; each VIP must be named once"],
            id="a VIP in and out of the adverts",
        ),
        pytest.param(
            {"KA_INCLUDE": "2001:db8::10", "KA_EXCLUDE": "2001:db8:0::10"},
            ["KA_EXCLUDE: cannot name 2001:db8::10 again; each VIP must be named once"],
            id="a VIP twice in other words",
        ),
        pytest.param(
            {"KA_EXCLUDE": "2001:db8::20"},
            ["KA_EXCLUDE: cannot be 2001:db8::20; KA_INCLUDE must name a VIP of IPv6 for it to move with"],
            id="an excluded VIP of another family",
        ),
        pytest.param(
            {"KA_INCLUDE": "203.0.113.10/24/eth8 203.0.113.20/24/eth9"},
            [
                f"KA_INCLUDE: cannot put 203.0.113.10 on eth8; {LINKS}",
                f"KA_INCLUDE: cannot put 203.0.113.20 on eth9; {LINKS}",
            ],
            id="VIPs on links that are not there",
        ),
        pytest.param(
            {"KA_INCLUDE": "2001:db8::10", "KA_VRRP_VERSION": "2"},
            ["KA_VRRP_VERSION: cannot be 2 with the IPv6 VIP 2001:db8::10; it must be 3 or auto"],
            id="IPv6 in version 2",
        ),
        pytest.param(
            {"KA_ADVERT_INTERVAL": "1.5", "KA_VRRP_VERSION": "2"},
            ["KA_ADVERT_INTERVAL: cannot be 1.5 with VRRP version 2; it must be 1–255 whole seconds, or version 3"],
            id="a fraction in version 2",
        ),
        pytest.param(
            {"KA_ADVERT_INTERVAL": "41", "KA_VRRP_VERSION": "3"},
            ["KA_ADVERT_INTERVAL: cannot be 41 with VRRP version 3; it must be 0.01–40.95 seconds"],
            id="too long for version 3",
        ),
        pytest.param(
            {"KA_ADVERT_INTERVAL": "40.96"},
            ["KA_ADVERT_INTERVAL: cannot be 40.96 with VRRP version 3; it must be 0.01–40.95 seconds"],
            id="too long, and a fraction",
        ),
        pytest.param(
            {"KA_ADVERT_INTERVAL": "41", "KA_INCLUDE": "203.0.113.10 2001:db8::10"},
            ["KA_ADVERT_INTERVAL: cannot be 41 with VRRP version 3; it must be 0.01–40.95 seconds"],
            id="too long for one of two families",
        ),
        pytest.param(
            {"KA_AUTH_PASS": "geheim", "KA_INCLUDE": "2001:db8::10"},
            ["KA_AUTH_PASS: cannot be used with VRRP version 3 (IPv6), which has no passwords; leave it out"],
            id="a password for IPv6",
        ),
        pytest.param(
            {"KA_AUTH_PASS": "geheim", "KA_ADVERT_INTERVAL": "0.1"},
            [
                "KA_AUTH_PASS: cannot be used with VRRP version 3 (KA_VRRP_VERSION or KA_ADVERT_INTERVAL asks for it), "
                "which has no passwords; leave it out"
            ],
            id="a password with short adverts",
        ),
        pytest.param(
            {"KA_PRIORITY": "255", "KA_CHECK_WEIGHT": "-10"},
            [
                "KA_CHECK_WEIGHT: cannot be -10 with KA_PRIORITY 255, which nothing changes; "
                "it must be 0, or the priority at most 254"
            ],
            id="a weight for the address owner",
        ),
        pytest.param(
            {"KA_SCRIPT_USER": "mallory"},
            ["KA_SCRIPT_USER: cannot be mallory; it must be an account that exists here, such as nobody"],
            id="an account that is not there",
        ),
    ],
)
def test_broken(environ: dict[str, str], sentences: list[str]) -> None:
    assert of(environ) == sentences


def test_a_machine_without_the_accounts() -> None:
    host = replace(HOST, accounts={"root": HOST.accounts["root"]})
    assert said(on=host) == ["/etc/passwd: has no account ka or nobody; it must have one of them"]


def test_two_rules_of_one_environment_both_speak() -> None:
    assert len(said(KA_TRACK_IFACE="eth9", KA_PRIORITY="255", KA_CHECK_WEIGHT="1")) == 2


@pytest.mark.parametrize("rule", [*INSTANCE_RULES, *NODE_RULES], ids=lambda rule: rule.__name__.strip("_"))
def test_no_rule_stumbles_over_a_setting_that_is_wrong(rule: object) -> None:
    everything_wrong = dict.fromkeys(
        ("KA_TRACK_IFACE", "KA_INCLUDE", "KA_EXCLUDE", "KA_PRIORITY"), "?"
    ) | dict.fromkeys(
        ("KA_VRRP_VERSION", "KA_ADVERT_INTERVAL", "KA_AUTH_PASS", "KA_CHECK_WEIGHT", "KA_ENABLE_CHECK"), "? ?"
    )
    loaded = load(everything_wrong)
    assert {problem.subject for problem in loaded.problems} == set(everything_wrong)
    assert {problem.subject for problem in problems_of(everything_wrong)} == set(everything_wrong)


def test_a_directory_too_long_for_any_file() -> None:
    place = "/" + "x" * 300
    assert said(KA_OVERRIDE_CHECK="check", KA_DATA_DIR=place) == [
        f"KA_OVERRIDE_CHECK: cannot be check: File name too long; it must be a file in {place}/scripts that can be run",
        f"{place}/conf.d: cannot be read: File name too long; it must be a directory that root can read",
        f"{place}/templates: cannot be read: File name too long; it must be a directory that root can read",
    ]


def test_a_name_too_long_for_any_file(data_dir: Path) -> None:
    name = "x" * 300
    assert said(KA_OVERRIDE_CHECK=name, KA_DATA_DIR=str(data_dir)) == [
        f"KA_OVERRIDE_CHECK: cannot be {name}: File name too long; "
        f"it must be a file in {data_dir}/scripts that can be run"
    ]


def test_a_directory_that_root_itself_may_not_enter(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object, **_: object) -> os.stat_result:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    # The container has no DAC_OVERRIDE, which these tests' root has.
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refuse)
        patch.setattr(os, "scandir", refuse)
        sentences = said(KA_OVERRIDE_CHECK="check-service", KA_DATA_DIR=str(data_dir))
    assert sentences == [
        "KA_OVERRIDE_CHECK: cannot be check-service: Permission denied; "
        f"it must be a file in {data_dir}/scripts that can be run",
        f"{data_dir}/conf.d: cannot be read: Permission denied; it must be a directory that root can read",
        f"{data_dir}/templates: cannot be read: Permission denied; it must be a directory that root can read",
    ]


def test_a_directory_is_no_script(data_dir: Path) -> None:
    (data_dir / "scripts" / "check-more").mkdir()
    assert said(KA_OVERRIDE_CHECK="check-more", KA_DATA_DIR=str(data_dir)) == [
        "KA_OVERRIDE_CHECK: cannot be check-more: it is no regular file; "
        f"it must be a file in {data_dir}/scripts that can be run"
    ]


def test_a_name_too_long_for_a_ca_file() -> None:
    path = "/" + "x" * 300
    assert said(KA_CHECK_CA_FILE=path) == [
        f"KA_CHECK_CA_FILE: cannot be {path}: File name too long; it must be a file that can be read"
    ]
    assert said(KA_CHECK_CA_FILE="/nowhere") == [
        "KA_CHECK_CA_FILE: cannot be /nowhere: No such file or directory; it must be a file that can be read"
    ]


def test_a_ca_file_without_certificates(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("no certificate\n")
    assert said(KA_CHECK_CA_FILE=str(path)) == [
        f"KA_CHECK_CA_FILE: cannot be {path}: it holds no certificate; "
        "it must be certificates in PEM form that root can read"
    ]


def test_a_ca_file_that_changes_is_a_change(tmp_path: Path) -> None:
    system = Path("/etc/ssl/certs/ca-certificates.crt").read_text(encoding="ascii")
    first, second = (part + "-----END CERTIFICATE-----\n" for part in system.split("-----END CERTIFICATE-----\n")[:2])
    path = tmp_path / "ca.pem"
    checkers: set[str] = set()
    bundles: dict[str, str] = {}
    for text in (first, second):
        path.write_text(text)
        environ = {**LEAST, "KA_ENABLE_CHECK": "https://127.0.0.1/", "KA_CHECK_CA_FILE": str(path)}
        files = {file.path: file for file in render(plan_of(environ), show_secrets=True)}
        checkers.add(files["http-checker.json"].text)
        bundles |= {name: file.text for name, file in files.items() if name.startswith("ca/")}
    assert len(checkers) == 2
    assert sorted(bundles.values()) == sorted((first, second))

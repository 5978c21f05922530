"""What each kind of value may be written as."""

from __future__ import annotations

import ipaddress
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr, ValidationError

from app.contract.log_config import Levels
from app.settings import AREAS, Settings, load
from app.settings.addresses import Vip, parse_vip
from app.settings.area import NotUsableError
from app.settings.checks import TARGET_FORM
from app.settings.text import (
    FALSE_WORDS,
    LONGEST_SHOWN,
    TRUE_WORDS,
    Text,
    TextList,
    boolean,
    choice,
    integer,
    matching,
    or_auto,
    seconds,
    shown,
)
from tests.unit.machine import LEAST

if TYPE_CHECKING:
    from app.settings.instance import InstanceSettings


TEXTS: dict[str, Text[Any]] = {name: text for area in AREAS for name, _, text in area.variables()}


def settings(**environ: str) -> InstanceSettings:
    """The settings of the least environment and ``environ``, which must be right."""
    loaded = load({**LEAST, **environ})
    assert loaded.problems == ()
    return loaded.settings.instances[0]


def everything(**environ: str) -> Settings:
    """The same with what is not an instance's own."""
    loaded = load({**LEAST, **environ})
    assert loaded.problems == ()
    return loaded.settings


def refused(**environ: str) -> str:
    """The one sentence against ``environ``."""
    (problem,) = load({**LEAST, **environ}).problems
    return str(problem)


@pytest.mark.parametrize("word", [*TRUE_WORDS, "TRUE", "Yes", "oN"])
def test_yes(word: str) -> None:
    assert settings(KA_MASTER=word).vrrp.master is True


@pytest.mark.parametrize("word", [*FALSE_WORDS, "FALSE", "No", "oFF"])
def test_no(word: str) -> None:
    assert settings(KA_MASTER=word).vrrp.master is False


@pytest.mark.parametrize("word", ["2", "y", "maybe", "true false", "ｔｒｕｅ"])
def test_neither(word: str) -> None:
    assert refused(KA_MASTER=word) == f"KA_MASTER: cannot be {word}; it must be true or false"


@pytest.mark.parametrize(
    "text", ["0", "256", "-1", "−1", "1−", "1.0", "1e2", "0x10", "١", "1 2", "9" * 40, "+-1", "1_0"]
)
def test_no_number(text: str) -> None:
    assert refused(KA_PRIORITY=text) == f"KA_PRIORITY: cannot be {text}; it must be 1–255 or auto"


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("255", 255), ("+7", 7), ("007", 7)])
def test_number(text: str, number: int) -> None:
    assert settings(KA_PRIORITY=text).vrrp.priority == number


@pytest.mark.parametrize(("text", "number"), [("-253", -253), ("253", 253), ("-0", 0), ("+5", 5), ("−10", -10)])
def test_number_with_a_sign(text: str, number: int) -> None:
    assert settings(KA_CHECK_WEIGHT=text).checks.check_weight == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("0.01", 0.01), ("1", 1.0), ("1.0", 1.0), ("40.95", 40.95), (".5", 0.5), ("255", 255.0), ("5e-1", 0.5)],
)
def test_seconds(text: str, number: float) -> None:
    assert settings(KA_ADVERT_INTERVAL=text).vrrp.advert_interval == number


@pytest.mark.parametrize(
    "text", ["0", "0.009", "0.015", "255.01", "1e9", "nan", "sNaN", "inf", "-1", "1s", "1,5", "1" * 50, "1e-999999"]
)
def test_no_seconds(text: str) -> None:
    assert refused(KA_ADVERT_INTERVAL=text).startswith(f"KA_ADVERT_INTERVAL: cannot be {text}; it must be 0.01–255 ")


@pytest.mark.parametrize(
    ("text", "vip"),
    [
        ("203.0.113.10", Vip(ipaddress.ip_address("203.0.113.10"))),
        ("203.0.113.10/24", Vip(ipaddress.ip_address("203.0.113.10"), 24)),
        ("203.0.113.10/24/eth0", Vip(ipaddress.ip_address("203.0.113.10"), 24, "eth0")),
        ("203.0.113.10/1", Vip(ipaddress.ip_address("203.0.113.10"), 1)),
        ("203.0.113.10/32/bond0.7", Vip(ipaddress.ip_address("203.0.113.10"), 32, "bond0.7")),
        ("2001:db8::10", Vip(ipaddress.ip_address("2001:db8::10"))),
        ("2001:DB8:0:0::10/64", Vip(ipaddress.ip_address("2001:db8::10"), 64)),
        ("2001:db8::10/128/eth0", Vip(ipaddress.ip_address("2001:db8::10"), 128, "eth0")),
        ("fe80::1/64", Vip(ipaddress.ip_address("fe80::1"), 64)),
    ],
)
def test_vip(text: str, vip: Vip) -> None:
    assert parse_vip(text) == vip
    assert parse_vip(str(vip)) == vip


@pytest.mark.parametrize(
    "text",
    [
        "203.0.113",
        "203.0.113.010",
        "203.0.113.10/",
        "203.0.113.10/0",
        "203.0.113.10/+24",
        "203.0.113.10/24/",
        "203.0.113.10/24/eth0/",
        "203.0.113.10/24/a-name-of-16-chr",
        "203.0.113.10/24/eth{0}",
        "203.0.113.10/255.255.255.0",
        "eth0/203.0.113.10",
        "fe80::1%eth0",
        "2001:db8::g",
        "224.0.0.18",
        "ff02::12",
        "0.0.0.0",
        "::",
        "127.0.0.1",
        "::1",
        "",
    ],
)
def test_no_vip(text: str) -> None:
    with pytest.raises(ValueError, match=r"^ADDRESS\[/PREFIX\[/LINK\]\]"):
        parse_vip(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("203.0.113.0/24", "203.0.113.0 is that of the whole network 203.0.113.0/24"),
        ("203.0.113.255/24/eth0", "203.0.113.255 is the broadcast address of 203.0.113.0/24"),
        ("203.0.113.131/30", "203.0.113.131 is the broadcast address of 203.0.113.128/30"),
        ("2001:db8::/64", "2001:db8:: is that of the whole network 2001:db8::/64"),
    ],
)
def test_a_network_is_no_vip(text: str, why: str) -> None:
    assert refused(KA_INCLUDE=text) == f"KA_INCLUDE: cannot be {text}; it must be a host's address, and {why}"


@pytest.mark.parametrize(
    "text", ["203.0.113.0/31", "203.0.113.1/31", "203.0.113.255/32", "203.0.113.0", "2001:db8::/127"]
)
def test_a_pair_has_no_address_of_its_own(text: str) -> None:
    assert str(parse_vip(text)) == text


@pytest.mark.parametrize("separator", [",", " ", ", ", "\n", " ,\n\t", ",,"])
def test_lists(separator: str) -> None:
    urls = ("http://127.0.0.1/a", "http://127.0.0.1/b", "https://[2001:db8::1]:8443/c?d=e")
    assert settings(KA_ENABLE_CHECK=f"{separator}{separator.join(urls)}{separator}").checks.enable_check == urls


def test_a_list_names_the_item_that_is_wrong() -> None:
    sentence = refused(KA_INCLUDE="203.0.113.10/24, 203.0.113.11/99, 203.0.113.12/24")
    assert sentence.startswith("KA_INCLUDE: cannot be 203.0.113.11/99; ")


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("200", ((200, 200),)),
        ("200-299", ((200, 299),)),
        ("200,204 301-302", ((200, 200), (204, 204), (301, 302))),
        ("100-599", ((100, 599),)),
    ],
)
def test_status_codes(text: str, codes: tuple[tuple[int, int], ...]) -> None:
    assert settings(KA_CHECK_STATUS=text).checks.check_status == codes


@pytest.mark.parametrize("text", ["20", "600", "099", "299-200", "200-", "2xx", "200–299"])
def test_no_status_codes(text: str) -> None:
    assert refused(KA_CHECK_STATUS=text) == (
        f"KA_CHECK_STATUS: cannot be {text}; it must be HTTP status codes such as 200 or 200-299,301"
    )


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if isinstance(text, TextList)])
@pytest.mark.parametrize("nothing", [",", ";", ", ,", ";;"])
def test_a_list_of_nothing_says_so(name: str, nothing: str) -> None:
    """A check without any status that is healthy could never pass."""
    assert refused(**{name: nothing}).startswith(f"{name}: cannot be ")


def test_a_list_of_nothing_names_what_would_be_right() -> None:
    assert refused(KA_CHECK_STATUS=",") == (
        "KA_CHECK_STATUS: cannot be ,; it must be HTTP status codes such as 200 or 200-299,301"
    )


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "ftp://127.0.0.1/", "http://", "http:///path", "http://h:0/", "http://h:65536/", "http://[::1/"],
)
def test_no_url(text: str) -> None:
    assert refused(KA_ENABLE_CHECK=text) == f"KA_ENABLE_CHECK: cannot be {text}; it must be {TARGET_FORM}"


@pytest.mark.parametrize(
    "text", ["http://h/{x}", 'http://h/"', "http://h/<>", "http://h/\\", "http://h/a|b", "http://h/^"]
)
def test_no_url_for_the_checker(text: str) -> None:
    assert refused(KA_ENABLE_CHECK=text).startswith(f"KA_ENABLE_CHECK: cannot be {text}; it must be ")


@pytest.mark.parametrize("text", ["geheim", "a", "12345678", "a#b![c]$", "!~", "`;&|<>()"])
def test_auth_pass(text: str) -> None:
    found = settings(KA_AUTH_PASS=text).vrrp.auth_pass
    assert found == SecretStr(text)
    assert "q7Zk" not in repr(settings(KA_AUTH_PASS="q7Zk"))


@pytest.mark.parametrize(
    "text", ["123456789", "a b", 'a"b', "a'b", "a\\b", "é", "a\tb", "a\x7fb", "{", "a}", "{}", "a#b!{c}$"]
)
def test_no_auth_pass(text: str) -> None:
    sentence = refused(KA_AUTH_PASS=text)
    assert sentence == (
        f"KA_AUTH_PASS: cannot be a text of {len(text)} characters; it must be 1–8 printable ASCII characters "
        "without spaces, quotes, backslashes and braces"
    )


@pytest.mark.parametrize("text", ["a-name_of.10:00@x", "A", "x" * 64])
def test_router_name(text: str) -> None:
    assert everything(KA_ROUTER_NAME=text).node.router_name == text


@pytest.mark.parametrize("text", ["x" * 65, "a b", 'a"b', "a{", "ä", "a#b"])
def test_no_router_name(text: str) -> None:
    assert refused(KA_ROUTER_NAME=text).startswith("KA_ROUTER_NAME: cannot be ")


@pytest.mark.parametrize("text", ["run", "/run/../etc", "/", "//run", "/run ka", "/run/ka;", "/run/ä", "~/ka"])
def test_no_directory(text: str) -> None:
    assert refused(KA_RUN_DIR=text) == (
        f"KA_RUN_DIR: cannot be {text}; it must be an absolute path, of letters, digits and _.+-/"
    )


def test_words_are_read_in_any_case() -> None:
    logs = everything(KA_LOG_FORMAT="JSON", KA_LOG_LEVEL="Debug").logs
    assert (logs.log_format, logs.log_level) == ("json", Levels("debug"))
    found = settings(KA_VRRP_VERSION="AUTO", KA_TRACK_IFACE="Auto")
    assert (found.vrrp.vrrp_version, found.addresses.track_iface) == ("auto", "auto")


def test_what_is_not_set_has_its_default() -> None:
    found = settings()
    assert (found.vrrp.master, found.vrrp.vrid, found.vrrp.auth_pass, found.vrrp.advert_interval) == (
        False,
        None,
        None,
        1.0,
    )
    assert (found.checks.check_interval, found.checks.check_timeout, found.checks.check_status) == (
        2.0,
        None,
        ((200, 200),),
    )
    assert str(everything().places.run_dir) == "/run/ka"


def test_settings_are_frozen() -> None:
    found = settings()
    with pytest.raises(ValidationError):
        setattr(found.vrrp, "priority", 1)  # noqa: B010 - mypy knows as well that it is frozen
    with pytest.raises(FrozenInstanceError):
        setattr(found, "vrrp", found.vrrp)  # noqa: B010


def test_a_wrong_setting_does_not_pass_for_its_default() -> None:
    loaded = load({**LEAST, "KA_CHECK_INTERVAL": "never", "KA_CHECK_RISE": "3"})
    assert loaded.settings.instances[0].checks.check_rise == 3
    with pytest.raises(NotUsableError, match="check_interval"):
        _ = loaded.settings.instances[0].checks.check_interval


class TestShown:
    def test_short(self) -> None:
        assert shown("eth0") == "eth0"

    def test_control_characters(self) -> None:
        assert shown("a\nb\tc\x1b[31m\udcff\u2028") == "a\\nb\\tc\\x1b[31m\\udcff\\u2028"

    def test_long(self) -> None:
        assert shown("x" * 1000) == "x" * LONGEST_SHOWN + "…"


@pytest.mark.parametrize(
    ("text", "accepts"),
    [
        (integer(1, 255), "1–255"),
        (integer(-253, 253), "−253–253"),
        (integer(1, 9, unit=" pieces"), "1–9 pieces"),
        (boolean(), "true or false"),
        (choice("text", "json"), "text or json"),
        (choice("a", "b", "c"), "one of a, b, c"),
        (or_auto(integer(1, 255)), "1–255 or auto"),
        (matching("a+", "some a"), "some a"),
        (TextList("some numbers", int), "some numbers"),
    ],
)
def test_the_words_for_what_is_accepted(text: Text[Any], accepts: str) -> None:
    assert text.accepts == accepts


def test_seconds_say_their_grain() -> None:
    assert seconds("0.01", "255").accepts.startswith("0.01–255 seconds")

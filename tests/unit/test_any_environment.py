"""No environment, however it is written, ends in a traceback or gets a line of its own into a rendered file."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from app.contract.checker_config import CheckerConfig
from app.contract.errors import ConfigError
from app.contract.json_file import from_json
from app.lifecycle.check import dry_run
from app.plan.summary import summary
from app.render import render
from app.settings import known_variables
from tests.unit.grammar import foreign_lines, is_balanced
from tests.unit.machine import ALONE, LEAST, NODES, RIGHT, plan_of, problems_of

if TYPE_CHECKING:
    from tests.unit.conftest import Network

#: Several values of each kind that are right on their own, so that many environments are.
MORE = {
    "KA_TRACK_IFACE": ("eth1", "auto", "lo"),
    "KA_INCLUDE": ("2001:db8::10/64", "203.0.113.10 2001:db8::10", "198.51.100.10/24/eth1,203.0.113.10"),
    "KA_EXCLUDE": ("2001:db8::20", "203.0.113.20/24/lo"),
    "KA_ROUTES": ("blackhole 192.0.2.0/24; default via 203.0.113.1 dev eth0 src 203.0.113.10", "::/0 via 2001:db8::1"),
    "KA_TRACK_INTERFACES": ("eth0,eth1",),
    "KA_UNICAST_PEERS": (
        "203.0.113.12,203.0.113.13,2001:db8::12",
        "2001:db8::12",
        f"dns:{NODES}",
        f"dns:{ALONE},203.0.113.12",
        "dns:nowhere.example.org",
    ),
    "KA_UNICAST_SRC_IP": ("2001:db8::11",),
    "KA_PRIORITY_BY_NODE": ("node1=7,node2=253,node3=254", "other=1"),
    "KA_PREEMPT_DELAY": ("0", "12.5"),
    "KA_GARP_REFRESH": ("0",),
    "KA_SYNC_GROUPS": ("web=main+web", "a=web+mail,b=main+web"),
    "KA_NODE_NAME": ("node3",),
    "KA_NOTIFY_URL": ("https://u:p@[2001:db8::1]/a?b=%22;{c}",),
    "KA_CHECK_FAST_INTERVAL": ("0.1",),
    "KA_CHECK_INSTANT": ("false",),
    "KA_LOG_FORWARD": ("udp://192.0.2.1:514", "relp://[2001:db8::5]:2514 tcp://log.example.org:601"),
    "KA_LOG_FORWARD_NAME": ("log.example.org",),
    "KA_LOG_SPOOL_SIZE": ("1048576", "1G"),
    "KA_PRIORITY": ("1", "254", "255", "auto"),
    "KA_NOPREEMPT": ("true",),
    "KA_CHECK_HEADERS": ('X-A: "b"; X-C: {d}',),
    "KA_CHECK_BODY": ('^"ok"\\\\s{2}$',),
    "KA_MASTER": ("no", "1"),
    "KA_AUTH_PASS": ("a#b![c]", "`;&|<>()", "#", "!", "$HOME", "%s"),
    "KA_ADVERT_INTERVAL": ("0.05", "255", "1.5"),
    "KA_VRRP_VERSION": ("3", "auto"),
    "KA_ENABLE_CHECK": ("https://u:p@[2001:db8::1]:8443/a?b=c%20d#e http://localhost", "http://h/$(id)';id"),
    "KA_CHECK_INTERVAL": ("0.1", "3600", "1.25"),
    "KA_CHECK_TIMEOUT": ("0.1", "3600"),
    "KA_CHECK_RISE": ("1", "1000"),
    "KA_CHECK_WEIGHT": ("0", "253", "-253"),
    "KA_CHECK_STATUS": ("100-599", "200,204 301"),
    "KA_LOG_LEVEL": ("debug", "error"),
}
#: Instances of their own name: what makes them, and more that they may say of themselves.
NAMED = {
    "WEB": ("203.0.113.30/24", "203.0.113.30 2001:db8::30"),
    "MAIL": ("198.51.100.30/24/eth1", "2001:db8::31/64"),
}
OWN = (
    *("TRACK_IFACE", "PRIORITY", "PRIORITY_BY_NODE", "AUTH_PASS", "VRRP_VERSION", "ADVERT_INTERVAL", "NOPREEMPT"),
    *("MASTER", "UNICAST_PEERS", "ENABLE_CHECK", "CHECK_WEIGHT", "CHECK_INTERVAL", "ROUTES", "EXCLUDE"),
)

#: What ends, opens, quotes or comments something in one of the rendered files.
NASTY = (
    "\n",
    "\r",
    "\x00",
    "\x0b",
    "\u2028",
    "\udcff",
    '"',
    "'",
    "\\",
    "{",
    "}",
    "#",
    "!",
    ";",
    "$(id)",
    "`id`",
    "%n",
    " ",
)


def right(name: str) -> st.SearchStrategy[str]:
    """A value that is right on its own."""
    return st.sampled_from((RIGHT[name], *MORE.get(name, ())))


@st.composite
def environments(draw: st.DrawFn) -> dict[str, str]:
    """Mostly right values for some of the variables, and sometimes something nasty in the middle of one."""
    optional = st.sampled_from([name for name in known_variables() if name not in LEFT_OUT])
    names = sorted({*LEAST, *draw(st.lists(optional, max_size=7))})
    environ = {name: draw(right(name)) for name in names}
    for number, (instance, vips) in enumerate(sorted(NAMED.items())):
        if draw(st.integers(0, 3)) == 0:
            prefix = f"KA_INSTANCES__{instance}__"
            environ |= {f"{prefix}INCLUDE": draw(st.sampled_from(vips)), f"{prefix}VRID": str(60 + number)}
            for field in draw(st.lists(st.sampled_from(OWN), max_size=2)):
                environ[f"{prefix}{field}"] = draw(right(f"KA_{field}"))
    if draw(st.booleans()):
        name = draw(st.sampled_from(sorted(environ)))
        text = environ[name]
        at = draw(st.integers(0, len(text)))
        bad = draw(st.one_of(st.sampled_from(NASTY), st.text(max_size=5)))
        environ[name] = text[:at] + bad + draw(st.sampled_from(("", "}", "vrrp_script x {"))) + text[at:]
    return environ


#: A script must exist; what may be in its name is tested with the settings.
LEFT_OUT = {"KA_OVERRIDE_CHECK", "KA_NOTIFY", "KA_DATA_DIR", "KA_LOG_FORWARD_CERT", "KA_LOG_FORWARD_KEY"}
ENVIRONMENTS = environments()
#: Without a file's path, for which any text is right that the disk has.
ANYTHING = st.dictionaries(
    st.one_of(st.sampled_from(known_variables()), st.text(max_size=20).map(lambda text: f"KA_{text}")).filter(
        lambda name: not name.endswith("_FILE")
    ),
    st.text(max_size=100),
    max_size=8,
)

# On CI the same environments every time; elsewhere new ones, so that somebody finds what is left to find.
thoroughly = settings(
    max_examples=200,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)


def check_sentences(environ: dict[str, str]) -> list[str]:
    """What is wrong with ``environ``, each of it one sentence on one line that starts with its variable's name."""
    sentences = [str(problem) for problem in problems_of(environ)]
    for sentence in sentences:
        assert sentence.isprintable(), sentence
        assert sentence.startswith("KA_"), sentence
        assert "Error" not in sentence or any("Error" in text for text in environ.values()), sentence
        assert ": " in sentence
        assert not sentence.endswith((".", " ", ":")), sentence
    return sentences


@given(ANYTHING)
@thoroughly
@example({"KA_": ""})
@example({"KA_\n": ""})
@example({"KA_INCLUDE": "\udcff"})
def test_nonsense_is_refused_in_sentences(environ: dict[str, str]) -> None:
    assert check_sentences(environ)


@given(ENVIRONMENTS)
@thoroughly
@example(LEAST)
@example({**LEAST, "KA_CHECK_STATUS": "200", "KA_ENABLE_CHECK": "http://127.0.0.1/\nhttp://127.0.0.1/b"})
def test_what_is_accepted_renders_to_nothing_but_our_lines(environ: dict[str, str]) -> None:
    is_accepted = not check_sentences(environ)
    event(f"accepted: {is_accepted}")
    if not is_accepted:
        return
    plan = plan_of(environ)
    files = {file.path: file.text for file in render(plan, show_secrets=True)}
    conf = files["keepalived.conf"]
    assert foreign_lines(conf) == []
    assert is_balanced(conf)
    for line in (*summary(plan), *plan.warnings):
        assert line.isprintable()
    described = json.loads(files.get("http-checker.json", '{"checks": []}'))["checks"]
    for check, wanted in zip(described, plan.http_checks, strict=True):
        assert [target["url"] for target in check["targets"]] == list(wanted.urls)
    event(f"instances: {len(plan.instances)}")


@given(ENVIRONMENTS)
@settings(thoroughly, max_examples=100)
def test_the_checker_takes_what_is_accepted(environ: dict[str, str]) -> None:
    if problems_of(environ):
        return
    for file in render(plan_of(environ), show_secrets=True):
        if file.path == "http-checker.json":
            assert from_json(file.text, CheckerConfig).checks


# One keepalived takes 40 ms.
@settings(thoroughly, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(environ=ENVIRONMENTS)
def test_keepalived_takes_what_is_accepted(network: Network, environ: dict[str, str]) -> None:
    if problems_of(environ):
        return
    try:
        network.call(lambda: dry_run(plan_of(environ)))
    except ConfigError as error:
        pytest.fail(f"{environ}: {error}")


class TestGrammar:
    """The judge of the tests above is not blind."""

    @pytest.mark.parametrize(
        "line",
        [
            "include /etc/passwd",
            '    router_id "a" {',
            "    notify /bin/id",
            '  auth_pass "a"',
            "    script /bin/id",
            "\x0b}",
        ],
    )
    def test_a_foreign_line_is_seen(self, line: str) -> None:
        assert foreign_lines(f"global_defs {{\n{line}\n}}\n") == [line]

    @pytest.mark.parametrize("text", ["global_defs {\n", "}\n", "global_defs {\n}\n}\n", "global_defs {\n    }\n"])
    def test_a_brace_out_of_place_is_seen(self, text: str) -> None:
        assert not is_balanced(text)

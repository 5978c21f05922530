"""What keepalived's own test refuses, and what it would let pass without having read it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.contract.errors import ConfigError
from app.lifecycle import keepalived_test
from app.lifecycle.check import dry_run
from app.render import END
from tests.unit.machine import LEAST, plan_of, rendered

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Network

GOOD = """\
global_defs {
    router_id "node1"
    script_user root
    enable_script_security
}

vrrp_script check {
    script "/usr/bin/true"
    interval 1
}

vrrp_instance main {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    authentication {
        auth_type PASS
        auth_pass "geheim"
    }
    virtual_ipaddress {
        203.0.113.10/24 dev eth0
    }
    track_script {
        check
    }
}

# The end.
"""


class Judge:
    """Has keepalived test a text, in a network with eth0."""

    def __init__(self, network: Network, path: Path) -> None:
        self._network = network
        self.path = path

    def __call__(self, text: str, mode: int = 0o600) -> list[str]:
        self.path.write_text(text)
        self.path.chmod(mode)
        return self.found()

    def found(self) -> list[str]:
        """What is said of the file as it is."""
        return [str(problem) for problem in self._network.call(lambda: keepalived_test.test(self.path))]


@pytest.fixture
def judge(network: Network, tmp_path: Path) -> Judge:
    """A file of this test's own."""
    return Judge(network, tmp_path / "keepalived.conf")


def test_a_good_one(judge: Judge) -> None:
    assert judge(GOOD) == []


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"KA_AUTH_PASS": "geheim", "KA_MASTER": "yes", "KA_VRID": "255", "KA_EXCLUDE": "203.0.113.20/24/eth1"},
        {"KA_INCLUDE": "2001:db8::10/64"},
        {"KA_INCLUDE": "203.0.113.10/24 2001:db8::10/64", "KA_AUTH_PASS": "geheim"},
        {"KA_ENABLE_CHECK": "http://127.0.0.1/"},
        {"KA_ENABLE_CHECK": "http://127.0.0.1/", "KA_CHECK_WEIGHT": "-10", "KA_CHECK_INTERVAL": "0.1"},
        {"KA_INCLUDE": "203.0.113.10 2001:db8::10", "KA_ENABLE_CHECK": "http://h/", "KA_CHECK_WEIGHT": "10"},
        {"KA_ADVERT_INTERVAL": "0.01"},
        {"KA_ADVERT_INTERVAL": "255"},
        {"KA_INCLUDE": " ".join(f"198.51.100.{number}" for number in range(1, 101))},
        {"KA_TRACK_IFACE": "eth0", "KA_TRACK_INTERFACES": "eth0 eth1"},
        {"KA_TRACK_IFACE": "eth0", "KA_TRACK_INTERFACES": "eth0"},
        # keepalived wants a VIP of the family of the peers in the adverts; the other goes along.
        {"KA_INCLUDE": "203.0.113.10 2001:db8::10", "KA_UNICAST_PEERS": "203.0.113.11 203.0.113.12"},
    ],
)
def test_what_is_rendered(network: Network, environ: dict[str, str]) -> None:
    network.call(lambda: dry_run(plan_of({**LEAST, **environ})))


def test_an_override_check(network: Network, data_dir: Path) -> None:
    environ = {**LEAST, "KA_OVERRIDE_CHECK": "check-service", "KA_DATA_DIR": str(data_dir), "KA_CHECK_TIMEOUT": "10"}
    network.call(lambda: dry_run(plan_of(environ)))


@pytest.mark.parametrize(
    "password",
    [
        *"#!$~@;%[]()",
        "a#b!c$d",
    ],
)
def test_passwords_that_look_like_syntax(network: Network, password: str) -> None:
    network.call(lambda: dry_run(plan_of({**LEAST, "KA_AUTH_PASS": password})))


class TestWhatItWouldNotParse:
    """keepalived says 0 to all of these."""

    def test_a_missing_file(self, judge: Judge) -> None:
        assert judge.found() == [f"{judge.path}: is missing; keepalived would start without any configuration"]

    def test_a_directory(self, judge: Judge) -> None:
        judge.path.mkdir()
        assert judge.found() == [f"{judge.path}: is missing; keepalived would start without any configuration"]

    @pytest.mark.parametrize("mode", [0o700, 0o610, 0o601])
    def test_a_run_bit(self, judge: Judge, mode: int) -> None:
        assert judge(GOOD, mode) == [f"{judge.path}: is executable, which makes keepalived skip it; chmod a-x it"]

    def test_an_empty_file(self, judge: Judge) -> None:
        assert len(judge("")) == 1
        assert len(judge("\n\n")) == 1

    @pytest.mark.parametrize("text", ['router_id "a\n', "global_defs {\n", "}\n{\n", "global_defs {\n}\n}\n"])
    def test_what_is_never_closed(self, judge: Judge, text: str) -> None:
        sentence = "ends too early, a brace or a quote is never closed; it must be written again"
        assert judge(text + END) == [f"{judge.path}: {sentence}"]

    @pytest.mark.parametrize("text", ["# a { brace\n", '# a " quote\n', "! a } brace\n", '# it is "closed" {\n'])
    def test_comments_do_not_count(self, judge: Judge, text: str) -> None:
        assert judge(text + GOOD) == []

    def test_braces_in_quotes_do_not_count(self, judge: Judge) -> None:
        assert judge(GOOD.replace("geheim", "a}#{b")) == []


class TestCutOff:
    """A disk that was full leaves the beginning of a file."""

    WHOLE = rendered(
        plan_of({**LEAST, "KA_AUTH_PASS": "geheim", "KA_ENABLE_CHECK": "http://127.0.0.1/"}), "keepalived.conf"
    )
    ENDS_OF_LINES = [match.end() for match in re.finditer(r"\n", WHOLE)][:-1]

    def test_in_a_block_at_the_end_of_a_line(self, judge: Judge) -> None:
        inside = [end for end in self.ENDS_OF_LINES if self.WHOLE.count("{", 0, end) > self.WHOLE.count("}", 0, end)]
        assert len(inside) > 20
        assert [end for end in inside if not judge(self.WHOLE[:end])] == []

    def test_in_the_middle_of_a_line(self, judge: Judge) -> None:
        lines = [match.span() for match in re.finditer(r".{2,}", self.WHOLE)]
        cuts = [(start + end) // 2 for start, end in lines] + [end for _, end in lines]
        assert [cut for cut in cuts if not judge(self.WHOLE[:cut])] == []

    def test_between_blocks(self, judge: Judge) -> None:
        outside = [end for end in self.ENDS_OF_LINES if self.WHOLE.count("{", 0, end) == self.WHOLE.count("}", 0, end)]
        assert [end for end in outside if not judge(self.WHOLE[:end])] == []


@pytest.mark.parametrize(
    ("found", "replaced", "said"),
    [
        pytest.param("priority", "priorty", "Unknown keyword 'priorty'", id="unknown keyword"),
        pytest.param("geheim", "123456789", "auth_pass", id="auth pass of 9 characters"),
        pytest.param("    state", "    version 3\n    state", "auth", id="version 3 with auth"),
        pytest.param("/usr/bin/true", "/usr/bin/no-such-script", "script", id="missing script"),
        pytest.param("interface eth0", "interface eth9", "eth9", id="missing interface"),
        pytest.param("state BACKUP", "state MASTER\n    nopreempt", "nopreempt", id="MASTER with nopreempt"),
        pytest.param("priority 100", "priority 100\n    advert_int 0.5", "advert", id="fractional advert in version 2"),
        pytest.param("203.0.113.10/24", "203.0.113.300/24", "203.0.113.300", id="impossible address"),
    ],
)
def test_what_it_refuses(judge: Judge, found: str, replaced: str, said: str) -> None:
    problems = judge(GOOD.replace(found, replaced))
    assert any(said.lower() in problem.lower() for problem in problems), problems
    for problem in problems:
        assert problem.startswith(("keepalived: refuses ", "keepalived: would not run all of "))
        assert problem.isprintable()


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_it_says_each_thing_once(judge: Judge, user: str) -> None:
    """keepalived says most things on both of its outputs; and its own path is in the sentence already."""
    problems = judge(GOOD.replace("priority", "priorty").replace("script_user root", f"script_user {user}"))
    assert problems == [f"keepalived: refuses {judge.path}: (Line 16) Unknown keyword 'priorty'"]


def test_a_script_that_everybody_may_write_to(judge: Judge, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o777)
    problems = judge(GOOD.replace("/usr/bin/true", str(script)))
    assert any(re.search("unsafe|insecure", problem, re.IGNORECASE) for problem in problems), problems


def test_scripts_of_an_unprivileged_user(judge: Judge) -> None:
    """keepalived 2.2.7 ends itself in its test of these; the second try says the truth."""
    assert judge(GOOD.replace("script_user root", "script_user nobody")) == []
    broken = GOOD.replace("script_user root", "script_user nobody").replace("priority", "priorty")
    problems = judge(broken)
    assert any("Unknown keyword 'priorty'" in problem for problem in problems)
    # The copy that was tested is gone, and no sentence names it.
    assert list(judge.path.parent.iterdir()) == [judge.path]
    assert all(re.search(rf"{re.escape(str(judge.path))}\b(?!\.)", problem) for problem in problems)


def test_keepalived_is_not_installed(judge: Judge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert judge(GOOD) == ["keepalived: is not installed; install the package keepalived"]


def test_a_keepalived_that_hangs(judge: Judge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in = tmp_path / "bin" / "keepalived"
    stand_in.parent.mkdir()
    stand_in.write_text("#!/bin/sh\nexec sleep 60\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:/usr/bin:/bin")
    monkeypatch.setattr(keepalived_test, "TEST_LIMIT_SECONDS", 0.1)
    assert judge(GOOD) == [f"keepalived: did not finish testing {judge.path} within 0.1 s"]


def test_a_dry_run_names_the_real_path_and_leaves_nothing(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A place of its own: others on this machine may run ka check as well.
    monkeypatch.setattr("app.lifecycle.check._parent", lambda: str(tmp_path))
    plan = plan_of(LEAST)
    elsewhere = replace(plan, instances=(replace(plan.instances[0], link="eth9"),))
    with pytest.raises(ConfigError) as caught:
        network.call(lambda: dry_run(elsewhere))
    assert all("/run/ka/keepalived.conf" in str(problem) for problem in caught.value.problems)
    assert list(tmp_path.iterdir()) == []


def test_blocks_that_only_vrrp_would_not_run(judge: Judge) -> None:
    """keepalived's own test says 0 to them."""
    others = "virtual_server 203.0.113.10 80 {\n    delay_loop 5\n}\n\nbfd_instance peer {\n}\n"
    why = "cannot have virtual_server, bfd_instance, only VRRP runs here; it must be blocks of VRRP alone"
    assert judge(GOOD.replace("\n# The end.", f"\n{others}\n# The end.")) == [f"{judge.path}: {why}"]

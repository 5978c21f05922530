"""The commands: what they print where, what they keep to themselves, and how they end."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app import __version__
from app.contract.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_STOPPED, ConfigError, Problem
from app.render import END
from tests.unit.machine import LEAST

if TYPE_CHECKING:
    from tests.unit.conftest import Ka, Network

CHECKOUT = Path(__file__).parents[2]
STARS = "********"
SECRETS = {"KA_AUTH_PASS": "s3cr3t", "KA_ENABLE_CHECK": "http://ka:pa55w0rd@127.0.0.1/"}


def module(*arguments: str, **environ: str) -> subprocess.Popen[str]:
    """``python -m app`` as a process of its own, on this machine, buffered as in the image."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("KA_", "PYTHONUNBUFFERED"))}
    return subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        cwd=CHECKOUT,
        env={**kept, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class TestRender:
    def test_all_files(self, ka: Ka) -> None:
        outcome = ka("render", KA_ENABLE_CHECK="http://127.0.0.1/")
        assert (outcome.status, outcome.err) == (EXIT_STOPPED, "")
        titles = [line for line in outcome.out.splitlines() if line.startswith("==> ")]
        assert titles == [
            f"==> {name} <=="
            for name in (
                *("keepalived.conf", "rsyslog.conf", "log.json", "checks/gates"),
                *("lease.json", "http-checker.json", "checks/http"),
            )
        ]

    def test_one_file(self, ka: Ka) -> None:
        outcome = ka("render", "keepalived.conf")
        assert outcome.out.startswith("# Rendered by ka")
        assert outcome.out.endswith(f"\n}}\n{END}")

    def test_secrets_are_stars(self, ka: Ka) -> None:
        outcome = ka("render", **SECRETS)
        assert f'auth_pass "{STARS}"' in outcome.out
        assert '"http://***@127.0.0.1/"' in outcome.out
        assert "s3cr3t" not in outcome.out
        assert "pa55w0rd" not in outcome.out

    def test_unless_they_are_asked_for(self, ka: Ka) -> None:
        outcome = ka("render", "--show-secrets", **SECRETS)
        assert 'auth_pass "s3cr3t"' in outcome.out
        assert "http://ka:pa55w0rd@127.0.0.1/" in outcome.out
        assert STARS not in outcome.out

    def test_no_such_file(self, ka: Ka) -> None:
        outcome = ka("render", "nosuch")
        assert (outcome.status, outcome.out) == (EXIT_CONFIG, "")
        assert outcome.err == (
            "ka: ka render nosuch: there is no such file in this plan; it has keepalived.conf, rsyslog.conf, log.json, "
            "checks/gates, lease.json\n"
            "ka: 1 problem, nothing was started\n"
        )

    def test_a_file_of_another_plan(self, ka: Ka) -> None:
        assert ka("render", "checks/http").status == EXIT_CONFIG

    def test_it_touches_nothing(self, ka: Ka, tmp_path: Path) -> None:
        ka("render", KA_RUN_DIR=str(tmp_path / "run"))
        assert list(tmp_path.iterdir()) == []


class TestCheck:
    def test_says_what_the_node_will_do(self, ka: Ka, network: Network) -> None:
        outcome = network.call(lambda: ka("check", KA_VRID="51", **SECRETS))
        assert (outcome.status, outcome.err) == (EXIT_STOPPED, "")
        assert "instance main" in outcome.out
        assert "s3cr3t" not in outcome.out
        assert "pa55w0rd" not in outcome.out

    def test_warns(self, ka: Ka, network: Network) -> None:
        outcome = network.call(lambda: ka("check"))
        assert outcome.status == EXIT_STOPPED
        assert outcome.out.startswith("warning: KA_VRID: is not set, so it is 1; ")

    def test_says_what_keepalived_says(self, ka: Ka, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_plan: object) -> None:
            raise ConfigError(Problem("keepalived", "refuses one"), Problem("keepalived", "refuses two"))

        monkeypatch.setattr("app.lifecycle.check.dry_run", refuse)
        outcome = ka("check")
        assert outcome.status == EXIT_CONFIG
        assert outcome.err == (
            "ka: keepalived: refuses one\nka: keepalived: refuses two\nka: 2 problems, nothing was started\n"
        )

    def test_it_touches_nothing(self, ka: Ka, network: Network, tmp_path: Path) -> None:
        assert network.call(lambda: ka("check", KA_RUN_DIR=str(tmp_path / "run"))).status == EXIT_STOPPED
        assert list(tmp_path.iterdir()) == []


class TestEnv:
    @pytest.mark.parametrize("style", ["table", "markdown", "dotenv", "json"])
    def test_needs_no_environment(self, ka: Ka, style: str) -> None:
        outcome = ka("env", "--format", style, KA_PRIORITY=None, KA_INCLUDE=None, KA_TRACK_IFACE=None)
        assert (outcome.status, outcome.err) == (EXIT_STOPPED, "")
        assert "KA_TRACK_IFACE" in outcome.out

    def test_is_a_table_for_people(self, ka: Ka) -> None:
        assert ka("env").out == ka("env", "--format", "table").out


class TestWithoutANode:
    """Whatever is asked of a node that is not there is answered in a sentence."""

    @pytest.mark.parametrize("command", ["health", "drain", "undrain", "reload"])
    def test_it_is_said(self, ka: Ka, tmp_path: Path, command: str) -> None:
        outcome = ka(command, KA_RUN_DIR=str(tmp_path / "run"))
        assert outcome.status == 1
        assert len((outcome.out + outcome.err).splitlines()) == 1

    @pytest.mark.parametrize("written", ["{}", " '{}' ", '"{}"\n'])
    def test_the_run_directory_is_read_as_by_run(self, ka: Ka, tmp_path: Path, written: str) -> None:
        outcome = ka("reload", KA_RUN_DIR=written.format(tmp_path))
        assert outcome.err == f"no node runs in {tmp_path}; ka run starts one, KA_RUN_DIR names another place\n"

    @pytest.mark.parametrize("command", ["health", "drain", "undrain", "reload"])
    def test_also_by_its_file(self, ka: Ka, tmp_path: Path, command: str) -> None:
        (tmp_path / "name").write_text(f"{tmp_path}/run\n")
        assert ka(command, KA_RUN_DIR_FILE=str(tmp_path / "name")).status == 1
        outcome = ka(command, KA_RUN_DIR_FILE=str(tmp_path / "nosuch"))
        assert outcome.status == EXIT_CONFIG
        assert outcome.err.startswith(
            f"ka: KA_RUN_DIR_FILE: cannot read {tmp_path}/nosuch: No such file or directory; "
        )


class TestTrouble:
    """No traceback ever reaches an operator."""

    def test_what_the_system_refuses(self, ka: Ka, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_plan: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/run/ka-check-1")

        monkeypatch.setattr("app.lifecycle.check.dry_run", refuse)
        outcome = ka("check")
        assert (outcome.status, outcome.err) == (EXIT_FAILED, "ka: /run/ka-check-1: No space left on device\n")

    def test_a_defect(self, ka: Ka, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_plan: object) -> None:
            raise KeyError("s3cr3t")

        monkeypatch.setattr("app.lifecycle.check.dry_run", fail)
        outcome = ka("check")
        assert outcome.status == EXIT_FAILED
        assert re.fullmatch(r"ka: cannot go on, .+: KeyError in test_cli\.py, line \d+\n", outcome.err)


class TestCommandLine:
    def test_version(self, ka: Ka, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            ka("--version")
        assert ended.value.code == 0
        assert capsys.readouterr().out == f"docker-keepalived {__version__}\n"

    @pytest.mark.parametrize(
        "arguments", [[], ["nosuch"], ["check", "more"], ["env", "--format", "yaml"], ["render", "a", "b"]]
    )
    def test_what_is_no_command(self, ka: Ka, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            ka(*arguments)
        assert ended.value.code == 2
        assert capsys.readouterr().err.startswith("usage: ka ")


class TestProcess:
    def test_env(self) -> None:
        process = module("env", "--format", "json")
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (EXIT_STOPPED, "")
        assert out.startswith("[\n")

    def test_a_problem(self) -> None:
        process = module("render", **{**LEAST, "KA_PRIORITY": "0"})
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (EXIT_CONFIG, "")
        assert err.startswith("ka: KA_PRIORITY: cannot be 0; ")

    @pytest.mark.parametrize("style", ["dotenv", "json"])
    def test_a_reader_that_has_seen_enough(self, style: str) -> None:
        """One of these fits into Python's buffer and only meets the broken pipe at the end."""
        process = module("env", "--format", style)
        assert process.stdout is not None
        process.stdout.close()
        with process:
            assert process.stderr is not None
            assert process.stderr.read() == ""
        assert process.returncode == EXIT_STOPPED

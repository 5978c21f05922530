"""The check wrappers, run for real by dash as keepalived runs them: what counts is their exit status."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.contract.verdict import Heartbeat, uptime_in
from tests.unit.machine import LEAST, plan_of, rendered

#: Nothing here may take longer (seconds); a wrapper that hangs is a failure of the test, not of the machine.
PATIENCE = 60


def dash(script: Path, *arguments: Path, **environ: str) -> int:
    """The exit status of ``script``."""
    done = subprocess.run(
        ["dash", script, *arguments], env={**os.environ, **environ}, capture_output=True, check=False, timeout=PATIENCE
    )
    return done.returncode


class TestWatchdog:
    @pytest.fixture
    def wrapper(self, tmp_path: Path) -> Path:
        """checks/http, with a directory for its heartbeat and none in there."""
        plan = replace(plan_of({**LEAST, "KA_ENABLE_CHECK": "http://127.0.0.1/"}), run_dir=tmp_path)
        wrapper = tmp_path / "checks" / "http"
        wrapper.parent.mkdir()
        wrapper.write_text(rendered(plan, "checks/http"))
        (tmp_path / "verdicts").mkdir()
        return wrapper

    @pytest.fixture
    def heartbeat(self, tmp_path: Path) -> Path:
        return tmp_path / "verdicts" / "heartbeat"

    def test_fresh(self, wrapper: Path, heartbeat: Path) -> None:
        Heartbeat(heartbeat.parent, interval=10, timeout=10).beat()
        assert dash(wrapper) == 0

    def test_stale(self, wrapper: Path, heartbeat: Path) -> None:
        Heartbeat(heartbeat.parent, interval=-1, timeout=-1).beat()  # good for one second, the least that there is
        deadline = int(heartbeat.read_text())
        heartbeat.write_text(f"{deadline - 101}\n")
        assert dash(wrapper) != 0

    def test_missing(self, wrapper: Path) -> None:
        assert dash(wrapper) != 0

    @pytest.mark.parametrize(
        "text",
        ["", "\n", "abc\n", "99x\n", "1 -o 1\n", "-1\n", "99999999999999999999999\n", "9999999999", "$(id)\n", "*\n"],
    )
    def test_garbage(self, wrapper: Path, heartbeat: Path, text: str) -> None:
        heartbeat.write_text(text)
        assert dash(wrapper) != 0

    def test_a_number_with_leading_zeros_is_decimal(self, wrapper: Path, heartbeat: Path) -> None:
        """An uptime below ten seconds has some: 0.05 becomes 005, and 0.09 would be no octal number at all."""
        Heartbeat(heartbeat.parent, interval=10, timeout=10).beat()
        heartbeat.write_text("000" + heartbeat.read_text())
        assert dash(wrapper) == 0

    @pytest.mark.parametrize(
        ("uptime", "deadline", "is_alive"),
        [
            ("0.09 0.01", "9", True),
            ("0.09 0.01", "8", False),
            ("0.00 0.00", "0", True),
            ("8.08 3.00", "808", True),
            ("8.09 3.00", "808", False),
            ("31536000.99 1.00", "3153600100", True),
            ("31536001.01 1.00", "3153600100", False),
        ],
    )
    def test_arithmetic(self, wrapper: Path, heartbeat: Path, uptime: str, deadline: str, is_alive: bool) -> None:
        # /proc/uptime is what it is: the same script with another file in its place.
        clock = heartbeat.parent / "uptime"
        clock.write_text(f"{uptime}\n")
        heartbeat.write_text(f"{deadline}\n")
        text = wrapper.read_text()
        assert text.count("/proc/uptime") == 1
        wrapper.write_text(text.replace("/proc/uptime", str(clock)))
        assert (dash(wrapper) == 0) is is_alive


class TestGates:
    @pytest.fixture
    def wrapper(self, tmp_path: Path) -> Path:
        """checks/gates, without a head start."""
        wrapper = tmp_path / "gates"
        wrapper.write_text(rendered(replace(plan_of(LEAST), run_dir=tmp_path), "checks/gates"))
        return wrapper

    @pytest.mark.parametrize(
        ("texts", "is_open"),
        [
            (["0\n"], True),
            (["0\n", "0\n"], True),
            (["0\n", "1\n"], False),
            (["1\n", "0\n"], False),
            ([""], False),
            (["0"], False),
            (["00\n"], False),
            (["x\n"], False),
            ([None], False),
        ],
    )
    def test_each_must_say_0(self, wrapper: Path, tmp_path: Path, texts: list[str | None], is_open: bool) -> None:
        paths = [tmp_path / f"file-{number}" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            if text is not None:
                path.write_text(text)
        assert (dash(wrapper, *paths) == 0) is is_open

    @pytest.mark.parametrize(("seconds", "status"), [(60, 0), (-1, 1)])
    def test_a_head_start_ends(self, wrapper: Path, tmp_path: Path, seconds: float, status: int) -> None:
        (tmp_path / "head-start").write_text(uptime_in(seconds))
        shut = tmp_path / "shut"
        shut.write_text("1\n")
        assert dash(wrapper, shut) == status

    @pytest.mark.parametrize("text", ["", "x\n", "9x\n", "99999999999999999999999\n"])
    def test_a_head_start_that_makes_no_sense_is_none(self, wrapper: Path, tmp_path: Path, text: str) -> None:
        (tmp_path / "head-start").write_text(text)
        shut = tmp_path / "shut"
        shut.write_text("1\n")
        assert dash(wrapper, shut) != 0


def users_of(path: Path) -> list[str]:
    """The processes that have a file open."""
    found = []
    for handle in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # it has just ended
            if handle.readlink() == path:
                found.append(handle.parts[2])
    return found


class Override:
    """checks/override around a script of the test's own, and what it logs."""

    def __init__(self, directory: Path, script: Path) -> None:
        self.directory = directory
        self.script = script
        self.state = directory / "override" / "override"
        self.state.mkdir(parents=True)
        self._log = directory / "log"
        # There is no /dev/log in a test, and the real logger would talk to the machine's own.
        stand_in = directory / "bin" / "logger"
        stand_in.parent.mkdir()
        stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >>"$LOG"\n')
        stand_in.chmod(0o755)

    def write(self, text: str) -> None:
        """The operator's script."""
        self.script.write_text(f"#!/bin/sh\n{text}\n")

    def run(self, timeout: float = 30, **environ: str) -> int:
        """One check."""
        settings = {"KA_OVERRIDE_CHECK": self.script.name, "KA_DATA_DIR": str(self.script.parents[1])}
        plan = plan_of({**LEAST, **settings, "KA_CHECK_TIMEOUT": f"{timeout:g}"})
        wrapper = self.directory / "wrapper"
        wrapper.write_text(rendered(replace(plan, run_dir=self.directory), "checks/override"))
        path = f"{self.directory}/bin:/usr/bin:/bin"
        return dash(wrapper, PATH=path, LOG=str(self._log), **environ)

    @property
    def result(self) -> dict[str, Any]:
        """Of the last run."""
        found: dict[str, Any] = json.loads((self.state / "result").read_text())
        return found

    @property
    def history(self) -> list[dict[str, Any]]:
        """The changes of the result."""
        return [json.loads(line) for line in (self.state / "history").read_text().splitlines()]

    @property
    def logged(self) -> list[str]:
        """The arguments of each call of logger."""
        return self._log.read_text(errors="replace").splitlines() if self._log.exists() else []


TAG = "--tag override-check --priority daemon."


class TestOverride:
    @pytest.fixture
    def override(self, tmp_path: Path, data_dir: Path) -> Override:
        directory = tmp_path / "run"
        directory.mkdir()
        return Override(directory, data_dir / "scripts" / "check-service")

    def test_passes(self, override: Override) -> None:
        assert override.run() == 0
        assert override.logged == [f"{TAG}notice -- check-service: healthy"]

    def test_fails_and_says_why(self, override: Override) -> None:
        override.write("echo the queue is full; echo really >&2; exit 3")
        assert override.run() == 3
        assert override.logged == [
            f"{TAG}warning -- check-service: failed with exit status 3: the queue is full really"
        ]

    def test_only_a_change_is_logged(self, override: Override) -> None:
        for script, times in (("exit 0", 3), ("echo $$; exit 1", 3), ("exit 2", 1), ("exit 0", 2)):
            override.write(script)
            for _ in range(times):
                override.run()
        reasons = [line.split("check-service: ")[1].split(":")[0] for line in override.logged]
        assert reasons == ["healthy", "failed with exit status 1", "failed with exit status 2", "healthy"]

    def test_hangs(self, override: Override) -> None:
        override.write("echo waiting for the database\nsleep 3600")
        assert override.run(timeout=0.3) == 124
        assert override.logged == [f"{TAG}warning -- check-service: no result within 0.3 s: waiting for the database"]

    def test_hangs_and_does_not_listen(self, override: Override) -> None:
        override.write("trap '' TERM; exec sleep 3600")
        assert override.run(timeout=0.3) == 137
        (line,) = override.logged
        assert line.startswith(f"{TAG}warning -- check-service: no result within 0.3 s")

    def test_forks_away(self, override: Override, tmp_path: Path) -> None:
        override.write(f"sleep 3600 & echo $! >{tmp_path}/pid\nexit 0")
        assert override.run() == 0
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    def test_floods(self, override: Override) -> None:
        override.write("head -c 1000000 /dev/zero | tr '\\0' x; exit 1")
        assert override.run() == 1
        (line,) = override.logged
        assert line == f"{TAG}warning -- check-service: failed with exit status 1: {'x' * 500}"

    def test_a_flood_does_not_fill_the_run_directory(self, override: Override) -> None:
        override.write("head -c 10000000 /dev/zero; exit 0")
        override.run()
        assert sum(path.stat().st_size for path in override.state.iterdir()) < 100_000

    def test_prints_what_is_no_text(self, override: Override) -> None:
        override.write(r"printf '\377\376\0\033[31m%%s$(id)`id`\n-n \\ \"'; exit 1")
        assert override.run() == 1
        assert len(override.logged) == 1

    @pytest.mark.parametrize(
        ("text", "status", "reason"),
        [
            ("#!/no/such/interpreter", 127, "not found, or its interpreter is missing"),
            (None, 127, "not found, or its interpreter is missing"),
        ],
        ids=["interpreter", "script"],
    )
    def test_missing(self, override: Override, text: str | None, status: int, reason: str) -> None:
        wrapper_is_made_before = override.run()
        assert wrapper_is_made_before == 0
        wrapper = override.directory / "wrapper"
        if text is None:
            override.script.unlink()
        else:
            override.script.write_text(f"{text}\n")
        path = f"{override.directory}/bin:/usr/bin:/bin"
        assert dash(wrapper, PATH=path, LOG=str(override.directory / "log")) == status
        assert f"check-service: {reason}" in override.logged[-1]

    def test_not_executable(self, override: Override) -> None:
        assert override.run() == 0
        override.script.chmod(0o644)
        path = f"{override.directory}/bin:/usr/bin:/bin"
        assert dash(override.directory / "wrapper", PATH=path, LOG=str(override.directory / "log")) == 126
        assert "check-service: cannot be executed" in override.logged[-1]

    def test_gets_no_arguments_and_no_input(self, override: Override) -> None:
        override.write('echo "$# arguments, $(wc -c) bytes"; exit 1')
        override.run()
        assert override.logged[0].endswith(": 0 arguments, 0 bytes")

    def test_leaves_its_result_for_the_status(self, override: Override) -> None:
        override.write("echo fine; sleep 0.05; exit 0")
        override.run()
        result = override.result
        assert (result["status"], result["reason"]) == (0, "healthy")
        assert 0 < result["seconds"] < 60
        assert 0 <= time.clock_gettime(time.CLOCK_BOOTTIME) - result["at"] < 60
        assert (override.state / "output").read_text() == "fine\n"
        assert override.history == [result]

    def test_the_history_is_of_changes_and_bounded(self, override: Override) -> None:
        for number in (0, 0, *range(25)):
            override.write(f"exit {number}")
            override.run()
        assert [entry["status"] for entry in override.history] == list(range(5, 25))
        override.run()
        assert override.history[-1] != override.result
        assert override.history[-1]["reason"] == override.result["reason"] == "failed with exit status 24"

    @pytest.mark.parametrize(("name", "status"), [("KILL", 137), ("SEGV", 139), ("TERM", 143), ("PIPE", 141)])
    def test_is_killed(self, override: Override, name: str, status: int) -> None:
        override.write(f"echo working; kill -s {name} $$")
        assert override.run() == status
        assert override.logged == [f"{TAG}warning -- check-service: ended by SIG{name}: working"]

    def test_says_itself_what_a_timeout_says(self, override: Override) -> None:
        override.write("exit 124")
        assert override.run() == 124
        assert override.result["reason"] == "failed with exit status 124"

    @pytest.mark.parametrize("how", ["sleep 3600", "setsid sleep 3600", "(trap '' HUP TERM; exec sleep 3600)"])
    def test_what_it_leaves_may_keep_its_output_open(self, override: Override, tmp_path: Path, how: str) -> None:
        override.write(f"echo said; {how} & echo $! >{tmp_path}/pid\nexit 7")
        assert override.run() == 7
        assert override.logged == [f"{TAG}warning -- check-service: failed with exit status 7: said"]
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    def test_a_flood_of_less_than_1_mib_does_not_matter(self, override: Override) -> None:
        override.write("head -c 900000 /dev/zero | tr '\\0' y; echo >&2; exit 0")
        assert override.run() == 0
        assert override.logged == [f"{TAG}notice -- check-service: healthy: {'y' * 500}"]
        assert (override.state / "output").read_text() == "y" * 4096 + "\n"

    def test_an_endless_flood_finds_nobody_who_listens(self, override: Override) -> None:
        override.write("exec yes")
        assert override.run() == 141
        (line,) = override.logged
        assert line.startswith(f"{TAG}warning -- check-service: printed more than 1 MiB: y y y ")

    def test_files_of_its_own_may_be_large(self, override: Override, tmp_path: Path) -> None:
        override.write(f"head -c 3000000 /dev/zero >{tmp_path}/own && exit 0")
        assert override.run() == 0

    def test_leaves_no_process(self, override: Override) -> None:
        for script in ("exit 0", "exec sleep 3600", "yes | head -c 500000; exit 1", "exec yes"):
            override.write(script)
            override.run(timeout=0.3)
            assert users_of(override.state / "pipe") == []

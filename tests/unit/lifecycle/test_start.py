"""``ka run`` up to the point at which it becomes PID 1: the files, whose they are, and the trial of a check."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.contract import paths
from app.contract.capabilities import CAPABILITIES
from app.contract.errors import ConfigError
from app.contract.paths import Layout
from app.lifecycle import run_directory, start
from app.lifecycle.check import dry_run
from app.plan.model import Plan, ScriptCheck
from app.render import render
from tests.unit.machine import LEAST, NOBODY, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = {"KA_ENABLE_CHECK": "http://127.0.0.1/", "KA_AUTH_PASS": "geheim"}


def write(plan: Plan) -> None:
    """Writes what ``ka run`` writes."""
    run_directory.make(plan, render(plan, show_secrets=True))


def mode(path: Path) -> str:
    """Its permissions and owner, as in ``ls -l``."""
    found = path.stat()
    return f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid}"


@pytest.mark.usefixtures("root")
class TestFiles:
    @pytest.fixture
    def run_dir(self, tmp_path: Path) -> Path:
        return tmp_path / "run"

    def test_whose_they_are(self, run_dir: Path) -> None:
        write(replace(plan_of({**LEAST, **URL}), run_dir=run_dir))
        nobody = f"{NOBODY.uid}:{NOBODY.gid}"
        found = {str(path.relative_to(run_dir)): mode(path) for path in run_dir.rglob("*")}
        wanted = {
            "keepalived.conf": "-rw------- 0:0",
            "rsyslog.conf": "-rw-r--r-- 0:0",
            "http-checker.json": f"-rw-r----- 0:{NOBODY.gid}",
            "vips": "-rw-r--r-- 0:0",
            "checks": "drwxr-xr-x 0:0",
            "checks/http": "-rwxr-xr-x 0:0",
            "verdicts": f"drwxrwxr-x 0:{NOBODY.gid}",
            "verdicts/http": f"-rw-r--r-- {nobody}",
            "verdicts/heartbeat": f"-rw-r--r-- {nobody}",
            "log": f"drwxr-xr-x {nobody}",
        }
        assert {name: found.get(name) for name in wanted} == wanted

    def test_health_is_not_proven_yet(self, run_dir: Path) -> None:
        write(replace(plan_of({**LEAST, **URL}), run_dir=run_dir))
        assert (run_dir / "verdicts" / "http").read_text() == "1\n"

    def test_the_addresses_to_remove(self, run_dir: Path) -> None:
        environ = {**LEAST, "KA_INCLUDE": "203.0.113.10/24 2001:db8::10/64", "KA_EXCLUDE": "203.0.113.20/24"}
        write(replace(plan_of(environ), run_dir=run_dir))
        places = ["2001:db8::10 eth0", "203.0.113.10 eth0", "203.0.113.20 eth0"]
        assert (run_dir / "vips").read_text().splitlines() == places

    def test_an_earlier_start_leaves_nothing(self, run_dir: Path) -> None:
        write(replace(plan_of({**LEAST, **URL}), run_dir=run_dir))
        (run_dir / "keepalived.pid").write_text("1\n")
        write(replace(plan_of(LEAST), run_dir=run_dir))
        names = {path.name for path in run_dir.iterdir()}
        assert {"keepalived.conf", "rsyslog.conf", "vips", "log"} <= names
        assert names.isdisjoint({"http-checker.json", "verdicts", "keepalived.pid"})
        assert [path.name for path in (run_dir / "checks").iterdir()] == ["gates"]

    @pytest.mark.parametrize("name", ["mine", "log", "checks", "verdicts", "override", "keepalived.conf"])
    def test_a_directory_of_others_is_refused(self, run_dir: Path, name: str) -> None:
        precious = run_dir / name / "very" / "precious"
        precious.parent.mkdir(parents=True)
        precious.write_text("precious")
        before = mode(run_dir)
        with pytest.raises(ConfigError) as caught:
            write(replace(plan_of({**LEAST, **URL}), run_dir=run_dir))
        assert str(caught.value) == (
            f"KA_RUN_DIR: cannot be {run_dir}, which holds files of others; it must be a directory of its own"
        )
        assert {path for path in run_dir.rglob("*") if path.is_file()} == {precious}
        assert mode(run_dir) == before

    def test_a_hidden_file_is_somebodys_too(self, run_dir: Path) -> None:
        run_dir.mkdir()
        (run_dir / ".keep").touch()
        with pytest.raises(ConfigError):
            write(replace(plan_of(LEAST), run_dir=run_dir))

    def test_an_empty_directory_is_anybodys(self, run_dir: Path) -> None:
        """A tmpfs, or a volume."""
        run_dir.mkdir(mode=0o777)
        run_dir.chmod(0o777)
        write(replace(plan_of(LEAST), run_dir=run_dir))
        assert (run_dir / ".docker-keepalived").exists()
        assert mode(run_dir) == "drwxr-xr-x 0:0"

    @pytest.mark.parametrize("wide", [0o775, 0o777, 0o2775])
    def test_the_directory_above_it_stays_as_it_is(self, run_dir: Path, wide: int) -> None:
        run_dir.parent.chmod(wide)
        before = mode(run_dir.parent)
        with pytest.raises(ConfigError) as caught:
            write(replace(plan_of(LEAST), run_dir=run_dir))
        assert str(caught.value) == (
            f"KA_RUN_DIR: cannot be {run_dir}, for others may write to {run_dir.parent} and could replace it; "
            "its parent must be writable by root alone"
        )
        assert mode(run_dir.parent) == before
        assert not run_dir.exists()

    def test_the_containers_own_is_closed_to_others(self, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A Kubernetes emptyDir at /run is everybody's."""
        monkeypatch.setattr(paths, "RUN", run_dir.parent)
        run_dir.parent.chmod(0o777)
        write(replace(plan_of(LEAST), run_dir=run_dir))
        assert mode(run_dir.parent) == "drwxr-xr-x 0:0"

    def test_what_came_later_into_ours_stays(self, run_dir: Path) -> None:
        write(replace(plan_of(LEAST), run_dir=run_dir))
        (run_dir / "mine").write_text("mine")
        (run_dir / "my-directory").mkdir()
        write(replace(plan_of(LEAST), run_dir=run_dir))
        assert (run_dir / "mine").read_text() == "mine"
        assert (run_dir / "my-directory").is_dir()

    def test_what_was_given_away_can_be_cleared(self, run_dir: Path) -> None:
        plan = replace(plan_of({**LEAST, **URL, "KA_NOTIFY_URL": "http://127.0.0.1/"}), run_dir=run_dir)
        write(plan)
        (run_dir / "log" / "left").write_text("left")
        (run_dir / "notifier" / "journal").write_text("left")
        write(plan)
        assert not (run_dir / "log" / "left").exists()
        assert (run_dir / "notifier" / "journal").read_text() == ""
        assert (run_dir / "drain").read_text() == "0\n"


@pytest.mark.usefixtures("root")
class TestTrial:
    @pytest.fixture
    def place(self) -> Iterator[Path]:
        """A directory that every user can enter, which pytest's own are not."""
        with tempfile.TemporaryDirectory(prefix="ka-trial-") as name:
            place = Path(name)
            place.chmod(0o755)
            yield place

    def trial(self, place: Path, text: str) -> str | None:
        """What is said of a check."""
        script = place / "check-service"
        script.write_text(text)
        script.chmod(0o755)
        return start.trial(ScriptCheck("override", 2.0, 2.0, 2, 2, 0, script=script), NOBODY, place)

    def test_passes(self, place: Path) -> None:
        assert self.trial(place, "#!/bin/sh\nexit 0\n") is None

    def test_fails(self, place: Path) -> None:
        said = self.trial(place, "#!/bin/sh\necho not; echo yet >&2; exit 4\n")
        assert said == f"{place}/check-service: failed with exit status 4 in its trial run: not yet"

    def test_fails_without_a_word(self, place: Path) -> None:
        said = self.trial(place, "#!/bin/sh\nexit 1\n")
        assert said == f"{place}/check-service: failed with exit status 1 in its trial run: no output"

    def test_has_no_result_in_time(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(start, "TRIAL_LIMIT_SECONDS", 0.2)
        said = self.trial(place, "#!/bin/sh\nexec sleep 60\n")
        assert said == f"{place}/check-service: had no result within 0.2 s in its trial run"

    def test_is_run_as_the_script_user(self, place: Path) -> None:
        said = self.trial(place, "#!/bin/sh\nid -u; id -g; id -G; exit 1\n")
        assert said is not None
        assert said.endswith(f": {NOBODY.uid} {NOBODY.gid} {NOBODY.gid}")

    def test_cannot_be_run(self, place: Path) -> None:
        said = self.trial(place, "#!/no/such/interpreter\n")
        assert said is not None
        assert said.startswith(f"{place}/check-service: failed with exit status 127 in its trial run: ")
        assert said.endswith("not found")

    def test_gets_no_secret(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KA_AUTH_PASS", "s3cr3t")
        monkeypatch.setenv("OTHER", "is kept")
        said = self.trial(place, "#!/bin/sh\nenv | grep ^KA_; echo $OTHER; exit 1\n")
        assert said == f"{place}/check-service: failed with exit status 1 in its trial run: is kept"

    def test_gets_no_arguments_and_no_input(self, place: Path) -> None:
        said = self.trial(place, "#!/bin/sh\necho $# arguments, $(wc -c) bytes; exit 1\n")
        assert said is not None
        assert said.endswith(": 0 arguments, 0 bytes")

    def test_prints_more_than_there_is_room_for(self, place: Path) -> None:
        said = self.trial(place, "#!/bin/sh\nhead -c 100000000 /dev/zero | tr '\\0' x\n")
        assert said is not None
        assert re.search(r"failed with exit status \S+ in its trial run: x{500}$", said)
        assert [path.name for path in place.iterdir()] == ["check-service"]

    def test_leaves_nobody_behind_who_is_waited_for(self, place: Path) -> None:
        (place / "pid").touch()
        (place / "pid").chmod(0o666)
        # One that waited for it would say that there was no result in time.
        assert self.trial(place, f"#!/bin/sh\nsleep 3600 & echo $! >{place}/pid\n") is None
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((place / "pid").read_text()), signal.SIGKILL)

    def test_is_ended_with_all_that_it_started(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(start, "TRIAL_LIMIT_SECONDS", 2)
        (place / "pid").touch()
        (place / "pid").chmod(0o666)
        self.trial(place, f"#!/bin/sh\ntrap '' TERM\nsleep 3600 & echo $! >{place}/pid\nwait\n")
        pid = int((place / "pid").read_text())
        limit = time.monotonic() + 30
        while (command := Path(f"/proc/{pid}/cmdline")).exists() and command.read_bytes():
            assert time.monotonic() < limit
            time.sleep(0.01)  # it is nobody's child here


class TestLog:
    """Where programs look for the log: the container's own /dev/log, or the host's where its /dev is mounted."""

    @pytest.fixture
    def dev_log(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        place = tmp_path / "log"
        monkeypatch.setattr(start, "DEV_LOG", place)
        return place

    def test_is_led_to_ours(self, dev_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for _ in range(2):
            start.lead_log(Layout(Path("/run/ka")))
            assert dev_log.readlink() == Path("/run/ka/log-socket")
        assert capsys.readouterr().err == ""

    def test_a_link_that_leads_to_what_is_not_here_is_the_hosts(
        self, dev_log: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hosts = Path("/run/systemd/journal/no-such-socket")
        dev_log.symlink_to(hosts)
        start.lead_log(Layout(Path("/run/ka")))
        assert dev_log.readlink() == hosts
        assert capsys.readouterr().err == (
            f"ka: {dev_log} belongs to another logger of this machine and leads to {hosts}, which is not here: "
            "keepalived's log is lost; leave the host's /dev out\n"
        )

    def test_a_socket_of_others_stays(self, dev_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
        dev_log.touch()
        start.lead_log(Layout(Path("/run/ka")))
        assert not dev_log.is_symlink()
        assert capsys.readouterr().err == (
            f"ka: {dev_log} belongs to another logger of this machine, the log goes there\n"
        )


def test_a_process_without_its_capabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = [found for found in CAPABILITIES if found.name in {"NET_ADMIN", "KILL"}]
    monkeypatch.setattr(start, "missing_capabilities", lambda: missing)
    with pytest.raises(ConfigError) as caught:
        start.refuse_unfit_process()
    assert [str(problem) for problem in caught.value.problems] == [
        "capability KILL: is missing, needed to stop the siblings; add --cap-add KILL",
        "capability NET_ADMIN: is missing, needed to put the VIP on a link; add --cap-add NET_ADMIN",
    ]


def test_the_check_of_an_environment_refuses_a_directory_of_others(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(ConfigError, match=r"^KA_RUN_DIR: cannot be .*, which holds files of others; "):
        dry_run(replace(plan_of(LEAST), run_dir=tmp_path))

"""docker compose up, with both generations of compose: the project's own file, and README's."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from app.contract.capabilities import NAMES
from lab import wait_until
from lab.engine import ROOT, Engine, docker
from lab.errors import LabError
from lab.log import NodeLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN_FILE = ROOT / "docker-compose.yml"


class Project:
    """A compose file that is up; each has a name of its own, so that it meets no other."""

    def __init__(self, program: Path, file: Path) -> None:
        self._command = [str(program), "-p", f"ka-test-{secrets.token_hex(3)}", "-f", str(file)]

    def __call__(self, *arguments: str) -> str:
        """What compose prints. Raises LabError."""
        done = subprocess.run([*self._command, *arguments], check=False, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise LabError(f"compose {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    @contextmanager
    def up(self) -> Iterator[None]:
        """Everything in the file runs, and nothing of it afterwards."""
        try:
            # The image is that of this checkout; the fixture has built it.
            self("up", "--detach", "--no-build")
            yield
        finally:
            self("down", "--volumes", "--timeout", "5")

    @contextmanager
    def log(self, service: str) -> Iterator[NodeLog]:
        """What a service prints from now on."""
        log = NodeLog(service, lambda sentence: LabError(f"{sentence}\n{log.tail(20)}{self('logs', '--no-color')}"))
        command = ["docker", "logs", "--follow", self("ps", "--quiet", service)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as follower:
            assert follower.stdout is not None
            log.follow(follower.stdout)
            try:
                yield log
            finally:
                follower.terminate()


@pytest.fixture(scope="session")
def programs(image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with compose 1.29 as v1 and compose 2 as v2, as far as they can be had."""
    directory = tmp_path_factory.mktemp("compose")
    script = ROOT / "scripts" / "compose-for-tests"
    subprocess.run([script, directory], check=True, capture_output=True, timeout=300)
    return directory


@pytest.fixture(params=["v1", "v2"])
def compose(request: pytest.FixtureRequest, programs: Path) -> Path:
    """One compose program after the other."""
    program = programs / str(request.param)
    if not program.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"there is no compose {request.param} for this system")
    return program


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    """README's compose file, with the password it wants beside it."""
    found = re.search(r"```yaml\n(services:\n.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    (tmp_path / "vrrp-password").write_text("image-12\n", encoding="ascii")
    file = tmp_path / "docker-compose.yml"
    file.write_text(found[1], encoding="utf-8")
    return file


def test_own_file_moves_the_vip_when_a_back_end_stops_and_when_it_returns(compose: Path) -> None:
    project = Project(compose, OWN_FILE)
    with project.up(), project.log("client") as client:
        client.wait_for(" web1$")
        mark = client.mark()
        # As the file's own first lines say.
        project("stop", "web1")
        client.wait_for(" web2$", 20, mark)
        mark = client.mark()
        project("start", "web1")
        client.wait_for(" web1$", 20, mark)


def test_own_file_is_valid(compose: Path) -> None:
    """Both hold a file against the schema of their generation; that of version 2 is the compose specification's."""
    assert Project(compose, OWN_FILE)("config", "--services").split()


def test_readme_file_is_valid(compose: Path, readme: Path) -> None:
    assert Project(compose, readme)("config", "--services") == "keepalived"


def test_wrong_file_is_not_valid(compose: Path, tmp_path: Path) -> None:
    """The negative control."""
    wrong: dict[str, Any] = yaml.safe_load(OWN_FILE.read_text(encoding="utf-8"))
    wrong["services"]["node1"]["cap_ad"] = ["NET_ADMIN"]
    file = tmp_path / "docker-compose.yml"
    file.write_text(yaml.safe_dump(wrong), encoding="utf-8")
    with pytest.raises(LabError, match="cap_ad"):
        Project(compose, file)("config")


def test_readme_file_runs(compose: Path, readme: Path, engine: Engine) -> None:
    """But for the network, which is one of its own in place of this machine's."""
    network = engine.network("203.0.113.0/24")
    told = yaml.safe_load(readme.read_text(encoding="utf-8"))
    service = told["services"]["keepalived"]
    assert service.pop("network_mode") == "host"
    service["networks"] = ["test"]
    told["networks"] = {"test": {"external": True, "name": docker("network", "inspect", "-f", "{{.Name}}", network)}}
    # Version 1 calls a file without this one of its own first generation.
    readme.write_text(yaml.safe_dump({"version": "3.7"} | told), encoding="utf-8")

    project = Project(compose, readme)
    with project.up(), project.log("keepalived") as log:
        log.wait_for("Entering FAULT STATE|Startup complete")
        node = project("ps", "--quiet", "keepalived")
        # Nothing answers at its URL here: it says so, holds nothing, and is well.
        said = wait_until(lambda: docker("exec", node, "ka", "health"), "ka health")
        assert said == "main is FAULT, priority 254"


@pytest.mark.parametrize("name", ["node1", "node2"])
def test_own_file_gives_the_documented_privileges(name: str) -> None:
    service = yaml.safe_load(OWN_FILE.read_text(encoding="utf-8"))["services"][name]
    _assert_restricted(service)


def test_readme_gives_the_documented_privileges(readme: Path) -> None:
    _assert_restricted(yaml.safe_load(readme.read_text(encoding="utf-8"))["services"]["keepalived"])


def _assert_restricted(service: dict[str, Any]) -> None:
    assert service["cap_drop"] == ["ALL"]
    assert sorted(service["cap_add"]) == sorted(NAMES)
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/run"]
    assert [option.removesuffix(":true") for option in service["security_opt"]] == ["no-new-privileges"]
    assert not service.get("privileged")

"""What is in the image, and what is not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.engine import BASE_IMAGE, IMAGE, ROOT, docker

#: Bytes above the base, uncompressed. The packages and a virtual environment with pip, installed plainly, take 150 MB.
LIMIT = 85_000_000
MB = 1_000_000


def inside(command: str, image: str = IMAGE) -> str:
    """What a command line (no shell reads it) prints in a container without a network."""
    program, *arguments = command.split()
    options = ("--rm", "--network", "none", "--entrypoint", program)
    return docker("run", *options, image, *arguments)


def python(script: str) -> str:
    """What a script prints that the image's Python runs."""
    interpreter = ("--entrypoint", "/opt/ka/venv/bin/python")
    return docker("run", "--rm", "--network", "none", *interpreter, IMAGE, "-I", "-c", script)


def layers(image: str) -> int:
    """Bytes in all layers of an image."""
    sizes = docker("history", "--human=false", "--format", "{{.Size}}", image).split()
    return sum(int(size) for size in sizes)


@pytest.fixture(scope="module")
def config(image: str) -> dict[str, Any]:
    """What the image says of itself."""
    found: dict[str, Any] = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", image))
    return found


def test_size_above_the_base(image: str) -> None:
    size = layers(image) - layers(BASE_IMAGE)
    assert size <= LIMIT
    said = re.search(r"layers above the base image hold ([0-9.]+) MB", (ROOT / "docs/image.md").read_text())
    assert said is not None
    assert abs(float(said[1]) - size / MB) < 1, f"docs/image.md is to say {size / MB:.1f} MB"


def test_how_it_is_started_watched_and_stopped(config: dict[str, Any]) -> None:
    assert config["Entrypoint"] == ["ka"]
    assert config["Cmd"] == ["run"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "ka", "health"]
    # Anonymous volumes would pile up, and ports listen only where they are asked for.
    assert not config.get("Volumes")
    assert not config.get("ExposedPorts")


def test_labels(config: dict[str, Any]) -> None:
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    assert labels["title"] == "docker-keepalived"
    assert labels["licenses"] == "MIT"
    assert labels["base.name"] == BASE_IMAGE
    assert re.search(rf'__version__ = "{re.escape(labels["version"])}"', (ROOT / "app/__init__.py").read_text())
    for name in ("description", "revision", "created"):
        assert labels[name]


def test_version_and_smoke_test(config: dict[str, Any]) -> None:
    version = config["Labels"]["org.opencontainers.image.version"]
    assert docker("run", "--rm", "--network", "none", IMAGE, "--version") == f"docker-keepalived {version}"
    proofs = inside("cat /opt/ka/smoke-test")
    assert "ka check exits 0 for a minimal environment" in proofs
    assert "ka check exits 78 for a priority beyond VRRP's range" in proofs
    assert "keepalived rejects a file of nonsense" in proofs


def test_nothing_of_perl_pip_and_compilers(image: str) -> None:
    # libperl itself stays, for the loader wants it, and the base has perl-base; no module beside those of the base.
    sought = "find / -xdev ( -name *.pm -o -path */site-packages/pip -o -name gcc -o -name make -o -name curl ) -print"
    assert set(inside(sought).split()) <= set(inside(sought, BASE_IMAGE).split())


def test_python_packages_are_those_of_the_lock(image: str) -> None:
    listed = "from importlib.metadata import distributions\nfor d in distributions(): print(d.name, d.version)"
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for line in python(listed).splitlines():
        name, version = line.split()
        assert locked[re.sub("[-_.]+", "-", name).lower()] == version


def test_accounts_and_modes(image: str) -> None:
    assert inside("id ka") == "uid=990(ka) gid=990(ka) groups=990(ka)"
    assert inside("id ka-script") == "uid=991(ka-script) gid=991(ka-script) groups=991(ka-script)"
    assert inside("getent passwd ka").endswith(":/nonexistent:/usr/sbin/nologin")
    # Nothing of ours can be changed by anybody but root, and nothing we added gives a caller somebody else's rights.
    assert inside("find /opt/ka /usr/local /etc/iproute2 ( -perm /022 -o -not -uid 0 ) -not -type l") == ""
    set_id = "find / -xdev -perm /6000 -type f"
    assert set(inside(set_id).split()) <= set(inside(set_id, BASE_IMAGE).split())


def test_byte_code_is_there_and_valid(image: str) -> None:
    """With a read-only root it cannot be made at start; importing without it takes twice as long."""
    script = """
import os, sys, app.lifecycle.start, app.pid1.node, app.checks.http
for name, module in list(sys.modules.items()):
    spec = getattr(module, "__spec__", None)
    if spec and spec.has_location and spec.cached and not os.path.exists(spec.cached):
        print(name)
"""
    assert python(script) == ""


def test_hadolint_is_content() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")

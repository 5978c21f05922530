"""What the documents say of the image is what the image tests run."""

from __future__ import annotations

import re

import yaml

from app.contract.capabilities import NAMES
from app.settings import load
from lab.engine import RESTRICTED, ROOT

IMAGE_DOC = (ROOT / "docs" / "image.md").read_text(encoding="utf-8")


def test_command_line_is_the_one_that_is_tested() -> None:
    found = re.search(r"^    docker run -d (.*?)docker-keepalived$", IMAGE_DOC, re.DOTALL | re.MULTILINE)
    assert found is not None
    words = found[1].replace("\\\n", " ").split()
    assert words == ["--network", "host", *RESTRICTED, "--env-file", ".env"]


def test_each_capability_has_its_reason() -> None:
    table = re.findall(r"^\| ([A-Z_, ]+) \|", IMAGE_DOC, re.MULTILINE)
    assert table == list(NAMES)


def test_settings_accept_the_environments_of_readme_and_compose() -> None:
    readme = re.search(r"```yaml\n(services:\n.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert readme is not None
    services = [yaml.safe_load(readme[1])["services"]["keepalived"]]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    services += [compose["node1"], compose["node2"]]
    for service in services:
        values = {name: str(text) for name, text in service["environment"].items()}
        if values.pop("KA_AUTH_PASS_FILE", None):
            values["KA_AUTH_PASS"] = "image-12"
        assert load(values).problems == ()

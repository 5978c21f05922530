"""notifier.json, from KA_NOTIFY and KA_NOTIFY_URL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from app.contract.json_file import read_json
from app.contract.notifier_config import NotifierConfig, NotifierLimits
from app.render import render
from tests.unit.machine import LEAST, plan_of

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://me:word@hooks.example:8443/token?key=value"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A KA_DATA_DIR with the script ``tell``."""
    script = tmp_path / "ka-data" / "scripts" / "tell"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    return script.parent.parent


def test_what_the_notifier_reads(data_dir: Path, tmp_path: Path) -> None:
    plan = plan_of(
        LEAST
        | {"KA_NODE_NAME": "n1", "KA_DATA_DIR": str(data_dir), "KA_NOTIFY": "tell", "KA_NOTIFY_URL": URL}
        | {"KA_INCLUDE": "203.0.113.10/24 2001:db8::10/64", "KA_EXCLUDE": "203.0.113.20/24"}
    )
    (file,) = [file for file in render(plan, show_secrets=True) if file.path == "notifier.json"]
    assert (file.mode, file.for_script_user, file.for_siblings) == (0o640, True, False)
    path = tmp_path / "notifier.json"
    path.write_text(file.text)
    assert read_json(path, NotifierConfig) == NotifierConfig(
        node="n1",
        log_level="info",
        transitions="/run/ka/notifier/transitions",
        journal="/run/ka/notifier/journal",
        script=str(data_dir / "scripts" / "tell"),
        url=URL,
        instances={"main-ipv4": ("203.0.113.10", "203.0.113.20"), "main-ipv6": ("2001:db8::10",)},
        limits=NotifierLimits(),
    )


def test_nothing_after_the_host_is_shown() -> None:
    files = render(plan_of(LEAST | {"KA_NOTIFY_URL": URL}), show_secrets=False)
    (file,) = [file for file in files if file.path == "notifier.json"]
    described = json.loads(file.text)
    assert described["url"] == "https://hooks.example:8443/********"
    assert described["script"] is None
    assert not [file.path for file in files if "token" in file.text or "key=value" in file.text or "me:" in file.text]


def test_without_hooks_there_is_no_such_file_and_no_fifo() -> None:
    files = {file.path: file.text for file in render(plan_of(LEAST), show_secrets=True)}
    assert "notifier.json" not in files
    assert "vrrp_notify_fifo" not in files["keepalived.conf"]

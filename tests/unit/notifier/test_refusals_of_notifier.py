"""A notifier that cannot start says why, in one sentence, and nothing of the URL."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, object] = {
    "node": "n1",
    "log_level": "info",
    "script": None,
    "url": "https://hooks.example/secret",
    "instances": {},
}


def start(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "app.notifier", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_usage() -> None:
    assert start() == (78, "usage: python -P -m app.notifier FILE\n")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", ", it is no JSON"),
        ("{", ", it is no JSON"),
        ("[]", ""),
        ('{"url": "https://hooks.example/secret"}', ""),
        ('{"url": ["https://hooks.example/secret"]}', " at url"),
        ('{"unknown": 1}', " at unknown"),
    ],
)
def test_a_file_that_is_not_what_was_rendered(tmp_path: Path, text: str, where: str) -> None:
    config = tmp_path / "notifier.json"
    config.write_text(text)
    said = f"{config}: cannot be understood{where}; it must be the file that ka run writes\n"
    assert start(str(config)) == (78, said)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    status, said = start(str(tmp_path / "none"))
    assert (status, said.count("\n")) == (78, 1)
    assert "cannot be read: No such file or directory" in said


@pytest.mark.parametrize("missing", ["transitions", "journal"])
def test_a_fifo_or_journal_that_is_not_there(tmp_path: Path, missing: str) -> None:
    for name in {"transitions", "journal"} - {missing}:
        (tmp_path / name).touch()
    config = tmp_path / "notifier.json"
    paths = {name: str(tmp_path / name) for name in ("transitions", "journal")}
    config.write_text(json.dumps(GOOD | paths))
    said = f"{tmp_path / missing}: cannot be opened: No such file or directory; it must be as ka run made it\n"
    assert start(str(config)) == (78, said)

"""The schema of a log line, as users get it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest

from app.contract.log_config import Levels, LogConfig, LoggedInstance

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = Path(__file__).parents[3] / "docs" / "log-line.schema.json"


@pytest.fixture(scope="session")
def fits() -> Callable[[str], dict[str, Any]]:
    """Gives the object in a line; fails when the schema refuses it."""
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))

    def check(line: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(line)
        validator.validate(found)
        return found

    return check


@pytest.fixture
def config() -> LogConfig:
    """A node that prints JSON and forwards to two servers."""
    return LogConfig(
        node="n1",
        format="json",
        levels=Levels("info", (("http-checker", "warning"),)),
        targets=("tcp://192.0.2.1:514", "tls://log.example.org:6514"),
        queues=("forward-000000000001", "forward-000000000002"),
        spool="/run/ka/spool",
        instances=(LoggedInstance("main", 100, ("203.0.113.10/24",)),),
        secrets=("s3cret-1",),
    )

"""A script check that is not run any more shuts the gate: keepalived would keep its last result for ever."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from app.contract.gates import OPEN, SHUT
from app.contract.paths import Layout
from app.pid1.script_checks import ScriptWatch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.script_limits.write_text("override 10\noverride-web 30\n")
    for name in ("override", "override-web"):
        layout.override_state(name).mkdir(parents=True)
    return layout


def ran(layout: Layout, name: str, number: int) -> None:
    """The wrapper has written the result of its run of that number; only the stamp of the file matters."""
    result = layout.override_state(name) / "result"
    result.touch(mode=0o600)
    os.utime(result, ns=(number, number))


def test_history(layout: Layout) -> None:
    watch = ScriptWatch(layout)
    assert watch.look(99.0) is None  # none has run yet: keepalived itself waits for the first result
    assert watch.look(199.0) is None
    assert layout.script_gate.read_text() == OPEN
    ran(layout, "override", 1)
    ran(layout, "override-web", 1)
    assert watch.look(200.0) is None
    assert watch.look(210.0) is None
    assert watch.look(210.1) is None  # a machine that slept has had no time yet
    said = watch.look(211.1)
    assert said is not None
    assert said.startswith("override: not run for too long, which counts as failed; no process can be started")
    assert layout.script_gate.read_text() == SHUT
    assert watch.look(212.1) is None
    ran(layout, "override", 2)
    assert watch.look(213.1) == "script checks are run again"
    assert layout.script_gate.read_text() == OPEN

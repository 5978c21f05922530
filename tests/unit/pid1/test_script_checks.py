"""A script check that is not run any more shuts the gate: keepalived would keep its last result for ever."""

from __future__ import annotations

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


def ran(layout: Layout, name: str, at: float) -> None:
    """As the wrapper writes it."""
    text = f'{{"at": {at:13.2f}, "seconds":    0.01, "status":   0, "reason": "healthy"}}\n'
    (layout.override_state(name) / "result").write_text(text)


def test_history(layout: Layout) -> None:
    watch = ScriptWatch(layout)
    assert watch.look(100.0) is None  # none has run yet: keepalived itself waits for the first result
    assert layout.script_gate.read_text() == OPEN
    ran(layout, "override", 100.0)
    ran(layout, "override-web", 100.0)
    assert watch.look(110.0) is None
    assert watch.look(110.1) is None  # a machine that slept has had no time yet
    said = watch.look(111.1)
    assert said is not None
    assert said.startswith("override: not run for too long, which counts as failed; no process can be started")
    assert layout.script_gate.read_text() == SHUT
    assert watch.look(112.1) is None
    ran(layout, "override", 113.0)
    assert watch.look(113.1) == "script checks are run again"
    assert layout.script_gate.read_text() == OPEN


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at": null}', '{"status": 0}'])
def test_what_cannot_be_read_shuts_nothing(layout: Layout, text: str) -> None:
    (layout.override_state("override") / "result").write_text(text)
    watch = ScriptWatch(layout)
    assert [watch.look(now) for now in (1000.0, 1001.0, 1002.0)] == [None] * 3
    assert layout.script_gate.read_text() == OPEN

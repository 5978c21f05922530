"""Thirty faults at random, the same ones each time: what `make chaos` does for as long as you like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.chaos import run

if TYPE_CHECKING:
    from pathlib import Path


def test_thirty_faults(lab_possible: None, tmp_path: Path) -> None:
    assert run(30, 5, tmp_path / "history.jsonl") == []

"""The files of tests/golden are the specification of what is rendered.

A case is a directory: ``given.env`` is its environment, as for ``docker run --env-file``, and every other file is what
comes of it on the machine of tests.unit.machine: ``summary.txt``, and the rendered files by their names. Files that
are the same in every case stand in one of them only. What is in ``data`` is in the node's KA_DATA_DIR, /ka-data.

After a change of what is rendered: ``UPDATE_GOLDEN=1 python -m pytest tests/unit/test_golden.py``, then read the diff.
It writes anew the files that are there, and for a new case keepalived.conf and summary.txt.
"""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.cli import main
from app.host import machine
from app.plan.summary import summary
from app.render import render
from tests.unit.grammar import foreign_lines, is_balanced
from tests.unit.machine import HOST, plan_of

if TYPE_CHECKING:
    from tests.unit.conftest import Ka, Network

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(path.parent for path in GOLDEN.glob("*/given.env"))
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))
ALWAYS = {"keepalived.conf", "summary.txt"}


def given(case: Path) -> dict[str, str]:
    """The environment of a case."""
    lines = (case / "given.env").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: text for name, _, text in pairs}


def expected(case: Path) -> set[str]:
    """The names of the files that a case has, or must have."""
    there = {str(path.relative_to(case)) for path in case.rglob("*") if path.is_file()}
    return {name for name in there if name != "given.env" and not name.startswith("data/")} | ALWAYS


def mounted(case: Path, data_dir: Path) -> dict[str, str]:
    """The environment of a case, with a KA_DATA_DIR of its own: ``data_dir`` and what the case has in there."""
    own = data_dir.with_name(f"data-of-{case.name}")
    shutil.copytree(data_dir, own, dirs_exist_ok=True)
    if (case / "data").is_dir():
        shutil.copytree(case / "data", own, dirs_exist_ok=True)
    environ = {name: text.replace("/ka-data", str(own)) for name, text in given(case).items()}
    return {**environ, "KA_DATA_DIR": str(own)}


def made(case: Path, data_dir: Path) -> dict[str, str]:
    """All that comes of a case."""
    environ = mounted(case, data_dir)
    plan = plan_of(environ)
    files = {file.path: file.text for file in render(plan, show_secrets=True)}
    files["summary.txt"] = "".join(f"{line}\n" for line in (*plan.warnings, *summary(plan)))
    return {path: text.replace(environ["KA_DATA_DIR"], "/ka-data") for path, text in files.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_comes_of_an_environment(case: Path, data_dir: Path) -> None:
    files = made(case, data_dir)
    for name in sorted(expected(case)):
        if UPDATE:
            (case / name).parent.mkdir(exist_ok=True)
            (case / name).write_text(files[name])
        assert files[name] == (case / name).read_text(), name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_keepalived_accepts_it(
    case: Path,
    data_dir: Path,
    network: Network,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``ka check`` on a real network with eth0 and eth1: its facts, and the real keepalived's opinion."""
    # There is no DNS server in there, and the host name is the machine's.
    monkeypatch.setattr(machine, "resolve", lambda name: set(HOST.names[name]))
    monkeypatch.setattr(socket, "gethostname", lambda: HOST.name)
    status = network.call(lambda: main(["check"], mounted(case, data_dir)))
    said = capsys.readouterr()
    assert (status, said.err) == (0, "")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_grammar_knows_every_line(case: Path) -> None:
    """What the tests for injections take for ours is what is rendered."""
    text = (case / "keepalived.conf").read_text()
    assert foreign_lines(text) == []
    assert is_balanced(text)


def test_every_rendered_file_is_specified_somewhere(data_dir: Path) -> None:
    rendered = {name for case in CASES for name in made(case, data_dir)}
    assert rendered == {name for case in CASES for name in expected(case)}


def test_ka_render_prints_the_same(ka: Ka, data_dir: Path) -> None:
    case = GOLDEN / "positional-arguments"
    outcome = ka("render", "keepalived.conf", **{**given(case), "KA_DATA_DIR": str(data_dir)})
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.replace(str(data_dir), "/ka-data") == (case / "keepalived.conf").read_text()

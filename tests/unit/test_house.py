"""The house and what is said of it: generated parts are fresh, files that are named exist, one name is one thing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[2]
MODULES = sorted((CHECKOUT / "app").rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def test_what_is_made_from_the_code_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, CHECKOUT / "scripts" / "generate", "--check"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    """The page of the architecture has its first sentence."""
    assert (ast.get_docstring(parsed(path)) or "").split("\n\n")[0].endswith(".")
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_are_named_exist(document: str) -> None:
    text = (CHECKOUT / document).read_text(encoding="utf-8")
    named = re.findall(r"`((?:app|bench|docs|lab|scripts|tests)/[\w./-]*|supervisord\.conf|pyproject\.toml)`", text)
    assert named
    assert [name for name in named if not (CHECKOUT / name).exists()] == []


@pytest.fixture
def import_rules() -> list[dict[str, Any]]:
    """Who may import whom."""
    tools = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    rules: list[dict[str, Any]] = tools["importlinter"]["contracts"]
    return rules


def test_a_room_beside_the_entry_point_may_know_neither_settings_nor_plan(import_rules: list[dict[str, Any]]) -> None:
    """import-linter asks for a new room's place in the layers; this asks for the rule that the layers cannot say."""
    (beside,) = (row.split(" | ") for row in import_rules[0]["layers"] if "lifecycle" in row)
    (kept_out,) = (rule["source_modules"] for rule in import_rules if "app.plan" in rule.get("forbidden_modules", ()))
    assert kept_out == [f"app.{room}" for room in beside if room != "lifecycle"]


def test_the_import_rules_know_every_package_of_the_image(import_rules: list[dict[str, Any]]) -> None:
    """What two processes agree on may import none of them: pyproject.toml has them as they are imported."""
    (forbidden,) = (r["forbidden_modules"] for r in import_rules if r.get("source_modules") == ["app.contract"])
    locked = set(re.findall(r"^([\w-]+)==", (CHECKOUT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE))
    installed = {
        module
        for module, packages in packages_distributions().items()
        if module.isidentifier()
        and not module.startswith("__")
        and locked & {package.lower().replace("_", "-") for package in packages}
    }
    assert len(installed) >= len(locked)
    assert forbidden == sorted(installed)


def test_a_class_name_stands_once() -> None:
    found = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(CHECKOUT)))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_a_limit_of_time_says_its_unit() -> None:
    """A constant that is a number of seconds ends in _SECONDS, one in milliseconds in _MS."""
    unit = re.compile(r"#: (?:Milliseconds|Seconds)|\"\"\"(?:Milliseconds|Seconds)")
    wrong = []
    for path in MODULES:
        lines = path.read_text(encoding="utf-8").splitlines()
        for above, line, below in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
            name = re.match(r"([A-Z][A-Z_]*) = [0-9.]+$", line)
            said = below if below.startswith('"""') else above
            if name and unit.match(said) and not name[1].endswith(("_SECONDS", "_MS")):
                wrong.append(f"{path.relative_to(CHECKOUT)}: {name[1]}")
    assert wrong == []


def test_the_page_of_the_architecture_has_every_file_of_the_run_directory() -> None:
    page = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    part = page[page.index("## The run directory") : page.index("## A death")]
    paths = (CHECKOUT / "app" / "contract" / "paths.py").read_text(encoding="utf-8")
    named = re.findall(r'(?:self\.run_dir|self\.verdicts) / "([^"]+)"', paths)
    assert len(named) > 20
    assert [name for name in named if name not in part] == []

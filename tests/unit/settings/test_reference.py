"""``ka env``: nothing is left out, and .env.example is what it prints."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from app.settings import known_variables, load
from app.settings.reference import WIDTH, Variable, reference, variables

CHECKOUT = Path(__file__).parents[3]
EXAMPLE = CHECKOUT / ".env.example"
NAMES = known_variables()


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("variable", list(variables()), ids=lambda variable: variable.name)
def test_every_variable_says_what_it_is(variable: Variable) -> None:
    assert variable.description.endswith(".")
    assert variable.accepts


def test_table() -> None:
    text = reference("table")
    assert re.findall(r"^(KA_[A-Z_0-9]+)  \(", text, re.MULTILINE) == NAMES
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "KA_TRACK_IFACE  (required)" in text
    assert "KA_CHECK_STATUS  (200)" in text
    assert "KA_VRID  (not set)" in text


def test_markdown() -> None:
    *lines, blank, besides = reference("markdown").splitlines()
    assert blank == ""
    assert "KA_X_FILE" in besides
    assert "KA_INSTANCES__NAME__X" in besides
    assert lines[:2] == ["| variable | accepts | default | meaning |", "|---|---|---|---|"]
    cells = [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines[2:]]
    assert [row[0].strip(" `") for row in cells] == NAMES
    assert {len(row) for row in cells} == {4}  # a bar in a text would make a column more


def test_json() -> None:
    entries = json.loads(reference("json"))
    assert [entry["name"] for entry in entries] == NAMES
    keys = {"name", "area", "required", "secret", "default", "accepts", "description"}
    assert all(set(entry) == keys for entry in entries)
    found = {entry["name"]: entry for entry in entries}
    assert found["KA_AUTH_PASS"]["secret"] is True
    assert found["KA_TRACK_IFACE"]["required"] is True
    assert (found["KA_CHECK_INTERVAL"]["default"], found["KA_MASTER"]["default"]) == ("2", "false")
    assert found["KA_VRID"]["default"] is None


def test_dotenv() -> None:
    text = reference("dotenv")
    assert re.findall(r"^#?(KA_[A-Z_0-9]+)=", text, re.MULTILINE) == NAMES
    assert all(line == "" or line.startswith(("#", "KA_")) for line in text.splitlines())


def test_the_example_is_up_to_date() -> None:
    assert EXAMPLE.read_text() == reference("dotenv"), "make generate"


def test_the_example_works_as_it_is() -> None:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line.startswith("KA_")]
    loaded = load(dict(line.split("=", 1) for line in lines))
    assert loaded.problems == ()


def test_the_example_works_with_every_line_put_to_use() -> None:
    lines = re.findall(r"^#?(KA_[A-Z_0-9]+=.*)", EXAMPLE.read_text(), re.MULTILINE)
    assert len(lines) == len(NAMES)
    assert load(dict(line.split("=", 1) for line in lines)).problems == ()


def test_an_unknown_style() -> None:
    with pytest.raises(KeyError):
        reference("yaml")

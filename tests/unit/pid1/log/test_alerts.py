"""The alert rules speak of fields that lines have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.pid1.conftest import SCHEMA

RULES = Path(__file__).parents[4] / "deploy" / "alerts" / "loki-rules.yaml"
FIELDS: dict[str, Any] = json.loads(SCHEMA.read_text())["properties"]


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_uses_the_schema(rule: dict[str, Any]) -> None:
    expression = rule["expr"]
    after_json = re.findall(r"\| json \|(.*?)\[", expression)
    assert len(after_json) == expression.count("{container=")
    for filters in after_json:
        for field, value in re.findall(r"(\w+)\s*(?:=|>)\s*(\"[^\"]*\"|\d+)", filters):
            assert field in FIELDS, field
            if "enum" in FIELDS[field]:
                assert json.loads(value) in FIELDS[field]["enum"], value
        for field in re.findall(r"unwrap (\w+)", filters):
            assert FIELDS[field]["type"] == "integer"
    labels = [label for found in re.findall(r"by \(([^)]*)\)", expression) for label in found.split(", ")]
    assert set(labels) <= set(FIELDS)
    used = re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))
    assert set(used) <= set(labels)
    assert expression.count("(") == expression.count(")")
    assert rule["labels"]["severity"] in {"warning", "critical"}


def test_names_differ() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)

"""From a record to its file and back; and what is said of a file that is not what was written."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.errors import ConfigError
from app.contract.json_file import from_json, read_json, to_json

if TYPE_CHECKING:
    from pathlib import Path


class Inner(NamedTuple):
    """What a small process reads."""

    text: str | None
    pairs: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Outer:
    """One of everything."""

    number: int
    seconds: float
    flag: bool
    inner: Inner
    many: tuple[Inner, ...]
    by_name: dict[str, tuple[str, ...]]


GOOD = Outer(1, 0.5, True, Inner("ü"), (Inner(None, (("a", 1),)), Inner("b")), {"x": ("1", "2"), "y": ()})


def refused(text: str) -> str:
    """What is said of ``text``."""
    with pytest.raises(ConfigError) as caught:
        from_json(text, Outer, "outer.json")
    (problem,) = caught.value.problems
    return str(problem)


def test_there_and_back() -> None:
    assert from_json(to_json(GOOD), Outer) == GOOD


def test_a_default_may_be_left_out() -> None:
    assert from_json('{"text": "a"}', Inner) == Inner("a")


def test_a_whole_number_of_seconds() -> None:
    found = from_json(to_json(GOOD).replace("0.5", "2"), Outer)
    assert (found.seconds, type(found.seconds)) == (2.0, float)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (("1,", '"1",'), "number"),
        (("1,", "true,"), "number"),
        (("true", "1"), "flag"),
        (('"ü"', "1"), "inner.text"),
        (('"b"', "[]"), "many[1].text"),
        (('"2"', "2"), "by_name.x[1]"),
        (('"number"', '"nummer"'), "nummer"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(wrong: tuple[str, str], where: str) -> None:
    text = to_json(GOOD).replace(*wrong, 1)
    assert refused(text) == f"outer.json: cannot be understood at {where}; it must be the file that ka run writes"


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_no_json(text: str) -> None:
    assert refused(text) == "outer.json: cannot be understood, it is no JSON; it must be the file that ka run writes"


@pytest.mark.parametrize("text", ["{}", "[]", "1", "null"])
def test_another_thing_altogether(text: str) -> None:
    assert refused(text) == "outer.json: cannot be understood; it must be the file that ka run writes"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "Is a directory"), (tmp_path / "none", "No such file or directory")):
        with pytest.raises(ConfigError) as caught:
            read_json(path, Outer)
        assert str(caught.value) == f"{path}: cannot be read: {why}; it must be the file that ka run writes"


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)
    | st.dictionaries(st.text(), st.text())
)
def test_any_value_anywhere_is_taken_or_refused(value: Any) -> None:
    described = json.loads(to_json(GOOD))
    for name in described:
        with contextlib.suppress(ConfigError):
            from_json(json.dumps({**described, name: value}), Outer)

"""JSON files between two processes: from a frozen record to its text, and back.

A record is a frozen dataclass; a NamedTuple where the process that reads it must stay small, for dataclasses load
1.3 MiB (so this module does not). Its fields are texts, numbers, booleans, None, records, tuples and dictionaries.
What is in a file was proven before it was written: the way back only sees that the file is whole and of this version.
"""

from __future__ import annotations

import functools
import json
import types
import typing
from typing import TYPE_CHECKING, Any, TypeVar

from app.contract.errors import ConfigError, Problem

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

_RIGHT = "it must be the file that ka run writes"


class _NotUnderstoodError(Exception):
    """Carries the place, such as ``checks[0].rise``."""


def to_json(record: Any) -> str:
    """The text of a record's file."""
    return json.dumps(_plain(record), indent=2, ensure_ascii=False) + "\n"


def read_json(path: Path, kind: type[T]) -> T:
    """The record in a file. Raises ConfigError, whose sentence shows nothing of the file: a secret may be in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(Problem(str(path), f"cannot be read: {error.strerror}; {_RIGHT}")) from None
    except UnicodeDecodeError:
        raise ConfigError(Problem(str(path), f"cannot be understood, it is no text; {_RIGHT}")) from None
    return from_json(text, kind, str(path))


def from_json(text: str, kind: type[T], source: str = "text") -> T:
    """The record in ``text``. Raises ConfigError, which names ``source`` and the place."""
    try:
        record: T = _made(json.loads(text), kind, "")
    except _NotUnderstoodError as error:
        place = f" at {error}" if str(error) else ""
        raise ConfigError(Problem(source, f"cannot be understood{place}; {_RIGHT}")) from None
    except (ValueError, RecursionError):
        raise ConfigError(Problem(source, f"cannot be understood, it is no JSON; {_RIGHT}")) from None
    return record


def _field_names(kind: Any) -> tuple[str, ...] | None:
    """The fields of a record, in order; None for what is no record."""
    return getattr(kind, "_fields", None) or tuple(getattr(kind, "__dataclass_fields__", ())) or None


def _plain(value: Any) -> Any:
    if (names := _field_names(type(value))) is not None:
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _made(value: Any, kind: Any, place: str) -> Any:
    """``value`` as a ``kind``. Raises _NotUnderstoodError with the place of what is something else."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if _field_names(kind) is not None:
        return _record(value, kind, place)
    if origin in (types.UnionType, typing.Union):
        return None if value is None and type(None) in arguments else _made(value, arguments[0], place)
    if origin is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        if len(kinds) == len(value):
            return tuple(
                _made(item, one, f"{place}[{number}]")
                for number, (item, one) in enumerate(zip(value, kinds, strict=True))
            )
    elif origin is dict and isinstance(value, dict):
        return {name: _made(item, arguments[1], f"{place}.{name}") for name, item in value.items()}
    elif kind is float and type(value) in (int, float):
        return float(value)
    elif type(value) is kind:
        return value
    raise _NotUnderstoodError(place)


@functools.cache
def _kinds(kind: Any) -> dict[str, Any]:
    """The types of a record's fields; finding them out for each of a thousand targets would take 100 ms."""
    return typing.get_type_hints(kind)


def _record(value: Any, kind: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise _NotUnderstoodError(place)
    kinds = _kinds(kind)
    names = _field_names(kind) or ()
    dot = "." if place else ""
    if unknown := [name for name in value if name not in names]:
        raise _NotUnderstoodError(f"{place}{dot}{unknown[0]}")
    fields = {name: _made(value[name], kinds[name], f"{place}{dot}{name}") for name in names if name in value}
    try:
        return kind(**fields)
    except TypeError:  # a field is missing that has no default
        raise _NotUnderstoodError(place) from None

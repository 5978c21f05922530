"""How the text of a variable becomes a value, and the words for what it accepts.

A :class:`Text` sits in a field's annotation. It is the one place for a rule about a single value: the model
enforces it, the error message quotes it and the reference (``ka env``) prints it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic_core import PydanticCustomError, core_schema

from app.contract.environ import on_one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler

T = TypeVar("T")

#: More of a wrong value than this says nothing more.
LONGEST_SHOWN = 60

TRUE_WORDS = ("true", "yes", "on", "1")
FALSE_WORDS = ("false", "no", "off", "0")


def shown(found: str) -> str:
    """A wrong value as it can be printed: on one line, and not endless."""
    safe = on_one_line(found)
    return safe if len(safe) <= LONGEST_SHOWN else f"{safe[:LONGEST_SHOWN]}…"


def wrong(found: str, accepts: str) -> PydanticCustomError:
    """The error ``cannot be FOUND; it must be ACCEPTS``."""
    # The sentence goes in as a value: braces in what was found are not placeholders.
    return PydanticCustomError("ka", "{sentence}", {"sentence": f"cannot be {shown(found)}; it must be {accepts}"})


@dataclass(frozen=True)
class Text(Generic[T]):
    """Parses a variable's text.

    ``parse`` raises ValueError for what it does not accept; a ValueError with an argument says what would be right
    in place of ``accepts``. A ``secret`` value never appears in an error; ``mask`` takes secret parts out of others.
    """

    accepts: str
    parse: Callable[[str], T]
    secret: bool = False
    mask: Callable[[str], str] = str

    def validate(self, value: Any) -> Any:
        """The parsed value; what is no text (a default) stays as it is. Raises PydanticCustomError."""
        return self._parsed(value) if isinstance(value, str) else value

    def _parsed(self, text: str) -> Any:
        try:
            return self.parse(text)
        except ValueError as error:
            accepts = str(error.args[0]) if error.args else self.accepts
            found = f"a text of {len(text)} characters" if self.secret else self.mask(text)
            raise wrong(found, accepts) from None

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)


@dataclass(frozen=True)
class TextList(Text[T]):
    """A list, split on commas and white space; ``parse`` gets one item, and an error names that item."""

    separator: str = r"[\s,]+"

    def _parsed(self, text: str) -> tuple[T, ...]:
        items = [item for item in re.split(self.separator, text) if item]
        if not items:
            raise wrong(text, self.accepts)
        return tuple(super(TextList, self)._parsed(item) for item in items)


def integer(low: int, high: int, *, unit: str = "") -> Text[int]:
    """A whole number from ``low`` to ``high``."""

    def parse(text: str) -> int:
        text = text.replace("−", "-")  # as the reference prints it
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return Text(f"{low}–{high}{unit}".replace("-", "−"), parse)


def seconds(low: str, high: str) -> Text[float]:
    """A number of seconds from ``low`` to ``high``, in steps of 10 ms (the grain of VRRP version 3)."""

    def parse(text: str) -> float:
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise ValueError from None
        if not number.is_finite() or not Decimal(low) <= number <= Decimal(high) or number % Decimal("0.01"):
            raise ValueError
        return float(number)

    return Text(f"{low}–{high} seconds", parse)


def boolean() -> Text[bool]:
    """Yes or no, in any of the usual words."""

    def parse(text: str) -> bool:
        if text.lower() not in TRUE_WORDS + FALSE_WORDS:
            raise ValueError
        return text.lower() in TRUE_WORDS

    return Text("true or false", parse)


def choice(*words: str) -> Text[str]:
    """One of a few words."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError
        return text.lower()

    return Text(" or ".join(words) if len(words) == 2 else f"one of {', '.join(words)}", parse)


def matching(pattern: str, accepts: str) -> Text[str]:
    """Text of a character class: nothing that could end a line or a quotation in a rendered file."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return Text(accepts, parse)


def directory(accepts: str = "an absolute path") -> Text[Path]:
    """An absolute path that needs no quoting in any of the rendered files."""

    def parse(text: str) -> Path:
        path = Path(text)
        if not re.fullmatch(r"(/[A-Za-z0-9_.+-]+)+/?", text) or ".." in path.parts:
            raise ValueError
        return path

    return Text(f"{accepts}, of letters, digits and _.+-/", parse)


def or_auto(text: Text[T]) -> Text[T | str]:
    """What ``text`` accepts, or the word ``auto``."""
    return Text(f"{text.accepts} or auto", lambda found: "auto" if found.lower() == "auto" else text.parse(found))

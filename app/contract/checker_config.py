"""What the checker is told: the rendered JSON file as frozen dataclasses, read strictly."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.contract import check_url
from app.contract.pattern import compile_pattern
from app.contract.verdict import HEARTBEAT

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST_INTERVAL = 0.01
"""Seconds. Below it the checker would do nothing but probe."""

LONGEST = 86400.0
"""Seconds: the upper limit of every time here."""

LEVELS = ("debug", "info", "warning", "error")

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.6.2
_FIELD = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VALUE = re.compile(r"-?[0-9]{1,4}")


class CheckerConfigError(ValueError):
    """One sentence: where, what was found, what would be right."""


@dataclass(frozen=True, slots=True)
class CheckTarget:
    """One thing to probe and what counts as a good answer."""

    address: check_url.CheckUrl
    status: tuple[tuple[int, int], ...] = ((200, 200),)
    headers: tuple[tuple[str, str], ...] = ()
    ca_file: str | None = None
    insecure: bool = False
    body: re.Pattern[str] | None = None
    follow: bool = False

    def accepts(self, status: int) -> bool:
        """Whether a status code counts as success."""
        return any(low <= status <= high for low, high in self.status)

    @property
    def wanted(self) -> str:
        """The accepted status codes as people write them: `200-299,301`."""
        return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in self.status)

    @property
    def needs_tls(self) -> bool:
        """A followed redirect may lead to https."""
        return self.address.scheme == "https" or self.follow


@dataclass(frozen=True, slots=True)
class CheckerCheck:
    """One verdict: up when every target is up. Times in seconds."""

    name: str
    up: str
    down: str
    interval: float
    fast_interval: float
    slow_interval: float
    timeout: float
    rise: int
    fall: int
    targets: tuple[CheckTarget, ...]


@dataclass(frozen=True, slots=True)
class CheckerConfig:
    """Everything the checker does."""

    verdicts: Path
    log_level: str
    checks: tuple[CheckerCheck, ...]
    report: Path | None = None

    @property
    def needs_tls(self) -> bool:
        """Whether any target needs it; loading it costs memory and start-up time."""
        return any(target.needs_tls for check in self.checks for target in check.targets)


def load(path: Path) -> CheckerConfig:
    """Reads the file. Raises ConfigError."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckerConfigError(
            f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
        ) from None


def parse(text: str, source: str = "config") -> CheckerConfig:
    """The text of such a file; `source` starts every complaint. Raises ConfigError."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise CheckerConfigError(f"{source}: is not JSON: {error}") from None
    root = _Object(content, source)
    checks = tuple(_check(_Object(item, where)) for item, where in root.items("checks"))
    names = [check.name for check in checks]
    for name in names:
        if names.count(name) > 1:
            raise CheckerConfigError(f"{source}: checks: two are called {name}; every verdict needs a name of its own")
    config = CheckerConfig(
        verdicts=Path(root.text("verdicts")),
        log_level=root.one("log_level", "info", LEVELS),
        checks=checks,
        report=Path(root.text("report")) if root.has("report") else None,
    )
    root.finish()
    return config


def _check(item: _Object) -> CheckerCheck:
    interval = item.seconds("interval", None, SHORTEST_INTERVAL)
    up = item.matching("up", _VALUE, "an integer as text")
    down = item.matching("down", _VALUE, "an integer as text")
    if int(up) == int(down):
        item.refuse("down", down, "another value than up")
    name = item.matching("name", _NAME, "1–64 letters, digits, - or _")
    if name == HEARTBEAT:
        item.refuse("name", name, "another name: that file is the heartbeat")
    check = CheckerCheck(
        name=name,
        up=up,
        down=down,
        interval=interval,
        fast_interval=item.seconds("fast_interval", interval, SHORTEST_INTERVAL),
        slow_interval=item.seconds("slow_interval", interval, SHORTEST_INTERVAL),
        timeout=item.seconds("timeout", interval, SHORTEST_INTERVAL),
        rise=item.count("rise"),
        fall=item.count("fall"),
        targets=tuple(_target(_Object(entry, where)) for entry, where in item.items("targets")),
    )
    item.finish()
    return check


def _target(item: _Object) -> CheckTarget:
    url = item.text("url")
    try:
        parsed = check_url.parse_check_url(url)
    except check_url.CheckUrlError as error:
        raise CheckerConfigError(f"{item.where}: url: {error}") from None
    target = CheckTarget(
        address=parsed,
        status=tuple(_range(entry, where) for entry, where in item.items("status", default=[[200, 200]])),
        headers=item.headers("headers"),
        ca_file=item.text("ca_file") if item.has("ca_file") else None,
        insecure=item.flag("insecure"),
        body=item.pattern("body"),
        follow=item.flag("follow"),
    )
    if target.ca_file and target.insecure:
        raise CheckerConfigError(f"{item.where}: has both ca_file and insecure; it must be one of them")
    if parsed.authorization and any(name.lower() == "authorization" for name, _value in target.headers):
        raise CheckerConfigError(f"{item.where}: has both credentials in the URL and an Authorization header")
    item.finish()
    return target


def _range(entry: object, where: str) -> tuple[int, int]:
    match entry:
        case [int(low), int(high)] if 100 <= low <= high <= 599:
            return low, high
    raise CheckerConfigError(f"{where}: cannot be {_shown(entry)}; it must be [LOW, HIGH] within 100–599")


class _Object:
    """One JSON object that knows where it stands, hands its keys out checked, and complains of the keys left over."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, dict):
            raise CheckerConfigError(f"{where}: cannot be {_shown(content)}; it must be an object")
        self._left: dict[str, Any] = dict(content)
        self.where = where

    def has(self, key: str) -> bool:
        return key in self._left

    def text(self, key: str) -> str:
        return self._text(key, None, lambda value: isinstance(value, str) and value != "", "text")

    def one(self, key: str, default: str, of: tuple[str, ...]) -> str:
        return self._text(key, default, lambda value: value in of, f"one of {', '.join(of)}")

    def matching(self, key: str, pattern: re.Pattern[str], right: str) -> str:
        return self._text(key, None, lambda value: isinstance(value, str) and pattern.fullmatch(value), right)

    def seconds(self, key: str, default: float | None, least: float) -> float:
        right = f"seconds from {least:g} to {LONGEST:g}"
        return float(self._take(key, default, lambda value: _is_number(value) and least <= value <= LONGEST, right))

    def count(self, key: str) -> int:
        return int(self._take(key, None, lambda value: type(value) is int and 1 <= value <= 1000, "1–1000"))

    def flag(self, key: str) -> bool:
        return bool(self._take(key, False, lambda value: isinstance(value, bool), "true or false"))

    def items(self, key: str, default: list[Any] | None = None) -> list[tuple[Any, str]]:
        """The entries of a list, each with where it stands; without a default the list must not be empty."""
        right = "a list" if default == [] else "a list of at least one"
        given = self._take(key, default, lambda value: isinstance(value, list) and (value or default == []), right)
        return [(entry, f"{self.where}: {key}[{index}]") for index, entry in enumerate(given)]

    def headers(self, key: str) -> tuple[tuple[str, str], ...]:
        """Names and values that HTTP allows; a value may be a secret, so no complaint shows one."""
        given = self._take(key, {}, lambda value: isinstance(value, dict), "an object of name: text")
        for name, value in given.items():
            if not _TOKEN.fullmatch(name):
                self.refuse(key, name, "names of letters, digits and -")
            if not isinstance(value, str) or not _FIELD.fullmatch(value):
                raise CheckerConfigError(
                    f"{self.where}: {key}: the value of {name} must be text without control characters"
                )
        return tuple(given.items())

    def pattern(self, key: str) -> re.Pattern[str] | None:
        if not self.has(key):
            return None
        text = self.text(key)
        try:
            return compile_pattern(text)
        except ValueError as error:
            raise CheckerConfigError(f"{self.where}: {key}: cannot be {_shown(text)}: {error}") from None

    def refuse(self, key: str, value: object, right: str) -> Any:
        """Raises; typed as a value so that it can stand where one is due."""
        raise CheckerConfigError(f"{self.where}: {key}: cannot be {_shown(value)}; it must be {right}")

    def finish(self) -> None:
        for key in self._left:
            raise CheckerConfigError(f"{self.where}: {_shown(key)} is not known")

    def _text(self, key: str, default: str | None, right: Callable[[Any], object], words: str) -> str:
        return str(self._take(key, default, right, words))

    def _take(self, key: str, default: object, right: Callable[[Any], object], words: str) -> Any:
        if key not in self._left:
            if default is None:
                raise CheckerConfigError(f"{self.where}: {key} is missing; it must be {words}")
            return default
        value = self._left.pop(key)
        if not right(value):
            self.refuse(key, value, words)
        return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."

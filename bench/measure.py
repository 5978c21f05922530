"""How often, and in which words a row of figures is given."""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Row:
    """What was measured, in ``unit``, and the most it may be (None: no limit)."""

    what: str
    values: tuple[float, ...]
    unit: str
    limit: float | None = None

    @property
    def median(self) -> float:
        """The figure to quote."""
        return statistics.median(self.values)

    @property
    def keeps_limit(self) -> bool:
        """Whether the median is within the limit."""
        return self.limit is None or self.median <= self.limit


def repeat(what: str, times: int, once: Callable[[], float], *, unit: str = "ms", limit: float | None = None) -> Row:
    """Measures ``times`` times, and shows that it goes on."""
    values = []
    for number in range(times):
        if sys.stdout.isatty():
            print(f"\r{what}: {number + 1} of {times} ", end="", flush=True)
        values.append(once())
    start = "\r" if sys.stdout.isatty() else ""
    print(f"{start}{what}: median {statistics.median(values):.1f} {unit}", flush=True)
    return Row(what, tuple(values), unit, limit)


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| what | times | median | lowest | highest | at most |", "|---|---|---|---|---|---|"]
    for row in rows:
        limit = "" if row.limit is None else f"{row.limit:g} {row.unit}{'' if row.keeps_limit else ' — **missed**'}"
        figures = " | ".join(f"{figure:.1f} {row.unit}" for figure in (row.median, min(row.values), max(row.values)))
        lines.append(f"| {row.what} | {len(row.values)} | {figures} | {limit} |")
    return "\n".join(lines)

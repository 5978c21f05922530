"""What can be wrong with what the operator asked for, and the exit statuses that say so."""

from __future__ import annotations

import os
from typing import NamedTuple

#: Exit statuses of ``ka`` (names from sysexits.h).
EXIT_STOPPED = 0
EXIT_FAILED = os.EX_SOFTWARE  # 70: a program failed for good
EXIT_CONFIG = os.EX_CONFIG  # 78: the configuration is wrong, nothing was started


class Problem(NamedTuple):
    """One thing that must be put right, as one sentence that names the variable or file it is about.

    No dataclass: processes that must stay small have it too.
    """

    subject: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.sentence}"


class ConfigError(Exception):
    """The configuration is wrong; carries every problem that was found, not only the first."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems

"""The operator's regular expression, which must not stop the checker: some take ages for a body made for it."""

from __future__ import annotations

import re
import signal
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

TIME_LIMIT_SECONDS = 0.1
"""Seconds of processor time that one search may take; an ordinary one takes microseconds."""


class SlowPatternError(Exception):
    """A search was given up."""


def compile_pattern(text: str) -> re.Pattern[str]:
    """Raises ValueError with a few words on what is wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what later Pythons will read otherwise
            return re.compile(text)
    except re.error as error:
        raise ValueError(error.msg) from None
    except (RecursionError, OverflowError, MemoryError):
        raise ValueError("it is too deep or too large") from None


def search(pattern: re.Pattern[str], text: str) -> bool:
    """Whether the pattern is found. Raises SlowPatternError after TIME_LIMIT_SECONDS. Only for the main thread.

    Python's engine looks for signals while it searches, and an error that a handler raises ends the search.
    """
    before = signal.signal(signal.SIGVTALRM, _give_up)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, TIME_LIMIT_SECONDS)
        try:
            return pattern.search(text) is not None
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    finally:
        signal.signal(signal.SIGVTALRM, before)


def _give_up(_number: int, _frame: FrameType | None) -> None:
    raise SlowPatternError

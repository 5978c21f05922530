"""How long the lab waits for what nothing tells of, and for everything else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds after which a wait has come to nothing: a busy machine is slow, not broken.
LIMIT_SECONDS = 30.0

_T = TypeVar("_T")


def wait_until(find: Callable[[], _T | None], what: str, timeout: float = LIMIT_SECONDS, *, pause: float = 0.01) -> _T:
    """What `find` gives as soon as it gives something that is true, asked every `pause` seconds.

    Raises LabError, which says that `what` did not come, after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not (found := find()):
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {timeout:g} s")
        time.sleep(pause)
    return found

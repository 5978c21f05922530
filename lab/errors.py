"""The one exception of the lab."""

from __future__ import annotations


class LabError(RuntimeError):
    """The lab cannot do what it was asked.

    The text is one sentence; where a wait came to nothing, the logs and the timeline follow, so that a failed test can
    be understood from its output alone.
    """

"""The category environment: what the settings, the plan's rules and keepalived itself have to say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from app.operate.doctor.catalogue import found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.operate.doctor.catalogue import Finding
    from app.operate.doctor.scene import Scene

#: A plain variable or an instance's, with and without what says that its value is in a file.
_VARIABLE = re.compile(r"KA_(?:INSTANCES__.+?__)?((.+?)(?:_FILE)?)")


def look(scene: Scene) -> Iterator[Finding]:
    """Every problem and warning of the environment."""
    examined = scene.examined
    for problem in examined.problems:
        yield found("KA0101", problem=problem, command=_explains(problem.subject))
    for refusal in examined.refusals:
        yield found("KA0102", problem=refusal)
    for warning in examined.warnings:
        yield found("KA0103", warning=warning, command=_explains(warning.partition(":")[0]))


def _explains(subject: str) -> str:
    """The line that prints what a variable means and accepts; what is none needs no explanation."""
    match = _VARIABLE.fullmatch(subject)
    if match is None:
        return "ka check"
    names = "|".join(f"KA_{name}" for name in dict.fromkeys(match.groups()))
    one = f"({names})" if "|" in names else names
    return f"ka env --format dotenv | grep -E -B 4 '^#?{one}='"

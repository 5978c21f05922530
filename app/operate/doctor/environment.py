"""The category environment: what the settings, the plan's rules and keepalived itself have to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.operate.doctor.catalogue import found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.operate.doctor.catalogue import Finding
    from app.operate.doctor.scene import Scene


def look(scene: Scene) -> Iterator[Finding]:
    """Every problem and warning of the environment."""
    examined = scene.examined
    for problem in examined.problems:
        yield found("KA0101", problem=problem, variable=problem.subject.removesuffix("_FILE"))
    for refusal in examined.refusals:
        yield found("KA0102", problem=refusal)
    for warning in examined.warnings:
        yield found("KA0103", warning=warning, variable=warning.partition(":")[0].removesuffix("_FILE"))

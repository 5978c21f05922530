"""Looks at each category in turn, and says what was found."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from app.operate.doctor import checks, environment, host, kubernetes, link, logs, network, vrrp
from app.operate.doctor.catalogue import AILMENTS, CATEGORIES, MARKS
from app.operate.doctor.scene import NotLookedAtError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from app.operate.doctor.catalogue import Finding
    from app.operate.doctor.scene import Scene

#: A choice that does not exist, in the words of monitoring plugins: unknown.
EXIT_UNKNOWN = 3

NOT_LOOKED_AT = "–"

LOOKS: dict[str, Callable[[Scene], Iterator[Finding]]] = {
    "environment": environment.look,
    "host": host.look,
    "link": link.look,
    "network": network.look,
    "VRRP": vrrp.look,
    "checks": checks.look,
    "logs": logs.look,
    "Kubernetes": kubernetes.look,
}


@dataclass(frozen=True)
class CategoryResult:
    """What a category came to. ``skipped``: why it was not looked at; ``ms``: what it took."""

    name: str
    findings: tuple[Finding, ...]
    skipped: str | None
    ms: float

    @property
    def mark(self) -> str:
        """Of the worst."""
        if self.skipped and not self.findings:
            return NOT_LOOKED_AT
        return MARKS[max((finding.severity for finding in self.findings), default=None)]


def unknown(only: Sequence[str]) -> str | None:
    """A sentence about a choice that is neither a category nor a code; None when all are."""
    for choice in only:
        if choice.upper() not in AILMENTS and _category(choice) is None:
            known = ", ".join(CATEGORIES.values())
            return f"--only {choice}: there is no such code or category; the categories are {known}"
    return None


def diagnose(scene: Scene, only: Sequence[str] = ()) -> Iterator[CategoryResult]:
    """Each category that was chosen, as it is looked at; none chosen: all."""
    codes = {choice.upper() for choice in only if choice.upper() in AILMENTS}
    whole = {category for choice in only if (category := _category(choice))}
    wanted = whole | {AILMENTS[code].category for code in codes} or set(LOOKS)
    for name in LOOKS:
        if name in wanted:
            chosen = codes if only and name not in whole else None
            yield _looked_at(name, scene, chosen)


def _looked_at(name: str, scene: Scene, codes: Collection[str] | None) -> CategoryResult:
    began = time.monotonic()
    findings: list[Finding] = []
    skipped = None
    try:
        for finding in LOOKS[name](scene):
            if codes is None or finding.code in codes:
                findings.append(finding)
    except NotLookedAtError as error:
        skipped = str(error)
    except (OSError, subprocess.CalledProcessError) as error:
        skipped = f"the kernel does not say: {error}"
    return CategoryResult(name, tuple(findings), skipped, (time.monotonic() - began) * 1000)


def _category(choice: str) -> str | None:
    return next((name for name in CATEGORIES.values() if name.lower() == choice.lower()), None)


def in_words(result: CategoryResult) -> Iterator[str]:
    """The lines for people."""
    yield f"{result.mark} {result.name}" + (f": not looked at, {result.skipped}" if result.skipped else "")
    for finding in result.findings:
        yield f"  {MARKS[finding.severity]} {finding.code} {finding.sentence}"
        yield f"      {finding.cure}"
        yield f"      {finding.page}"


def in_json(results: Sequence[CategoryResult]) -> str:
    """For programs."""
    categories = [
        {
            "name": result.name,
            "skipped": result.skipped,
            "ms": round(result.ms, 1),
            "findings": [
                {**asdict(finding), "severity": finding.severity.name.lower(), "page": finding.page}
                for finding in result.findings
            ],
        }
        for result in results
    ]
    return json.dumps({"status": status_of(results), "categories": categories}, indent=2, ensure_ascii=False)


def status_of(results: Sequence[CategoryResult]) -> int:
    """The exit status: 0, or that of the worst finding."""
    return max((int(finding.severity) for result in results for finding in result.findings), default=0)


def catalogue_lines() -> Iterator[str]:
    """Every code with its sentence, for ``--list``."""
    for ailment in AILMENTS.values():
        yield f"{ailment.code} {MARKS[ailment.severity]} {ailment.category}: {ailment.sentence}"

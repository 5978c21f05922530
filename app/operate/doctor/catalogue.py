"""Everything that ``ka doctor`` can find, read from catalogue.toml, of which docs/doctor.md is made too."""

from __future__ import annotations

import enum
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

CATALOGUE = Path(__file__).with_name("catalogue.toml")

#: The categories by the first two digits of their codes, in the order in which they are looked at.
CATEGORIES = {
    "01": "environment",
    "02": "host",
    "03": "link",
    "04": "network",
    "05": "VRRP",
    "06": "checks",
    "07": "logs",
    "08": "Kubernetes",
}


class Severity(enum.IntEnum):
    """How bad it is; the exit status of the command is the worst one's."""

    WARNING = 1
    ERROR = 2


#: How people see it; None: nothing was found.
MARKS = {None: "✓", Severity.WARNING: "‼", Severity.ERROR: "×"}


class Ailment(NamedTuple):
    """One thing that can be wrong, with the places for what was found still empty."""

    code: str
    severity: Severity
    sentence: str
    cure: str
    why: str

    @property
    def category(self) -> str:
        """The name of its category."""
        return CATEGORIES[self.code[2:4]]


@dataclass(frozen=True)
class Finding:
    """An ailment that this node has, in words."""

    code: str
    category: str
    severity: Severity
    sentence: str
    cure: str

    @property
    def page(self) -> str:
        """Where more is said of it."""
        return f"docs/doctor.md#{self.code.lower()}"


def _read() -> tuple[dict[str, Ailment], frozenset[str]]:
    content = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))
    retired = frozenset(content.pop("retired"))
    ailments = {
        code: Ailment(code, Severity[entry.pop("severity").upper()], **entry) for code, entry in sorted(content.items())
    }
    return ailments, retired


#: By code, and the codes that stood for something once.
AILMENTS, RETIRED = _read()


def found(code: str, **facts: object) -> Finding:
    """The finding with that code, about ``facts``."""
    ailment = AILMENTS[code]
    sentence, cure = (text.format(**facts) for text in (ailment.sentence, ailment.cure))
    return Finding(code, ailment.category, ailment.severity, sentence, cure)


def document() -> str:
    """docs/doctor.md."""
    parts = [_INTRODUCTION]
    for name in CATEGORIES.values():
        parts.append(f"\n## {name}\n")
        for ailment in AILMENTS.values():
            if ailment.category == name:
                said = f"{MARKS[ailment.severity]} `{ailment.sentence}`"
                parts.append(f"\n### {ailment.code}\n\n{said}\n\n{ailment.why}\n\n    {ailment.cure}\n")
    return "".join(parts)


_INTRODUCTION = """# ka doctor

<!-- Made from app/operate/doctor/catalogue.toml by `make generate`. -->

Why does my VIP not work? Before anything runs, and beside a node that runs:

    docker run --rm --network host --env-file .env docker-keepalived doctor
    docker exec NAME ka doctor

It changes nothing. It listens for three adverts, asks by ARP and ND who has the VIPs, and sends an advert of VRID 0,
which no router heeds, to see whether the firewall lets it through. `--only CATEGORY` or `--only CODE` looks at a part
(it may be given again), `--json` is for programs, `--list` prints every code. Exit status, as of a monitoring plugin:
0 nothing found, 1 warnings (‼), 2 errors (×), 3 there is no such category or code.

Give the first line the capabilities that the node will have (`--cap-drop ALL --cap-add …`, as in README): those that
are missing are findings. What cannot be seen from a container is not guessed: which links NetworkManager or
systemd-networkd manage, what cloud-init does at the next boot, what a switch or a cloud drops on the way.
"""

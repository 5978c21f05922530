"""`ka doctor` in a node, as a test or a person asks it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.pair import ENVIRONMENT, KA, NO_CHECK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab import Node

#: A node that is healthy and has nothing that the doctor could blame.
SOUND = {**ENVIRONMENT, **NO_CHECK, "KA_ADVERT_INTERVAL": "1", "KA_AUTH_PASS": "secret12", "KA_PRIORITY": "254"}

#: The finding that this host lets a program run too late.
LATE = "KA0507"

#: A container in which nothing runs yet.
IDLE = ("sleep", "3600")


@dataclass(frozen=True)
class Diagnosis:
    """What it found: ``sentences`` by code, and what it took for each category in ``ms``."""

    status: int
    sentences: dict[str, str]
    cures: dict[str, str]
    skipped: dict[str, str]
    ms: dict[str, float]

    @property
    def codes(self) -> set[str]:
        """The codes of all findings but one: a machine that runs tests may itself be late, and that is no fault."""
        return set(self.sentences) - {LATE}


def doctor(node: Node, *only: str, prefix: Sequence[str] = (), **changes: str) -> Diagnosis:
    """Asks the doctor in a node's container, for these categories or codes and with these changes to its environment;
    `prefix` runs it.

    Raises AssertionError when it says anything but its findings.
    """
    choices = [word for choice in only for word in ("--only", choice)]
    settings = [f"{name}={value}" for name, value in changes.items()]
    done = node.enter(["env", *settings, *prefix, *KA, "doctor", "--json", *choices], check=False)
    assert done.stderr == "", done.stderr
    said: Mapping[str, Any] = json.loads(done.stdout)
    assert said["status"] == done.returncode
    found = [finding for category in said["categories"] for finding in category["findings"]]
    return Diagnosis(
        done.returncode,
        {finding["code"]: finding["sentence"] for finding in found},
        {finding["code"]: finding["cure"] for finding in found},
        {category["name"]: category["skipped"] for category in said["categories"] if category["skipped"]},
        {category["name"]: category["ms"] for category in said["categories"]},
    )

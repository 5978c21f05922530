"""What was measured, in a file beside the plots, so that plots and tables can be made again without measuring."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent

#: Where the figures of the documents are.
PLACE = CHECKOUT / "docs" / "plots"


def load(place: Path) -> dict[str, Any]:
    """What the file in `place` has; nothing where there is none."""
    file = place / "results.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def store(place: Path, part: str, measured: Any) -> dict[str, Any]:
    """Puts one part into the file in `place`, with the machine it is from; gives all of it."""
    found = load(place)
    found[part] = {"machine": machine(), "measured": measured}
    place.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_rounded(found), indent=1)
    (place / "results.json").write_text(text + "\n", encoding="utf-8")
    return found


def machine() -> dict[str, Any]:
    """What the figures depend on; `load` is the number of processes that ran or waited to, over the last minute."""
    version = subprocess.run(["keepalived", "--version"], capture_output=True, text=True, check=True).stderr
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "keepalived": version.split()[1].lstrip("v"),
        "load": round(os.getloadavg()[0], 1),
    }


def _rounded(what: Any) -> Any:
    """Figures to 10 µs: no clock here is better."""
    match what:
        case float():
            return round(what, 5)
        case dict():
            return {name: _rounded(inner) for name, inner in what.items()}
        case list() | tuple():
            return [_rounded(inner) for inner in what]
    return what

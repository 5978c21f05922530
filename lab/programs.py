"""The programs that the lab runs, and what to install when one is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.patience import LIMIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What a root shell may lack and a node must not: keepalived and ip live in /usr/sbin.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PACKAGES = {
    "bwrap": "bubblewrap",
    "ip": "iproute2",
    "keepalived": "keepalived",
    "nsenter": "util-linux",
    "rsyslogd": "rsyslog",
    "setpriv": "util-linux",
}


def obstacle() -> str | None:
    """What keeps this machine from having a lab, as one sentence that says the cure; None when nothing does."""
    if os.geteuid() != 0:
        return "A lab makes network namespaces, which only root may do: run this as root."
    missing = [name for name in _PACKAGES if shutil.which(name, path=PATH) is None]
    if missing:
        packages = " ".join(sorted({_PACKAGES[name] for name in missing}))
        return f"A lab needs {', '.join(missing)}, not found here: run `apt-get install -y {packages}`."
    return None


def run(
    command: Sequence[str],
    *,
    text: str | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    timeout: float = LIMIT_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run `command` to its end, with `text` as its input and nothing but PATH and `env` in its environment.

    `timeout` is in seconds. Raises LabError when it takes longer or, with `check`, when its exit status is not 0.
    """
    shown = " ".join(command)
    try:
        done = subprocess.run(
            command,
            input="" if text is None else text,
            env={"PATH": PATH, "LC_ALL": "C"} | dict(env or {}),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"`{shown}` did not end within {timeout:g} s.") from None
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").replace("\n", " / ")
        raise LabError(f"`{shown}` ended with status {done.returncode} and said: {said}")
    return done

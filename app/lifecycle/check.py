"""Has keepalived test a plan without touching the run directory of a node that may be running."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.contract.errors import ConfigError, Problem
from app.contract.paths import Layout, refuse_directory_of_others
from app.lifecycle import keepalived_test
from app.render import render

if TYPE_CHECKING:
    from app.plan.model import Plan


def dry_run(plan: Plan) -> None:
    """Raises ConfigError with all that keepalived has to say against the plan."""
    with contextlib.suppress(OSError):  # `ka run` will be root, and say so if not
        refuse_directory_of_others(Layout(plan.run_dir))
    try:
        scratch = tempfile.TemporaryDirectory(prefix="ka-check-", dir=_parent())
    except OSError:
        raise ConfigError(Problem("/run", "cannot be written, nor can /tmp; mount a tmpfs there")) from None
    with scratch as directory:
        elsewhere = replace(plan, run_dir=Path(directory))
        files = render(elsewhere, show_secrets=True)
        for file in files:
            path = elsewhere.run_dir / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text, encoding="utf-8")
            path.chmod(file.mode)
        # keepalived 2.3 refuses to track what is not there; its test reads none of it.
        for tracked in re.findall(r'^\s*file "(.+)"$', files[0].text, flags=re.MULTILINE):
            Path(tracked).parent.mkdir(exist_ok=True)
            Path(tracked).touch()
        found = keepalived_test.test(elsewhere.run_dir / files[0].path, plan.data_dir / "conf.d")
    # The operator knows the real path, and the other one is gone.
    real = [
        Problem(*(text.replace(directory, str(plan.run_dir)) for text in (problem.subject, problem.sentence)))
        for problem in found
    ]
    if real:
        raise ConfigError(*real)


def _parent() -> str | None:
    """keepalived distrusts scripts below /tmp, which everybody may write to."""
    return "/run" if os.access("/run", os.W_OK) else None

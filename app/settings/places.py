"""Where files lie and who runs scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from app.contract.paths import DEFAULT_RUN_DIR
from app.settings.area import Area
from app.settings.text import directory, matching


class Places(Area):
    """Directories and the script user."""

    run_dir: Annotated[Path, directory()] = Field(
        default=DEFAULT_RUN_DIR,
        description="Everything that is rendered, sockets and verdicts. Cleared at every start; writable only by root.",
    )
    data_dir: Annotated[Path, directory()] = Field(
        default=Path("/ka-data"), description="What you mount: scripts/ holds check scripts."
    )
    script_user: Annotated[str | None, matching(r"[a-z_][a-z0-9_.-]{0,31}", "the name of an account")] = Field(
        default=None,
        description="Who runs check and notify scripts. Unset: ka-script, an account of the image's for them alone, "
        "which cannot write what the checker writes.",
    )

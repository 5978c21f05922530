"""The directory of what waits for servers."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from app.contract.errors import ConfigError, Problem
from app.plan.log import spool_of

if TYPE_CHECKING:
    from app.plan.model import Plan

#: The files of a queue (Target.queue): its bookkeeping, and what waits.
_QUEUE_FILE = re.compile(r"(forward-[0-9a-f]{12})\.(?:qi|[0-9]{8})")


def prepare_spool(plan: Plan) -> list[str]:
    """Makes the spool and gives it to the log forwarder; gives a sentence for each server's queue that nobody wants.

    Raises ConfigError. Root has no DAC_OVERRIDE here: what was given away before is taken back first.
    """
    spool = spool_of(plan)
    siblings = plan.siblings
    wanted = {target.queue for target in plan.log.targets}
    said = []
    try:
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chown(spool, os.getuid(), os.getgid())
        unwanted = [path for path in spool.iterdir() if (q := _QUEUE_FILE.fullmatch(path.name)) and q[1] not in wanted]
        size = sum(path.lstat().st_size for path in unwanted)
        for path in unwanted:
            path.unlink()
        if unwanted:
            said.append(
                f"removed {size} bytes from {spool} that waited for servers which KA_LOG_FORWARD no longer names"
            )
        # Another account may have been the siblings' at the last start.
        for path in spool.iterdir():
            if _QUEUE_FILE.fullmatch(path.name):
                os.chown(path, siblings.uid, siblings.gid, follow_symlinks=False)
        os.chown(spool, siblings.uid, siblings.gid)
    except OSError as error:
        where = error.filename or spool
        sentence = f"cannot be {spool}: {where}: {error.strerror}; it must be a directory on a writable volume"
        raise ConfigError(Problem("KA_LOG_SPOOL", sentence)) from None
    return said

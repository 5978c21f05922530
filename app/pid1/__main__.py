"""PID 1: ``python -m app.pid1 RUN_DIR``. It runs a node and chooses the exit status."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from pathlib import Path

from app.contract.errors import EXIT_FAILED, EXIT_STOPPED
from app.contract.paths import STREAM_FD, Layout
from app.contract.syslog import flush
from app.host.leftovers import claim, written_down
from app.pid1.log.unprinted_lines import print_lines

#: linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Makes this process the parent of what its children leave, also where it is not process 1 (docker run --init, a
    shared PID namespace): what a dead keepalived leaves must be waited for, and ended in time."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main(run_dir: str) -> int:
    """Runs a node until it is told to stop or a program fails for good; gives the exit status."""
    # None makes the `import ssl` of what supervisor imports an ImportError, which http.client is made for. Without
    # OpenSSL the process is 0.8 MiB smaller and starts 10 ms sooner.
    sys.modules["ssl"] = None  # type: ignore[assignment]  # what the import system documents
    from app.pid1.node import Node  # noqa: PLC0415 - only now

    adopt_orphans()
    os.dup2(sys.stdout.fileno(), STREAM_FD)
    # supervisord asks for a directory of temporary files, and a read-only root file system has none.
    tempfile.tempdir = run_dir
    layout = Layout(Path(run_dir))
    claim({address for address, _ in written_down(layout.vips)})
    node = Node(layout)
    node.run()
    flush()
    print_lines(STREAM_FD, node.intake.rest())
    if node.failure is None:
        return EXIT_STOPPED
    # The log forwarder may be what failed: this goes straight to the operator.
    print(f"ka: {node.intake.pipeline.masked(node.failure)}", file=sys.stderr)
    return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

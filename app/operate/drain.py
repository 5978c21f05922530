"""``ka drain`` and ``ka undrain``: hands the VIPs over before maintenance, and takes part again.

The node is out until ``ka undrain`` or its next start.
"""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from app.contract.verdict import write_in_place
from app.operate.keepalived_dump import NoAnswerError, VrrpState, ask, held

if TYPE_CHECKING:
    from app.contract.paths import Layout

#: What the hand-over may take; it takes some milliseconds.
DRAIN_LIMIT_SECONDS = 5.0
EXIT_DONE = 0
EXIT_NOT_DONE = 1


def drain(layout: Layout) -> tuple[int, str]:
    """Gives every VIP of this node away and keeps it from taking one; the exit status and a sentence."""
    try:
        ask(layout)
        write_in_place(layout.drain, "1\n")
        deadline = time.monotonic() + DRAIN_LIMIT_SECONDS
        while True:
            try:
                claims = ask(layout)
            except NoAnswerError:  # it has much else to do just now
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
                continue
            here = held([address for claim in claims for address in claim.addresses])
            if not here and all(claim.state is VrrpState.FAULT for claim in claims):
                return EXIT_DONE, "drained: this node holds no VIP and takes none until ka undrain"
            if time.monotonic() > deadline:
                does = f"holds {', '.join(map(str, sorted(here)))}" if here else "still takes part"
                return EXIT_NOT_DONE, f"not drained within {DRAIN_LIMIT_SECONDS:g} s: this node {does}"
            time.sleep(0.01)
    except (NoAnswerError, OSError, subprocess.CalledProcessError) as error:
        return EXIT_NOT_DONE, f"cannot drain: {error}"


def undrain(layout: Layout) -> tuple[int, str]:
    """Takes part again; the exit status and a sentence."""
    try:
        ask(layout)
        write_in_place(layout.drain, "0\n")
    except (NoAnswerError, OSError) as error:
        return EXIT_NOT_DONE, f"cannot undrain: {error}"
    return EXIT_DONE, "this node takes part again"

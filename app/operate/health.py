"""``ka health``: does this node do what it claims? For Docker's HEALTHCHECK and Kubernetes exec probes.

A node whose service failed is healthy as a container: it said FAULT and holds nothing, which is its work. Whether it
could take over is another question, which ``ka health --ready`` asks: a roll-out must wait for that.
"""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from app.operate.keepalived_dump import Claim, NoAnswerError, VrrpState, ask, contradiction, held

if TYPE_CHECKING:
    from app.contract.paths import Layout

EXIT_HEALTHY = 0
EXIT_UNHEALTHY = 1

#: When a contradiction is looked at again: a node that changes its state needs some milliseconds.
SECOND_LOOK_SECONDS = 0.05

UNTRACKED = "keepalived found no inotify instance (fs.inotify.max_user_instances): it learns of checks once a second"


#: The states in which an instance holds its VIPs or takes them when they fall free.
READY = (VrrpState.BACKUP, VrrpState.MASTER)


def health(layout: Layout, *, asks_ready: bool = False) -> tuple[int, list[str]]:
    """The exit status and a sentence for each instance, or for what is wrong.

    ``asks_ready``: an instance that cannot take over is wrong as well.
    """
    try:
        claims, wrong = _look(layout)
        if wrong:
            time.sleep(SECOND_LOOK_SECONDS)
            claims, wrong = _look(layout)
    except NoAnswerError as error:
        return EXIT_UNHEALTHY, [str(error)]
    except (OSError, subprocess.CalledProcessError) as error:
        return EXIT_UNHEALTHY, [f"cannot ask the kernel for its addresses: {error}"]
    if wrong:
        return EXIT_UNHEALTHY, wrong
    if not claims:
        return EXIT_UNHEALTHY, ["keepalived runs no instance"]
    if asks_ready and (out := [claim for claim in claims if claim.state not in READY]):
        return EXIT_UNHEALTHY, [f"{claim.instance} is {claim.state.name}: this node cannot take over" for claim in out]
    said = [f"{claim.instance} is {claim.state.name}, priority {claim.priority}" for claim in claims]
    return EXIT_HEALTHY, said + ([UNTRACKED] if layout.untracked.exists() else [])


def _look(layout: Layout) -> tuple[list[Claim], list[str]]:
    claims = ask(layout)
    here = held([address for claim in claims for address in claim.addresses])
    return claims, [sentence for claim in claims if (sentence := contradiction(claim, here))]

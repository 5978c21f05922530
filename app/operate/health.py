"""``ka health``: does this node do what it claims? For Docker's HEALTHCHECK and Kubernetes exec probes.

A node whose service failed is healthy as a container: it said FAULT and holds nothing, which is its work. Whether it
could take over is another question, which ``ka health --ready`` asks: a roll-out must wait for that.
"""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from app.contract.json_file import read_json
from app.contract.lease_config import LeaseConfig
from app.host.addresses import FOR_EVER, held_addresses
from app.operate.keepalived_dump import Claim, NoAnswerError, VrrpState, ask, contradiction, held

if TYPE_CHECKING:
    from app.contract.paths import Layout

EXIT_HEALTHY = 0
EXIT_UNHEALTHY = 1

#: When a contradiction is looked at again: a node that changes its state needs some milliseconds.
SECOND_LOOK_SECONDS = 0.05

#: No reason to end a node: it serves as one without a lease.
UNLEASED = "has no lifetime, the lease keeper does not renew it: this node would keep it if it were killed"

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
        unleased = _unleased(layout, claims)
        if unleased:
            time.sleep(SECOND_LOOK_SECONDS)
            unleased = _unleased(layout, claims)
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
    return EXIT_HEALTHY, said + unleased + ([UNTRACKED] if layout.untracked.exists() else [])


def _look(layout: Layout) -> tuple[list[Claim], list[str]]:
    claims = ask(layout)
    here = held([address for claim in claims for address in claim.addresses])
    return claims, [sentence for claim in claims if (sentence := contradiction(claim, here))]


def _unleased(layout: Layout, claims: list[Claim]) -> list[str]:
    """A sentence for each instance with a VIP that would not go by itself."""
    if not layout.lease.exists():
        return []
    leased = {instance.name for instance in read_json(layout.lease, LeaseConfig).instances}
    masters = [claim for claim in claims if claim.state is VrrpState.MASTER and claim.instance in leased]
    if not masters:
        return []
    stay = {(str(held.address), held.link) for held in held_addresses() if held.lifetime == FOR_EVER}
    kept = ((claim, [one for one in claim.addresses if (one.address, one.link) in stay]) for claim in masters)
    return [f"{claim.instance}: {', '.join(map(str, vips))} {UNLEASED}" for claim, vips in kept if vips]

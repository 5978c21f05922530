"""From an environment to a plan for this host, with every problem of both."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from app.contract.errors import ConfigError, Problem
from app.host.machine import observe
from app.plan.make import make_plan
from app.plan.rules import problems
from app.settings import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.host.machine import Host
    from app.plan.model import Plan
    from app.settings import Settings
    from app.settings.routes import IPAddress

#: Seconds between two look-ups of a name that has no address yet, and between two lines that say so.
LOOK_AGAIN = 1.0
SAY_AGAIN = 10.0


def prepare(environ: Mapping[str, str], *, known_names: Mapping[str, tuple[IPAddress, ...]] | None = None) -> Plan:
    """The plan. ``known_names`` are the addresses that DNS names keep, whatever they stand for now.

    Raises ConfigError.
    """
    loaded = load(environ)
    host = observe(_peers(loaded.settings), known_names or {})
    found = [*loaded.problems, *problems(loaded.settings, host)]
    found += [
        Problem("KA_UNICAST_PEERS", f"cannot find dns:{name}; it must be a name that has addresses in DNS")
        for name in _unknown_names(loaded.settings, host)
    ]
    if found:
        raise ConfigError(*found)
    return make_plan(loaded.settings, host, loaded.warnings)


def prepare_patiently(environ: Mapping[str, str]) -> Plan:
    """The same for the start of a node, which may be earlier than its peers' names: waits for them, and says so.

    Raises ConfigError for all else.
    """
    said = float("-inf")
    while True:
        loaded = load(environ)
        host = observe(_peers(loaded.settings))
        found = [*loaded.problems, *problems(loaded.settings, host)]
        if found:
            raise ConfigError(*found)
        unknown = _unknown_names(loaded.settings, host)
        if not unknown:
            return make_plan(loaded.settings, host, loaded.warnings)
        if time.monotonic() - said >= SAY_AGAIN:
            names = ", ".join(f"dns:{name}" for name in unknown)
            print(f"ka: KA_UNICAST_PEERS: waiting for {names} to have an address", file=sys.stderr, flush=True)
            said = time.monotonic()
        time.sleep(LOOK_AGAIN)


def _peers(settings: Settings) -> list[IPAddress | str]:
    """Every peer that some instance lists; a list that is itself wrong has been reported."""
    return [peer for asked in settings.instances for peer in getattr(asked.peers, "unicast_peers", ())]


def _unknown_names(settings: Settings, host: Host) -> list[str]:
    names = dict.fromkeys(peer for peer in _peers(settings) if isinstance(peer, str))
    return [name for name in names if name not in host.names]

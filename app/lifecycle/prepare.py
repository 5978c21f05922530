"""From an environment to a plan for this host, with every problem of both."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from app.contract.errors import ConfigError, Problem
from app.host.files import ANSWER_SECONDS, silent
from app.host.machine import observe
from app.plan.make import make_plan
from app.plan.rules import problems
from app.settings import load

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from app.contract.peers_config import Learned
    from app.host.addresses import Place
    from app.plan.model import Plan
    from app.settings import Settings
    from app.settings.routes import IPAddress

#: Between two look-ups of a name that has no address yet, and between two lines that say so.
LOOK_AGAIN_SECONDS = 1.0
SAY_AGAIN_SECONDS = 10.0


def prepare(
    environ: Mapping[str, str],
    *,
    known_names: Mapping[str, tuple[IPAddress, ...]] | None = None,
    ours: Collection[Place] = (),
    learned: Iterable[Learned] = (),
) -> Plan:
    """The plan. ``known_names`` are the addresses that DNS names keep, whatever they stand for now; ``ours`` are the
    places where this node has put VIPs, ``learned`` the peers that are sent to because they were heard.

    Raises ConfigError.
    """
    plan, found, unknown = _look(environ, known_names or {}, ours, learned)
    found += [
        Problem("KA_UNICAST_PEERS", f"cannot find dns:{name}; it must be a name that has addresses in DNS")
        for name in unknown
    ]
    if plan is None or found:
        raise ConfigError(*found)
    return plan


def prepare_patiently(environ: Mapping[str, str]) -> Plan:
    """The same for the start of a node, which may be earlier than its peers' names: waits for them, and says so.

    Raises ConfigError for all else.
    """
    said = float("-inf")
    while True:
        plan, found, unknown = _look(environ, {}, ())
        if found:
            raise ConfigError(*found)
        if plan is not None:
            return plan
        if time.monotonic() - said >= SAY_AGAIN_SECONDS:
            names = ", ".join(f"dns:{name}" for name in unknown)
            print(f"ka: KA_UNICAST_PEERS: waiting for {names} to have an address", file=sys.stderr, flush=True)
            said = time.monotonic()
        time.sleep(LOOK_AGAIN_SECONDS)


def usable_vips(settings: Settings) -> set[IPAddress]:
    """The VIPs that can be read, whatever else is wrong."""
    areas = (asked.addresses for asked in settings.instances)
    return {vip.address for area in areas for field in ("include", "exclude") for vip in getattr(area, field, ())}


def _read_places(settings: Settings) -> list[Path]:
    """Where files of the operator's are read, as far as the settings can be read."""
    data = getattr(settings.places, "data_dir", None)
    named = [getattr(settings.logs, f"log_forward_{name}", None) for name in ("ca", "cert", "key")]
    named += [getattr(asked.checks, "check_ca_file", None) for asked in settings.instances]
    if data is not None:
        named += [data / name for name in ("conf.d", "templates", "scripts")]
    return [path for path in named if path is not None]


def _look(
    environ: Mapping[str, str],
    known_names: Mapping[str, tuple[IPAddress, ...]],
    ours: Collection[Place],
    learned: Iterable[Learned] = (),
) -> tuple[Plan | None, list[Problem], list[str]]:
    """The plan, or else what keeps it from being made: problems, and peers' names that have no address."""
    loaded = load(environ)
    if hanging := silent(_read_places(loaded.settings)):
        sentence = f"does not answer within {ANSWER_SECONDS:g} s, its file system hangs; it must be at hand"
        raise ConfigError(*loaded.problems, *(Problem(str(path), sentence) for path in hanging))
    peers = [peer for asked in loaded.settings.instances for peer in getattr(asked.peers, "unicast_peers", ())]
    host = observe(peers, known_names, usable_vips(loaded.settings), ours)
    found = [*loaded.problems, *problems(loaded.settings, host)]
    unknown = [peer for peer in dict.fromkeys(peers) if isinstance(peer, str) and peer not in host.names]
    return None if found or unknown else make_plan(loaded.settings, host, loaded.warnings, learned), found, unknown

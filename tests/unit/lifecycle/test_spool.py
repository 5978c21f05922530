"""The directory of what waits for servers."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.contract.errors import ConfigError
from app.host.machine import Account
from app.lifecycle.spool import prepare_spool
from app.plan.log import spool_of
from tests.unit.machine import LEAST, plan_of

if TYPE_CHECKING:
    from pathlib import Path

    from app.plan.model import Plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan whose siblings are this process, which need not be root."""
    found = plan_of({**LEAST, "KA_LOG_FORWARD": "tcp://a:1,relp://b:2", "KA_LOG_SPOOL": str(tmp_path / "spool")})
    return replace(found, siblings=Account("me", os.getuid(), os.getgid()), run_dir=tmp_path / "run")


def test_it_is_made_for_the_forwarder_alone(plan: Plan) -> None:
    assert prepare_spool(plan) == []
    assert spool_of(plan).stat().st_mode & 0o777 == 0o700
    assert prepare_spool(plan) == []


def test_our_own_where_none_is_named(plan: Plan, tmp_path: Path) -> None:
    plan = replace(plan, log=replace(plan.log, spool=None))
    prepare_spool(plan)
    assert (tmp_path / "run" / "spool").is_dir()


def test_what_waits_stays_and_what_nobody_wants_goes(plan: Plan) -> None:
    prepare_spool(plan)
    spool = spool_of(plan)
    wanted = [spool / f"{target.queue}.{end}" for target in plan.log.targets for end in ("qi", "00000001")]
    unwanted = [spool / f"forward-0123456789ab.{end}" for end in ("qi", "00000001")]
    others = [spool / "lost+found", spool / "forward-x.qi"]
    for path in (*wanted, *unwanted, *others):
        path.write_text("x" * 10)
    (said,) = prepare_spool(plan)
    assert said == f"removed 20 bytes from {spool} that waited for servers which KA_LOG_FORWARD no longer names"
    assert sorted(spool.iterdir()) == sorted([*wanted, *others])


def test_no_directory(plan: Plan) -> None:
    spool_of(plan).write_text("")
    with pytest.raises(ConfigError) as raised:
        prepare_spool(plan)
    (problem,) = raised.value.problems
    where = spool_of(plan)
    assert (
        str(problem)
        == f"KA_LOG_SPOOL: cannot be {where}: {where}: File exists; it must be a directory on a writable volume"
    )


def test_a_queue_follows_its_server(plan: Plan) -> None:
    first, second = plan.log.targets
    alone = plan_of({**LEAST, "KA_LOG_FORWARD": "relp://b:2"}).log.targets[0]
    assert alone.queue == second.queue != first.queue

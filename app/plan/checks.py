"""The checks of a plan: instances that ask for the same share one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.plan.model import HttpCheck, PlannedCheck, ScriptCheck

if TYPE_CHECKING:
    from app.host.files import Files
    from app.settings import Settings
    from app.settings.instance import InstanceSettings


def planned_check(
    asked: InstanceSettings, settings: Settings, files: Files, checks: list[PlannedCheck]
) -> PlannedCheck | None:
    """The check of an instance: one of ``checks``, or a new one, which is added to them; None when it asks for none."""
    said = asked.checks
    interval = said.check_interval
    timeout = interval if said.check_timeout is None else said.check_timeout
    pace = (interval, timeout, said.check_rise, said.check_fall, said.check_weight)

    def made(name: str) -> PlannedCheck | None:
        if said.enable_check:
            return HttpCheck(
                name,
                *pace,
                fast_interval=said.check_fast_interval or interval,
                slow_interval=said.check_slow_interval or interval,
                urls=said.enable_check,
                status=said.check_status,
                headers=said.check_headers,
                body=said.check_body,
                follows=said.check_follow,
                # Whatever words are between the certificates.
                ca=files.text(said.check_ca_file, "latin-1") if said.check_ca_file else None,
                is_insecure=said.check_insecure,
                is_instant=said.check_instant,
            )
        if said.override_check:
            return ScriptCheck(name, *pace, script=settings.places.data_dir / "scripts" / said.override_check)
        return None

    for known in checks:
        if known == made(known.name):
            return known
    kind = "http" if said.enable_check else "override"
    fresh = made(f"{kind}-{asked.name}" if any(check.name == kind for check in checks) else kind)
    if fresh is not None:
        checks.append(fresh)
    return fresh

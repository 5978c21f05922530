"""The plan as files: pure text, nothing is written here."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from app.layout import STREAM_FD, Layout
from app.plan import GARP_REFRESH, HttpCheck, ScriptCheck
from app.settings.logs import SEVERITIES

if TYPE_CHECKING:
    from pathlib import Path

    from app.plan import Plan


@dataclass(frozen=True)
class File:
    """A rendered file. ``path`` is relative to the run directory; ``mode`` are its permission bits.

    ``for_siblings``: the group of the siblings' account may read it.
    """

    path: str
    text: str
    mode: int
    for_siblings: bool = False


def render(plan: Plan, *, show_secrets: bool) -> tuple[File, ...]:
    """Every file of a node. Without ``show_secrets`` they are for people to read, not to run."""
    http = plan.check if isinstance(plan.check, HttpCheck) else None
    script = plan.check if isinstance(plan.check, ScriptCheck) else None
    words = {
        "plan": plan,
        "http": http,
        "script": script,
        "http_name": Layout.HTTP,
        "script_name": Layout.OVERRIDE,
        "weighted": bool(plan.check and plan.check.weight),
        # A watchdog that fails counts as a failed check; one that passes must not count twice.
        "watchdog_weight": -abs(http.weight) if http else 0,
        "paths": Layout(plan.run_dir),
        "garp_refresh": GARP_REFRESH,
        "stream_fd": STREAM_FD,
        "least_severity": SEVERITIES[plan.log_level],
        "show_secrets": show_secrets,
    }
    environment = _environment()

    def text(template: str) -> str:
        return environment.get_template(template).render(words)

    files = [
        # Only root reads it: the password is in it.
        File("keepalived.conf", text("keepalived.conf"), 0o600),
        File("rsyslog.conf", text("rsyslog.conf"), 0o644),
    ]
    if http:
        files.append(File("http-checker.json", _checker(http, plan, show_secrets=show_secrets), 0o640, True))
        files.append(File("checks/http", text("checks/http"), 0o755))
    if script:
        files.append(File("checks/override", text("checks/override"), 0o755))
    return tuple(files)


def masked_url(url: str) -> str:
    """``url`` without the password in it."""
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:********@", url)


def _checker(http: HttpCheck, plan: Plan, *, show_secrets: bool) -> str:
    described = {
        "verdicts": str(Layout(plan.run_dir).verdicts),
        "log_level": plan.log_level,
        "checks": [
            {
                "name": Layout.HTTP,
                "up": str(http.up),
                "down": str(http.down),
                "interval": http.interval,
                "timeout": http.timeout,
                "rise": http.rise,
                "fall": http.fall,
                "targets": [
                    {"url": url if show_secrets else masked_url(url), "status": [list(codes) for codes in http.status]}
                    for url in http.urls
                ],
            }
        ],
    }
    return json.dumps(described, indent=2) + "\n"


def _quoted(text: str) -> str:
    """A string of keepalived.conf. What would end it never gets past the settings."""
    if not re.fullmatch(r"[^\"\\\n\r\x00]*", text):
        raise ValueError(f"cannot be quoted for keepalived: {text!r}")
    return f'"{text}"'


def _rainer(path: Path) -> str:
    """A string of rsyslog's RainerScript."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("app"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - none of these files is HTML; each has escaping filters of its own
    )
    environment.filters.update(
        quoted=lambda value: _quoted(str(value)),
        rainer=_rainer,
        sh=lambda value: quote(str(value)),
        number=lambda value: f"{value:g}",
        whole_seconds=math.ceil,
    )
    return environment

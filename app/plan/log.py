"""What will be done with the log: the part of the plan that settings/logs.py asks for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from app.contract.log_config import MASK, Levels, LogConfig, LoggedInstance
from app.contract.paths import Layout
from app.settings.logs import Size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.contract.log_server import LogServer
    from app.host.files import Files
    from app.plan.model import Plan
    from app.settings.logs import Logs

#: The system's certificates, on Debian.
SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"

#: The part of the run directory's file system that spools in there may fill, all together, and in which steps (bytes).
SPOOL_SHARE, SPOOL_STEP = 4, 1 << 16

#: Headers of checks whose values are nobody else's business.
_SECRET_HEADER = re.compile(r"auth|cookie|token|secret|key|pass", re.IGNORECASE)


@dataclass(frozen=True)
class Tls:
    """The texts of the operator's files: the forwarder may not be able to read the files themselves."""

    ca: str | None
    cert: str | None
    key: SecretStr | None
    name: str | None

    @property
    def digest(self) -> str:
        """Changes when one of the files does."""
        key = self.key.get_secret_value() if self.key else ""
        return hashlib.sha256("\0".join((self.ca or "", self.cert or "", key)).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class LogPlan:
    """``spool`` is the operator's directory; None: our own. ``spool_size`` in bytes, for each target."""

    format: str
    levels: Levels
    targets: tuple[LogServer, ...]
    tls: Tls | None
    spool: Path | None
    spool_size: Size


def log_plan(logs: Logs, files: Files, run_dir: Path) -> LogPlan:
    """The plan for the log. app.plan.log_rules has seen that the files can be read."""
    tls = None
    if any(target.is_tls for target in logs.log_forward):
        key = _text(files, logs.log_forward_key)
        tls = Tls(
            ca=_text(files, logs.log_forward_ca),
            cert=_text(files, logs.log_forward_cert),
            key=None if key is None else SecretStr(key),
            name=logs.log_forward_name,
        )
    size = logs.log_spool_size
    servers = sum(target.has_spool for target in logs.log_forward)
    if servers and logs.log_spool is None:
        # Of all that there is and not of what is free: a reload must find the same.
        share = files.size(run_dir) // SPOOL_SHARE // servers
        size = Size(min(size, max(share - share % SPOOL_STEP, SPOOL_STEP)))
    return LogPlan(logs.log_format, logs.log_level, logs.log_forward, tls, logs.log_spool, size)


def _text(files: Files, path: Path | None) -> str | None:
    return None if path is None else files.text(path, "ascii")


def spool_of(plan: Plan) -> Path:
    """The operator's directory, or our own."""
    return plan.log.spool or Layout(plan.run_dir).spool


def log_config(plan: Plan, *, show_secrets: bool) -> LogConfig:
    """What PID 1 is told."""
    secrets = tuple(dict.fromkeys(_secrets(plan)))
    return LogConfig(
        node=plan.node_name,
        format=plan.log.format,
        levels=plan.log.levels,
        targets=tuple(str(target) for target in plan.log.targets),
        queues=tuple(target.queue if target.has_spool else "" for target in plan.log.targets),
        spool=str(spool_of(plan)),
        instances=tuple(
            LoggedInstance(
                instance.name,
                instance.priority,
                tuple(f"{address.address}/{address.prefix}" for address in instance.addresses),
            )
            for instance in plan.instances
        ),
        secrets=secrets if show_secrets else (MASK,) * len(secrets),
    )


def _secrets(plan: Plan) -> Iterator[str]:
    """Everything in the plan that must not be read in a log."""
    yield from _secret_values((plan.instances, plan.notify_url))
    for check in plan.http_checks:
        yield from (urlsplit(url).password or "" for url in check.urls)
        for name, value in check.headers:
            if _SECRET_HEADER.search(name):
                # The whole, and what follows the scheme: Bearer ….
                yield from (value, value.rpartition(" ")[2])


def _secret_values(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _secret_values(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _secret_values(getattr(value, field.name))

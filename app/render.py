"""The plan as files: pure text, nothing is written here."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

from app.contract.check_url import masked_url
from app.contract.checker_config import CheckerCheck, CheckerConfig, CheckTarget
from app.contract.errors import ConfigError, Problem
from app.contract.hook_url import hook_url
from app.contract.json_file import to_json
from app.contract.lease_config import LeaseConfig, LeasedInstance, LeasedVip
from app.contract.log_config import MASK
from app.contract.notifier_config import NotifierConfig
from app.contract.paths import STREAM_FD, Layout
from app.contract.peers_config import PeersConfig, SpokenInstance
from app.plan.log import SYSTEM_CA, log_config, spool_of
from app.plan.model import route_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.plan.model import HttpCheck, Plan


#: The last line of keepalived.conf: without it the file was cut off, perhaps between two blocks.
END = "\n# The end.\n"


@dataclass(frozen=True)
class File:
    """A rendered file. ``path`` is relative to the run directory; ``mode`` are its permission bits.

    ``for_siblings``: the group of the siblings' account may read it; ``for_script_user``: that of the script user.
    """

    path: str
    text: str
    mode: int
    for_siblings: bool = False
    for_script_user: bool = False


def render(plan: Plan, *, show_secrets: bool) -> tuple[File, ...]:
    """Every file of a node. Without ``show_secrets`` they are for people to read, not to run.

    Raises ConfigError when a template of the operator's is wrong.
    """
    layout = Layout(plan.run_dir)
    environment = _environment(plan)
    words = {
        "plan": plan,
        "paths": layout,
        "watchdog": Layout.WATCHDOG,
        # The heartbeat is as frequent as the most frequent check.
        "watchdog_interval": min((check.interval for check in plan.http_checks), default=0.0),
        "second_way": lambda tracked: "-".join(("gates", *tracked[1:])),
        "stream_fd": STREAM_FD,
        "targets": plan.log.targets,
        "spool": spool_of(plan),
        "spool_size": plan.log.spool_size,
        "tls": plan.log.tls,
        "tls_ca": layout.tls / "ca.pem" if plan.log.tls and plan.log.tls.ca else SYSTEM_CA,
        "show_secrets": show_secrets,
    }

    def text(template: str, **more: object) -> str:
        try:
            return environment.get_template(template).render(words, **more)
        except Exception as error:  # noqa: BLE001 - a template of the operator's may raise anything ({{ 1 / 0 }})
            where = getattr(error, "lineno", None)
            line = f" line {where}" if where else ""
            said = getattr(error, "message", None) or str(error)
            sentence = f"cannot be rendered{line}: {said}; it must be a Jinja2 template as the one it replaces"
            raise ConfigError(Problem(f"template {_source(plan, template)}", sentence)) from None

    files = [
        # Only root reads it: the password is in it.
        File("keepalived.conf", text("keepalived.conf") + END, 0o600),
        File("rsyslog.conf", text("rsyslog.conf"), 0o644),
        File("log.json", to_json(log_config(plan, show_secrets=show_secrets)), 0o600),
        *_certificates(plan, show_secrets=show_secrets),
    ]
    files.append(File("checks/gates", text("checks/gates"), 0o755))
    if plan.own_text and show_secrets:  # nobody knows what in it is one
        files += [_copy(plan, plan.own_text.digest, name, its) for name, its in plan.own_text.files]
    if plan.unicast:
        peers = to_json(_peers(plan, show_secrets=show_secrets))
        files.append(File("peers.json", peers, 0o640, for_siblings=True))
    if plan.leased:
        files.append(File("lease.json", to_json(_lease(plan)), 0o644))
    # Copies: the http-checker may not be able to read the files themselves.
    bundles = {check.ca_path: check.ca for check in plan.http_checks}
    files += [File(path, text, 0o644) for path, text in bundles.items() if path and text]
    if plan.http_checks:
        files.append(
            File("http-checker.json", to_json(_checker(plan, show_secrets=show_secrets)), 0o640, for_siblings=True)
        )
        files.append(File("checks/http", text("checks/http"), 0o755))
    if plan.hooks:
        files.append(
            File("notifier.json", to_json(_notifier(plan, show_secrets=show_secrets)), 0o640, for_script_user=True)
        )
    if plan.maintenance:
        files.append(File("checks/maintenance", text("checks/maintenance"), 0o755))
    files += [
        File(f"checks/{check.name}", text("checks/override", script=check), 0o755) for check in plan.script_checks
    ]
    return tuple(files)


def _source(plan: Plan, template: str) -> Path | str:
    """The operator's own template, where there is one."""
    own = plan.data_dir / "templates" / template
    return own if own.is_file() else template


def _checker(plan: Plan, *, show_secrets: bool) -> CheckerConfig:
    return CheckerConfig(
        verdicts=str(Layout(plan.run_dir).verdicts),
        report=str(Layout(plan.run_dir).checker_report),
        log_level=plan.log.levels.of("http-checker"),
        checks=tuple(
            CheckerCheck(
                name=check.name,
                up=check.up,
                down=check.down,
                interval=check.interval,
                fast_interval=check.fast_interval,
                slow_interval=check.slow_interval,
                timeout=check.timeout,
                rise=check.rise,
                fall=check.fall,
                targets=tuple(_target(plan, check, url, show_secrets=show_secrets) for url in check.urls),
                instant=check.is_instant,
            )
            for check in plan.http_checks
        ),
    )


def _target(plan: Plan, check: HttpCheck, url: str, *, show_secrets: bool) -> CheckTarget:
    is_tls = url.startswith("https:")
    return CheckTarget(
        url=url if show_secrets else masked_url(url),
        status=check.status,
        headers=tuple((name, value if show_secrets else MASK) for name, value in check.headers),
        ca_file=str(plan.run_dir / check.ca_path) if is_tls and check.ca_path else None,
        insecure=is_tls and check.is_insecure,
        body=check.body,
        follow=check.follows,
    )


def _notifier(plan: Plan, *, show_secrets: bool) -> NotifierConfig:
    layout = Layout(plan.run_dir)
    url = plan.notify_url.get_secret_value() if plan.notify_url else None
    return NotifierConfig(
        node=plan.node_name,
        log_level=plan.log.levels.of("notifier"),
        transitions=str(layout.transitions),
        journal=str(layout.journal),
        script=str(plan.notify) if plan.notify else None,
        url=url if url is None or show_secrets else hook_url(url).label,
        instances={i.name: tuple(str(address.address) for address in i.addresses) for i in plan.instances},
    )


def _lease(plan: Plan) -> LeaseConfig:
    return LeaseConfig(
        tuple(
            LeasedInstance(
                instance.name,
                instance.link,
                instance.ip_version,
                instance.vrid,
                instance.advert_interval,
                tuple(LeasedVip(str(vip.address), vip.prefix, vip.link) for vip in instance.addresses),
            )
            for instance in plan.instances
            if instance.name in plan.leased
        )
    )


def _peers(plan: Plan, *, show_secrets: bool) -> PeersConfig:
    names = {name: tuple(str(address) for address in addresses) for name, addresses in plan.peer_names.items()}
    instances = (
        SpokenInstance(
            instance.name,
            instance.peering.receivers[0].version,
            instance.version,
            instance.vrid,
            instance.advert_interval,
            (instance.auth_pass.get_secret_value() if show_secrets else MASK) if instance.auth_pass else None,
            str(instance.peering.source) if instance.peering.source else None,
            tuple(str(address) for address in instance.peering.others),
        )
        for instance in plan.unicast
    )
    return PeersConfig(plan.peer_refresh, names, tuple(instances))


def _copy(plan: Plan, digest: str, name: str, text: str) -> File:
    """A copy of the operator's own keepalived text: keepalived reads its files again at each SIGHUP, and must not find
    there what no reload has tested. What it includes by a relative path is still where it was."""
    place = f"{plan.data_dir}/conf.d/"
    text = re.sub(r'^(\s*include\w*\s+"?)(?=[^\s"/])', lambda found: found[1] + place, text, flags=re.MULTILINE)
    return File(str(Layout(plan.run_dir).conf_d(digest).relative_to(plan.run_dir) / name), text, 0o600)


def _certificates(plan: Plan, *, show_secrets: bool) -> Iterator[File]:
    """Copies of the operator's files, for the log forwarder: it may not be able to read the files themselves."""
    tls = plan.log.tls
    if tls and tls.ca is not None:
        yield File("tls/ca.pem", tls.ca, 0o644)
    if tls and tls.cert is not None:
        yield File("tls/cert.pem", tls.cert, 0o644)
    if tls and tls.key is not None:
        key = tls.key.get_secret_value() if show_secrets else f"{MASK}\n"
        yield File("tls/key.pem", key, 0o640, for_siblings=True)


def _quoted(text: str) -> str:
    """A string of keepalived.conf. What would end it never gets past the settings."""
    if not re.fullmatch(r"[^\"\\\n\r\x00]*", text):
        raise ValueError(f"cannot be quoted for keepalived: {text!r}")
    return f'"{text}"'


def _rainer(value: object) -> str:
    """A string of rsyslog's RainerScript."""
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _environment(plan: Plan) -> Environment:
    environment = Environment(
        # A template of the operator's stands in for the one of the same name.
        loader=ChoiceLoader([FileSystemLoader(plan.data_dir / "templates"), PackageLoader("app")]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - none of these files is HTML; each has escaping filters of its own
    )
    environment.filters.update(
        quoted=lambda value: _quoted(str(value)),
        rainer=_rainer,
        route=route_text,
        sh=lambda value: quote(str(value)),
        number=lambda value: f"{value:g}",
        whole_seconds=math.ceil,
    )
    return environment

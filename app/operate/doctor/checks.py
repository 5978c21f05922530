"""The category checks: whether what is checked is the service that clients of the VIP reach, and can be checked so."""

from __future__ import annotations

import ipaddress
import re
import shutil
from typing import TYPE_CHECKING

from app.contract.check_url import CheckUrlError, parse_check_url
from app.contract.checks_report import ChecksReport
from app.contract.errors import ConfigError
from app.contract.json_file import read_json
from app.host.link_states import sysctl
from app.host.local_services import answers_dns_from, local_services
from app.operate.doctor.catalogue import found

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.contract.expected import ExpectedCheck, ExpectedVip
    from app.host.local_services import LocalService
    from app.operate.doctor.catalogue import Finding
    from app.operate.doctor.scene import Scene

EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - what the kernel's tables say

DNS_PORT = 53

#: What scripts call that no shell has built in, where a shell would look for a command.
_TOOL = re.compile(
    r"(?:^|[|;&(`!]|\b(?:if|then|else|elif|while|until|do|exec|time)\s)\s*"
    r"(arping|aws|az|bash|curl|dig|docker|gcloud|host|ifconfig|jq|killall|kubectl|lsof|mongosh|mysql|mysqladmin|nc|"
    r"ncat|netcat|netstat|node|nslookup|openssl|perl|pg_isready|pgrep|pidof|ping|ps|psql|python|python3|redis-cli|ruby|"
    r"service|socat|sqlite3|ss|systemctl|telnet|wget)(?=[\s;|&]|$)"
)

_INTERPRETER = re.compile(r"#!\s*(?:/usr/bin/env\s+(?:-S\s+)?)?(\S+)")


def look(scene: Scene) -> Iterator[Finding]:
    """What is wrong with the checks and with what they ask."""
    services = local_services()
    for check in scene.node.checks:
        if check.timeout > check.interval:
            variable = check.variable
            yield found("KA0601", variable=variable, timeout=check.timeout, interval=check.interval)
        yield from _asks_the_right_one(scene, check, services)
    for variable, script in scene.node.scripts:
        yield from _can_run(variable, script)
    for vip in scene.node.vips:
        yield from _can_be_bound(vip, services)
        is_here = any((str(held.address), held.link) == (vip.address, vip.link) for held in scene.held)
        if is_here and ":" not in vip.address and _listens(services, "udp", DNS_PORT) & EVERYWHERE:
            answering = answers_dns_from(vip.address, DNS_PORT)
            if answering not in {None, vip.address}:
                yield found("KA0605", vip=vip.address, other=answering)
    if scene.is_running:
        yield from _fails_now(scene)


def _asks_the_right_one(scene: Scene, check: ExpectedCheck, services: list[LocalService]) -> Iterator[Finding]:
    vips = {vip.address for instance in scene.node.instances if instance.check == check for vip in instance.vips}
    own = {str(held.address) for held in scene.own}
    for url in check.urls:
        try:
            target = parse_check_url(url)
        except CheckUrlError:  # the environment's rules say so
            continue
        if target.host in vips:
            label = target.label
            here = "[::1]" if ":" in target.host else "127.0.0.1"
            instead = label.replace(f"[{target.host}]", here).replace(target.host, here)
            yield found("KA0602", variable=check.variable, url=label, vip=target.host, instead=instead)
        elif not target.socket and (target.host in own or target.host == "localhost"):
            listens = _listens(services, "tcp", target.port)
            missed = sorted(vips - listens)
            if listens and missed and not listens & EVERYWHERE:
                facts = {"port": target.port, "listens": ", ".join(sorted(listens)), "vip": ", ".join(missed)}
                yield found("KA0603", variable=check.variable, **facts)


def _listens(services: list[LocalService], protocol: str, port: int) -> set[str]:
    return {service.address for service in services if (service.protocol, service.port) == (protocol, port)}


def _can_be_bound(vip: ExpectedVip, services: list[LocalService]) -> Iterator[Finding]:
    version = f"ipv{ipaddress.ip_address(vip.address).version}"
    if sysctl(f"{version}/ip_nonlocal_bind") == 0:
        for port in sorted({service.port for service in services if service.address == vip.address}):
            # What listens at each address by itself looks for new ones, too.
            if _listens(services, "tcp", port) == {vip.address}:
                yield found("KA0604", vip=vip.address, port=port, version=version)


def _can_run(variable: str, script: Path) -> Iterator[Finding]:
    """The commands that a script of text calls."""
    lines = script.read_text(encoding="utf-8", errors="replace").splitlines()
    wanted = {}
    for number, line in enumerate(lines, start=1):
        if number == 1 and (interpreter := _INTERPRETER.match(line)):
            wanted[interpreter[1]] = number
        elif not line.lstrip().startswith("#"):
            for match in _TOOL.finditer(line):
                wanted.setdefault(match[1], number)
    for command, number in wanted.items():
        if shutil.which(command) is None:
            yield found("KA0606", variable=variable, script=script, command=command, line=number)


def _fails_now(scene: Scene) -> Iterator[Finding]:
    """What the http-checker has to say."""
    try:
        report = read_json(scene.layout.checker_report, ChecksReport)
    except ConfigError:  # there is no such check, or nothing is known yet
        return
    for check in report.checks:
        for target in check.targets:
            if target.state == "down":
                yield found("KA0607", check=check.name, target=target.target, reason=target.reason)

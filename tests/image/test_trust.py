"""Who runs what in a running node, what it shows of its secrets, and what it leaves reachable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.contract.capabilities import CAPABILITIES, LEASE_CAPABILITIES
from lab.engine import RESTRICTED, Engine, docker, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.engine import Container

SECRET = "s3cr3t.A"
URL_SECRET = "s3cr3t.B"
VALUES = {
    "KA_TRACK_IFACE": "auto",
    "KA_INCLUDE": "198.51.100.10/24",
    "KA_PRIORITY": "254",
    "KA_VRID": "51",
    "KA_AUTH_PASS": SECRET,
    "KA_ENABLE_CHECK": f"http://checker:{URL_SECRET}@127.0.0.1:8080/",
    "KA_LOG_LEVEL": "debug",
}
KA_UID = "990"
ALLOWED = sum(1 << capability.bit for capability in CAPABILITIES)
#: The lease keeper sets lifetimes of addresses, and sees what leaves.
LEASE = sum(1 << capability.bit for capability in CAPABILITIES if capability.name in LEASE_CAPABILITIES)


@pytest.fixture(scope="module")
def node(image: str) -> Iterator[Container]:
    """One node that all these tests look at, and none of them changes."""
    with Engine() as engine:
        # The engine's first network: on others it puts a name server of its own into the container.
        node = engine.run("node", ["--network", "bridge", *RESTRICTED, *environment(VALUES)])
        # With everything that it does said: it has entered FAULT, for nothing answers at the URL.
        node.log.wait_for("Entering FAULT STATE|Startup complete")
        node.log.wait_for("127.0.0.1:8080.*(refused|down|fail)")
        yield node


def test_only_pid_1_and_keepalived_are_root(node: Container) -> None:
    roots: set[tuple[str, str]] = set()
    others: set[tuple[str, str]] = set()
    for account, _, command in node.processes():
        (roots if account == "0" else others).add((account, command))
    assert {Path(command.split()[0]).name for _, command in roots} <= {"python", "keepalived"}
    assert len([command for _, command in roots if "app.pid1 " in command]) == 1
    assert len([command for _, command in roots if "python" in command]) == 1
    assert {account for account, _ in others} == {KA_UID}
    running = " ".join(command for _, command in others)
    for program in ("rsyslogd", "app.checks.http", "app.guard"):
        assert program in running


def test_no_process_has_more_than_the_documented_capabilities(node: Container) -> None:
    for account, pid, command in node.processes():
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert int(status["NoNewPrivs"]) == 1, command
        effective = int(status["CapEff"], 16)
        others = LEASE if "app.lease.keeper" in command else 0
        assert effective == (ALLOWED if account == "0" else others), command


def test_no_tcp_or_udp_port_listens(node: Container) -> None:
    assert node.execute("ss", "-Hltun").stdout == ""


def test_pid_1_has_no_variable_of_ours(node: Container) -> None:
    environ = node.execute("cat", "/proc/1/environ").stdout
    assert "PATH=" in environ
    assert "KA_" not in environ


@pytest.mark.parametrize("secret", [SECRET, URL_SECRET])
def test_secret_is_in_no_log_and_no_process_list(node: Container, secret: str) -> None:
    assert secret not in node.log.text
    assert secret not in docker("logs", node.id)
    assert secret not in docker("top", node.id, "-eo", "pid,args")


@pytest.mark.parametrize(("secret", "reader"), [(SECRET, "ka"), (SECRET, "nobody"), (URL_SECRET, "nobody")])
def test_secret_is_in_no_file_that_others_read(node: Container, secret: str, reader: str) -> None:
    # env -i: the engine gives what it executes the container's variables; that is the engine's doing, not the node's.
    search = ["grep", "-rlsF", secret, "/run", "/etc", "/opt", "/dev", "/var"]
    own = node.execute("env", "-i", *search, user="0")
    assert "/run/ka/" in own.stdout, "root finds it, so the search works"
    assert node.execute("env", "-i", *search, user=reader).stdout == ""
    of_processes = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"
    found = node.execute("env", "-i", "sh", "-c", of_processes, user=reader).stdout
    assert "rsyslogd" in found
    assert secret not in found.replace(of_processes, "")


def test_root_file_system_is_not_written_to(node: Container) -> None:
    assert docker("diff", node.id) == ""


def test_run_directory_is_written_by_root_and_the_nodes_own_account_alone(node: Container) -> None:
    by_others = "-perm -o+w -not -type l -not -type s"
    by_another_group = "-perm -g+w -not -group ka -not -type l -not -type s"
    for sought in (by_others, by_another_group):
        assert node.execute("find", "/run", *sought.split()).stdout == ""

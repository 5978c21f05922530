"""What nobody may see: the password, and the KA_* variables of `ka run` in the processes after it."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex
from signal import SIGUSR1, SIGUSR2
from typing import TYPE_CHECKING

import pytest

from lab.pair import ENVIRONMENT, KEEPALIVED, VIP, ka, start_pair

if TYPE_CHECKING:
    from lab import Lab, Node

PASSWORD = token_hex(4)  # found nowhere by chance
#: A password is for version 2, which has no fractions of a second.
WITH_PASSWORD = {"KA_ADVERT_INTERVAL": "1", "KA_LOG_LEVEL": "debug"}


def seen_by(node: Node, what: str) -> dict[str, str]:
    """`cmdline` or `environ` of every process of the node, by command line."""
    seen = {}
    for pid in node.processes("."):
        directory = Path(f"/proc/{pid}")
        command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        seen[command] = (directory / what).read_bytes().replace(b"\0", b"\n").decode(errors="replace")
    return seen


def readable_with(node: Node, text: str) -> str:
    """The files in which the unprivileged account can read `text`, one a line."""
    # Whoever belongs to nobody's group as the siblings do, and as the script user does.
    account = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    places = ["/run", "/tmp", "/var/tmp", "/dev/shm", "/etc"]  # noqa: S108 - where to look
    search = ["grep", "-r", "--binary-files=text", "--devices=skip", "--no-messages", "--files-with-matches"]
    return node.enter([*account, *search, "-e", text, *places], check=False).stdout


@pytest.mark.parametrize("by_file", [False, True], ids=["KA_AUTH_PASS", "KA_AUTH_PASS_FILE"])
def test_the_password_is_nowhere_to_be_seen(lab: Lab, tmp_path: Path, *, by_file: bool) -> None:
    node = lab.add_node("n1")
    node.start_service()
    secret = tmp_path / "auth-pass"
    secret.write_text(f"{PASSWORD}\n", encoding="ascii")
    secret.chmod(0o600)
    given = {"KA_AUTH_PASS_FILE": "/secrets/auth-pass"} if by_file else {"KA_AUTH_PASS": PASSWORD}
    binds = {secret: "/secrets/auth-pass"} if by_file else {}
    node.start({**ENVIRONMENT, "KA_PRIORITY": "254", **WITH_PASSWORD, **given}, binds=binds)
    lab.wait_holder(VIP, node)
    # It is in use, and what dumps the state or prints the plan has run.
    assert f'auth_pass "{PASSWORD}"' in node.read("/run/ka/keepalived.conf")
    for number in (SIGUSR1, SIGUSR2):
        mark = node.log.mark()
        node.signal(KEEPALIVED, number)
        node.log.wait_for(r"Printing VRRP (data|stats) for process", since=mark)
    for command in ("health", "check", "render"):
        done = ka(node, command)
        assert done.returncode == 0
        assert PASSWORD not in done.stdout + done.stderr
    assert not {command for command in seen_by(node, "cmdline") if PASSWORD in command}
    assert not {command for command, text in seen_by(node, "environ").items() if PASSWORD in text}
    assert readable_with(node, PASSWORD) == ""
    assert "/run/ka/rsyslog.conf" in readable_with(node, "omfile").split()  # the search does find what can be read
    assert node.stop() == 0
    assert PASSWORD not in node.log.text + node.stderr.text


def test_a_wrong_password_is_not_repeated(lab: Lab) -> None:
    node = lab.add_node("n1")
    node.start({**ENVIRONMENT, "KA_PRIORITY": "254", "KA_AUTH_PASS": f"{PASSWORD}-too-long"})
    assert node.wait() == 78
    assert "KA_AUTH_PASS: cannot be a text of 17 characters" in node.stderr.text
    assert PASSWORD not in node.log.text + node.stderr.text


def test_no_process_after_ka_run_has_its_variables(lab: Lab) -> None:
    pair = start_pair(lab)
    environments = seen_by(pair.n1, "environ")
    assert len(environments) >= 5
    found = [command for command, text in environments.items() if text.startswith("KA_") or "\nKA_" in text]
    assert found == []

"""What `ka run` refuses, with nothing started and nothing touched; and how it ends while it still waits."""

from __future__ import annotations

import select
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.contract.capabilities import NAMES
from lab import LIMIT_SECONDS
from lab.namespace import inside
from lab.pair import ENVIRONMENT, KA, NO_CHECK, VIP, placed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab import Host, Lab

#: Runs `ka run` and tells what there is afterwards: its status, the files below /run, the processes but itself.
AND_AFTERWARDS = """
"$@"
echo "status $?"
find /run -mindepth 1 ! -path '/run/netns*'
for process in /proc/[0-9]*; do
    [ "$process" = /proc/$$ ] || echo "$process"
done
"""

SENTENCES = {
    "KA_TRACK_IFACE=": "KA_TRACK_IFACE: is not set",
    "KA_TRACK_IFACE=eth9": "KA_TRACK_IFACE: cannot be eth9",
    "KA_PRIORITY=": "KA_PRIORITY: is not set",
    "KA_PRIORITY=256": "KA_PRIORITY: cannot be 256",
    "KA_INCLUDE=203.0.113.10/33": "KA_INCLUDE: cannot be 203.0.113.10/33",
    "KA_VRID=0": "KA_VRID: cannot be 0",
    "KA_AUTH_PASS=ninechars": "KA_AUTH_PASS: cannot be a text of 9 characters",
    "KA_PRIORTY=100": "KA_PRIORTY: is not a known variable; did you mean KA_PRIORITY?",
    "KA_OVERRIDE_CHECK=check": "KA_OVERRIDE_CHECK: cannot be",
    "KA_ADVERT_INTERVAL=1\nscript": "KA_ADVERT_INTERVAL: cannot be",
}


def test_wrong_input_ends_with_78_and_nothing_is_started_or_touched(lab: Lab) -> None:
    node = lab.add_node("n1")
    # On a link that is none of its business.
    node.exec(["ip", "address", "add", f"{VIP}/32", "dev", "lo"])
    before = lab.timeline()
    for given, sentence in SENTENCES.items():
        name, _, value = given.partition("=")
        mark, stderr_mark = node.log.mark(), node.stderr.mark()
        command = ["sh", "-c", AND_AFTERWARDS, "sh", *KA, "run"]
        node.start({**ENVIRONMENT, "KA_PRIORITY": "254", name: value}, command=command)
        node.wait()
        assert [line.text for line in node.log.lines[mark:]] == ["status 78"], given
        *problems, last = (line.text for line in node.stderr.lines[stderr_mark:])
        assert any(problem.startswith(f"ka: {sentence}") for problem in problems), (given, problems)
        assert last == f"ka: {len(problems)} problem{'s' * (len(problems) > 1)}, nothing was started"
    assert lab.timeline() == before
    assert placed(node) == {f"{VIP}/32 dev lo"}


def test_every_problem_is_said_at_once(lab: Lab) -> None:
    node = lab.add_node("n1")
    wrong = {"KA_PRIORITY": "abc", "KA_VRID": "256", "KA_INCLUDE": "203.0.113.300", "KA_LOG_FORMAT": "xml"}
    node.start({**ENVIRONMENT, **wrong})
    assert node.wait() == 78
    for name, value in wrong.items():
        assert f"ka: {name}: cannot be {value}; it must be " in node.stderr.text
    assert node.stderr.lines[-1].text == "ka: 4 problems, nothing was started"
    assert node.log.text == ""


def test_each_missing_capability_is_named(lab: Lab) -> None:
    ended = {}
    for name in NAMES:
        node = lab.add_node(f"no-{name.lower().replace('_', '-')}")
        rest = [other for other in NAMES if other != name]
        node.start({**ENVIRONMENT, "KA_PRIORITY": "254"}, capabilities=rest)
        status = node.wait()
        ended[name] = (status, node.stderr.lines[0].text.partition(",")[0], node.log.text)
    assert ended == {name: (78, f"ka: capability {name}: is missing", "") for name in NAMES}
    assert lab.timeline() == ()


def test_sigterm_while_it_waits_for_a_peers_name_ends_it_at_once(lab: Lab) -> None:
    node = lab.add_node("n1")
    peers = {"KA_UNICAST_PEERS": "dns:nobody.invalid", "KA_PRIORITY": "254"}
    node.start({**ENVIRONMENT, **NO_CHECK, **peers})
    node.stderr.wait_for(r"^ka: KA_UNICAST_PEERS: waiting for dns:nobody\.invalid to have an address$")
    assert node.stop() == 0
    assert lab.timeline() == ()
    assert node.log.text == ""


def test_sigterm_while_nobody_answers_a_look_up_ends_it_at_once(lab: Lab, tmp_path: Path) -> None:
    node, silent = lab.add_node("n1"), lab.add_host("dns")
    # It takes the questions and gives no answer; a resolver waits five seconds for one.
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text(f"nameserver {silent.ipv4}\n", encoding="ascii")
    resolv_conf.chmod(0o644)
    with silence(silent) as asked:
        node.start(
            {**ENVIRONMENT, **NO_CHECK, "KA_UNICAST_PEERS": "dns:nobody.invalid", "KA_PRIORITY": "254"},
            binds={resolv_conf: "/etc/resolv.conf"},
        )
        asked()
        assert node.stop() == 0


@contextmanager
def silence(host: Host) -> Iterator[Callable[[], None]]:
    """A name server that takes every question and answers none; gives what waits for the first one."""

    def open_socket() -> socket.socket:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((host.ipv4, 53))
        return server

    with inside(host.namespace, open_socket) as server:

        def wait_asked() -> None:
            assert select.select([server], [], [], LIMIT_SECONDS)[0], f"nobody asked {host.name}"

        yield wait_asked

"""KA_NOTIFY and KA_NOTIFY_URL: both hear of every transition, in order, and neither is in the way of one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import threading
import time
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGHUP, SIGKILL
from typing import TYPE_CHECKING, Any

import pytest

from lab.namespace import inside
from lab.pair import ENVIRONMENT, NO_CHECK, PRIORITIES, VIP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Host, Lab, Node

NOTIFIER = r"app\.notifier"

#: Seconds that anything here may take on a busy machine.
LIMIT = 30.0


class Hook:
    """A node's /ka-data with the script `tell`: what it is told comes out of `wait`, and then it does `text`."""

    def __init__(self, directory: Path, text: str = "") -> None:
        self.data = directory
        (directory / "scripts").mkdir(parents=True)
        for place in (directory, directory / "scripts"):
            place.chmod(0o755)
        script = directory / "scripts" / "tell"
        script.write_text(f'#!/bin/sh\necho "$@" >/ka-data/heard\n{text}\n', encoding="utf-8")
        script.chmod(0o755)
        self._fds = []
        for name in ("heard", "gate"):
            os.mkfifo(directory / name)
            (directory / name).chmod(0o666)
            self._fds.append(os.open(directory / name, os.O_RDWR | os.O_NONBLOCK))
        self._rest = b""
        self.heard: list[str] = []

    def wait(self, count: int) -> list[str]:
        """The first `count` lines that the script was told."""
        deadline = time.monotonic() + LIMIT
        while len(self.heard) < count:
            ready = select.select([self._fds[0]], [], [], max(0.0, deadline - time.monotonic()))[0]
            assert ready, f"heard no more than {self.heard}"
            *lines, self._rest = (self._rest + os.read(self._fds[0], 4096)).split(b"\n")
            self.heard += [line.decode() for line in lines]
        return self.heard[:count]

    def open_gate(self, times: int) -> None:
        """Lets that many scripts that read /ka-data/gate go on."""
        os.write(self._fds[1], b"\n" * times)

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)


@pytest.fixture
def hooks(tmp_path: Path) -> Iterator[dict[str, Hook]]:
    """A hook for each of n1 and n2 that does no more than hear."""
    hooks = {name: Hook(tmp_path / name) for name in ("n1", "n2")}
    yield hooks
    for hook in hooks.values():
        hook.close()


class Receiver:
    """Takes POSTs on a host; it answers `status`, or not at all when that is 0."""

    def __init__(self, server: ThreadingHTTPServer, host: Host) -> None:
        self.url = f"http://{host.ipv4}:{server.server_address[1]}/secret-token"
        self.status = 200
        self.paths: list[str] = []
        self.ended = threading.Event()
        self._bodies: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def take(self, path: str, body: dict[str, Any]) -> None:
        with self._changed:
            self.paths.append(path)
            self._bodies.append(body)
            self._changed.notify_all()

    def wait(self, node: Node, count: int) -> list[dict[str, Any]]:
        """The first `count` bodies of a node."""

        def found() -> list[dict[str, Any]]:
            return [body for body in self._bodies if body["node"] == node.name]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, LIMIT), f"got no more than {self._bodies}"
            return found()[:count]


@contextlib.contextmanager
def receiving(host: Host) -> Iterator[Receiver]:
    """A web server on `host`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.take(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if not receiver.status:
                receiver.ended.wait()
                return
            self.send_response(receiver.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with inside(host.namespace, lambda: ThreadingHTTPServer((host.ipv4, 0), Handler)) as server:
        receiver = Receiver(server, host)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.ended.set()
            server.shutdown()
            thread.join()


def start(lab: Lab, hooks: dict[str, Hook], **changes: str) -> tuple[Node, Node]:
    """Starts those of the two nodes that do not run; the first holds the VIP then."""
    n1, n2 = (lab.nodes.get(name) or lab.add_node(name) for name in ("n1", "n2"))
    for node, priority in zip((n1, n2), PRIORITIES, strict=True):
        if not node.running:
            environment = {**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": priority, "KA_NOTIFY": "tell", **changes}
            node.start(environment, data=hooks[node.name].data)
        # The second starts when the first is master, so that it is told of nothing but BACKUP.
        lab.wait_holder(VIP, n1)
    return n1, n2


def test_script_and_url_hear_of_every_transition_in_order(lab: Lab, hooks: dict[str, Hook]) -> None:
    with receiving(lab.add_host("web")) as receiver:
        began = time.time()
        n1, n2 = start(lab, hooks, KA_NOTIFY_URL=receiver.url)
        for hook in hooks.values():
            hook.wait(1)
        stopped = time.time()
        n1.stop()
        moved = lab.wait_holder(VIP, n2, since=stopped).time
        # Its last words are heard although it stops.
        assert hooks["n1"].wait(3) == ["main BACKUP 254", "main MASTER 254", "main STOP 254"]
        start(lab, hooks, KA_NOTIFY_URL=receiver.url)
        lab.wait_released(VIP, n2, since=moved)
        assert [line.split()[1] for line in hooks["n1"].wait(5)[3:]] == ["BACKUP", "MASTER"]
        assert hooks["n2"].wait(3)[-3:] == ["main BACKUP 253", "main MASTER 253", "main BACKUP 253"]
        assert [body["state"] for body in receiver.wait(n1, 5)[2:]] == ["STOP", "BACKUP", "MASTER"]
        bodies, heard = receiver.wait(n2, 3), time.time()
    assert [(body["previous"], body["state"]) for body in bodies] == [
        (None, "BACKUP"),
        ("BACKUP", "MASTER"),
        ("MASTER", "BACKUP"),
    ]
    master = bodies[1]
    told = datetime.fromisoformat(master.pop("time")).timestamp()
    assert began < told < heard
    assert master == {
        "node": "n2",
        "instance": "main",
        "state": "MASTER",
        "previous": "BACKUP",
        "priority": 253,
        "vips": [VIP],
    }


def test_a_hook_that_hangs_does_not_delay_the_fail_over(lab: Lab, tmp_path: Path) -> None:
    hooks = {name: Hook(tmp_path / name, "read _ </ka-data/gate") for name in ("n1", "n2")}
    with receiving(lab.add_host("web")) as receiver:
        receiver.status = 0
        n1, n2 = start(lab, hooks, KA_NOTIFY_URL=receiver.url)
        for hook, node in zip(hooks.values(), (n1, n2), strict=True):
            hook.wait(1)
            receiver.wait(node, 1)
        stopped = time.time()
        n1.signal(r"^keepalived ", SIGKILL)
        # It comes back by itself and takes the VIP again.
        lab.wait_holder(VIP, n2, since=stopped)
        lab.wait_holder(VIP, n1, since=stopped)
        stopped = time.time()
        assert n1.stop() == 0
        # It waits a few seconds for its hooks, when the VIP is long with the peer.
        ended = time.time()
        assert lab.wait_holder(VIP, n2, since=stopped).time < ended
    assert n1.stderr.text == ""
    for hook in hooks.values():
        assert len(hook.wait(1)) == 1
        hook.open_gate(20)
        hook.close()


def test_a_killed_notifier_costs_no_transition_and_moves_no_vip(lab: Lab, tmp_path: Path) -> None:
    hooks = {"n1": Hook(tmp_path / "n1", "read _ </ka-data/gate")}
    n1 = lab.add_node("n1")
    n1.start({**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254", "KA_NOTIFY": "tell"}, data=hooks["n1"].data)
    lab.wait_holder(VIP, n1)
    (hook,) = hooks.values()
    assert hook.wait(1) == ["main BACKUP 254"]
    # MASTER waits behind it by now, in the notifier's memory.
    (old,) = n1.signal(NOTIFIER, SIGKILL)
    events, cut = len(lab.timeline(VIP)), time.time()
    n1.cut_link()
    lab.wait_released(VIP, n1, since=cut)
    n1.mend_link()
    lab.wait_holder(VIP, n1, since=cut)
    hook.open_gate(10)
    heard = [line.split()[1] for line in hook.wait(5)]
    assert heard == ["BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER"]
    assert n1.processes(NOTIFIER) not in ([], [old])
    assert [event.added for event in lab.timeline(VIP)[events:]] == [False, True]
    hook.close()


def test_it_has_no_privileges_and_its_token_is_seen_nowhere(lab: Lab, hooks: dict[str, Hook]) -> None:
    with receiving(lab.add_host("web")) as receiver:
        n1, _ = start(lab, hooks, KA_NOTIFY_URL=receiver.url, KA_SCRIPT_USER="daemon", KA_LOG_LEVEL="debug")
        receiver.wait(n1, 2)
        hooks["n1"].wait(2)
        n1.log.wait_for(rf"{re.escape(receiver.url.removesuffix('/secret-token'))}/\*+: told of main MASTER 254")
        (notifier,) = n1.processes(r"app\.notifier")
        assert Path(f"/proc/{notifier}").owner() == "daemon"
        listing = n1.enter(["stat", "-c", "%A %U %G", "/run/ka/notifier.json", "/run/ka/notifier/transitions"]).stdout
        assert listing.splitlines() == ["-rw-r----- root daemon", "prw-rw---- daemon root"]
        seen = n1.enter(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).stdout
        assert "secret-token" not in seen
        n1.stop()
        assert "secret-token" not in n1.log.text + n1.stderr.text


def test_a_reload_changes_where_to_post(lab: Lab, hooks: dict[str, Hook], tmp_path: Path) -> None:
    url = tmp_path / "url"
    with receiving(lab.add_host("web")) as receiver:
        url.write_text(f"{receiver.url}/old", encoding="ascii")
        n1 = lab.add_node("n1")
        environment = {**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254", "KA_NOTIFY_URL_FILE": "/run/secrets/url"}
        n1.start(environment, binds={url: "/run/secrets/url"})
        receiver.wait(n1, 2)
        (old,) = n1.processes(NOTIFIER)
        url.write_text(f"{receiver.url}/new", encoding="ascii")
        os.kill(n1.pid, SIGHUP)
        n1.log.wait_for(r"reloaded, changed: .*notifier\.json")
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(old)
            assert select.select([handle], [], [], LIMIT)[0], "the old notifier goes on"
            os.close(handle)
        n1.cut_link()
        n1.mend_link()
        states = [body["state"] for body in receiver.wait(n1, 5)]
    assert states == ["BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER"]
    assert [path.rpartition("/")[2] for path in receiver.paths] == ["old", "old", "new", "new", "new"]


def test_without_hooks_there_is_no_notifier(lab: Lab) -> None:
    n1 = lab.add_node("n1")
    n1.start({**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254"})
    lab.wait_holder(VIP, n1)
    assert n1.processes(NOTIFIER) == []
    assert "vrrp_notify_fifo" not in n1.read("/run/ka/keepalived.conf")

"""SIGHUP and `ka reload`: what changed is applied without a request lost, and what is wrong is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab import LIMIT_SECONDS
from lab.pair import KEEPALIVED, VIP
from lab.reloads import CHANGES, Mounted, change_auth_pass, change_conf_d, lost_in_reloads, mounted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab import Lab

CONFIG = "/run/ka/keepalived.conf"
REFUSED = "nothing was changed, the old configuration goes on"


def test_no_request_is_lost_in_reloads(lab: Lab, tmp_path: Path) -> None:
    requests, lost = lost_in_reloads(lab, tmp_path, 2 * len(CHANGES), timeout=LIMIT_SECONDS)
    assert lost == 0
    assert requests > 100
    config = lab.nodes["n1"].read(CONFIG)
    assert '"pass-5"' in config
    assert "203.0.113.38" in config
    assert "http://127.0.0.1/7" in lab.nodes["n1"].read("/run/ka/http-checker.json")


WRONG: dict[str, tuple[Callable[[Mounted], None], str]] = {
    "password": (
        lambda node: node.write("KA_AUTH_PASS", "much-too-long\n"),
        r"KA_AUTH_PASS: cannot be a text of 13 characters; it must be 1–8 printable ASCII characters",
    ),
    "no password file": (
        lambda node: (node.data / "KA_AUTH_PASS").unlink(),
        r"KA_AUTH_PASS_FILE: cannot read /ka-data/KA_AUTH_PASS: No such file",
    ),
    "unknown keyword": (
        lambda node: node.write("conf.d/own.conf", "vrrp_instance own {\n    interfaces eth0\n}\n"),
        r"/ka-data/conf\.d/own\.conf: Line 2\) Unknown keyword 'interfaces'",
    ),
    "absent link": (
        lambda node: node.write("conf.d/own.conf", "vrrp_instance own {\n    interface eth9\n}\n"),
        r"/ka-data/conf\.d/own\.conf: Line 2\).*eth9.*doesn't exist",
    ),
    "cut off": (
        lambda node: node.write("conf.d/own.conf", "vrrp_instance own {\n"),
        r"/ka-data/conf\.d/own\.conf: ends too early, a brace is never closed",
    ),
    "executable": (
        lambda node: node.write("conf.d/own.conf", "# Nothing.\n", 0o755),
        r"/ka-data/conf\.d/own\.conf: is executable, which makes keepalived skip it",
    ),
    "template's syntax": (
        lambda node: node.write("templates/keepalived.conf", "{% if %}\n"),
        r"/ka-data/templates/keepalived\.conf: cannot be used, line 1: .*; it must be a Jinja2 template",
    ),
    "template's names": (
        lambda node: node.write("templates/keepalived.conf", "{{ plan.nothing }}\n"),
        r"template /ka-data/templates/keepalived\.conf: cannot be rendered: .*nothing",
    ),
    "template's result": (
        lambda node: node.write("templates/keepalived.conf", "nonsense {\n}\n"),
        r"by /ka-data/templates/keepalived\.conf\).*nonsense",
    ),
}


def test_a_wrong_change_is_refused_and_the_old_configuration_goes_on(lab: Lab, tmp_path: Path) -> None:
    n1 = mounted(lab, "n1", tmp_path)
    change_auth_pass(1, n1)
    n1.start(254)
    lab.wait_holder(VIP, n1.node)
    before = n1.node.read(CONFIG)
    running = n1.node.processes(KEEPALIVED)

    assert (n1.reload().returncode, n1.reload().stdout) == (0, "nothing has changed\n")
    for what, (spoil, sentence) in WRONG.items():
        spoil(n1)
        done = n1.reload()
        assert done.returncode == 78, what
        assert re.search(sentence, done.stderr), (what, done.stderr)
        assert done.stderr.splitlines()[-1] == REFUSED
        # The same by SIGHUP, in the log.
        n1.hang_up(REFUSED)
        assert re.search(sentence, n1.node.log.text), what
        assert n1.node.read(CONFIG) == before
        for path in ("conf.d/own.conf", "templates/keepalived.conf"):
            (n1.data / path).unlink(missing_ok=True)
        change_auth_pass(1, n1)
    assert n1.node.processes(KEEPALIVED) == running
    assert [(event.node, event.added) for event in lab.timeline(VIP)] == [("n1", True)]

    change_auth_pass(2, n1)
    done = n1.reload()
    assert done.returncode == 0
    assert done.stdout.startswith("reloaded, changed: keepalived.conf")
    assert '"pass-2"' in n1.node.read(CONFIG)


def test_own_text_and_an_own_template(lab: Lab, tmp_path: Path) -> None:
    n1 = mounted(lab, "n1", tmp_path)
    change_conf_d(1, n1)
    n1.start(254)
    lab.wait_holder("203.0.113.21", n1.node)
    lab.wait_holder(VIP, n1.node)

    # A template may do everything itself, this one with another VIP; keepalived lets go of the one that is no more.
    change_conf_d(2, n1)
    n1.hang_up()
    lab.wait_holder("203.0.113.22", n1.node)
    lab.wait_released("203.0.113.21", n1.node)
    n1.write(
        "templates/keepalived.conf",
        "vrrp_instance {{ plan.instances[0].name }} {\n    interface eth0\n    virtual_router_id 51\n    priority 7\n"
        "    virtual_ipaddress {\n        203.0.113.40/24\n    }\n}\n",
    )
    n1.hang_up()
    lab.wait_holder("203.0.113.40", n1.node)
    for gone in (VIP, "203.0.113.22"):
        lab.wait_released(gone, n1.node)

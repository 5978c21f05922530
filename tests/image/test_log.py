"""The log, as docker logs shows it: whole, in order, from the first line to the last."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from lab.engine import RESTRICTED, docker, environment

if TYPE_CHECKING:
    from lab.engine import Container, Engine

VALUES = {
    "KA_TRACK_IFACE": "auto",
    "KA_INCLUDE": "198.51.100.10/24",
    "KA_PRIORITY": "254",
    "KA_VRID": "51",
    "KA_AUTH_PASS": "image-12",
}


def life(engine: Engine, values: dict[str, str], name: str = "node") -> Container:
    """A node that became master and was stopped."""
    node = engine.run(name, ["--network", engine.network(), *RESTRICTED, *environment(values)])
    node.log.wait_for("Entering MASTER STATE")
    docker("stop", node.id)
    node.log.join()
    return node


def test_every_line_from_the_first_to_the_last(engine: Engine) -> None:
    lines = [line.text for line in life(engine, VALUES).log.lines]

    def place(text: str) -> int:
        found = [number for number, line in enumerate(lines) if text in line]
        assert found, f"{text!r} is not in the log:\n" + "\n".join(lines)
        return found[0]

    # The forwarder may say that it has started before or after what was kept for it.
    ours = [line for line in lines if " rsyslogd[" not in line]
    assert re.search(r" ka\[1\]: .*router ", ours[0])
    order = [
        "instance main on eth0",
        "Starting Keepalived",
        "Entering BACKUP STATE",
        "Entering MASTER STATE",
        "received SIGTERM",
        "Stopped Keepalived",
    ]
    places = [place(text) for text in order]
    assert places == sorted(places)
    # After keepalived's last word only those who stop later have one.
    assert {line.split()[2].split("[")[0] for line in lines[places[-1] + 1 :]} <= {"ka", "supervisord", "rsyslogd"}
    assert not [line for line in lines if "lost" in line]


def test_json_is_json_from_the_first_line_to_the_last(engine: Engine) -> None:
    objects = [json.loads(line.text) for line in life(engine, VALUES | {"KA_LOG_FORMAT": "json"}).log.lines]
    assert {tuple(entry)[:5] for entry in objects} == {("time", "level", "program", "pid", "message")}
    assert {"ka", "Keepalived", "Keepalived_vrrp"} <= {entry["program"] for entry in objects}
    messages = [entry["message"] for entry in objects]
    assert [message for message in messages[-3:] if "Stopped Keepalived" in message]

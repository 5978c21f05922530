"""One clean stream on the standard output, and nobody who ever waits for it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
import time
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types

from app.pid1.log.intake import IN_HAND_OUT
from lab import LabError
from lab.log_load import Sender, tally
from lab.pair import ENVIRONMENT, KA, KEEPALIVED, LOG_FORWARDER, NO_CHECK, VIP, start_pair
from lab.receivers import TCP, Receiver, make_pki
from lab.sandbox import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab, Node

ALONE = {name: text for name, text in {**ENVIRONMENT, **NO_CHECK, "KA_PRIORITY": "254"}.items() if text}

#: The seed of the fuzz: a failure can be seen again.
SEED = 6


def fits(line: str) -> dict[str, Any]:
    """The object in a line; fails when docs/log-line.schema.json refuses it."""
    found: dict[str, Any] = json.loads(line)
    VALIDATOR.validate(found)
    return found


VALIDATOR = jsonschema.Draft202012Validator(json.loads((CHECKOUT / "docs" / "log-line.schema.json").read_text()))


def awkward() -> Iterator[bytes]:
    """Messages that would like to be more than one line, or none."""
    yield from (b"", b"<", b"<30>", b"<999999>x", b"\0" * 50, b"<30>x: " + b"\n" * 100, b'<30>x: {"level": "forged"}')
    yield b'<30>x: harmless\n{"time": "now", "level": "info", "program": "ka", "pid": 1, "message": "forged"}'
    yield b"<30>x: \x1b[2J\x1b[31mred\r\x08\x07 \xe2\x80\xa8 \xe2\x80\xae \xc2\x85 \xef\xbb\xbf \xed\xa0\x80 \xff\xfe"
    yield from (b"<30>x: " + filling * 65536 for filling in (b"a", b"\xff", b"\0", b'"', b"\\"))
    yield b"<30>x: " + "€".encode() * 20000
    yield from (b"<30>all: not mine", b"<30>out: not mine", b"<46>rsyslogd-pstats: {}", b"<30>%s%n[1]: %x %msg%")
    chance = random.Random(SEED)  # noqa: S311 - no secret
    for _ in range(1500):
        size = chance.choice((1, 10, 100, 1000))
        yield chance.choice((b"", b"<30>x: ", b"<14>Keepalived[1]: (main) ")) + chance.randbytes(chance.randrange(size))


def test_every_line_is_json_whatever_programs_log(lab: Lab) -> None:
    node = lab.add_node("n1")
    node.start({**ALONE, "KA_LOG_FORMAT": "json", "KA_LOG_LEVEL": "debug"})
    lab.wait_holder(VIP, node)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.connect(f"/proc/{node.pid}/root/run/ka/log-socket")
        log.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 19)
        for message in awkward():
            log.send(message)
        log.send(b"<30>x: the last one")
    node.log.wait_for(r'"the last one"')
    assert node.stop() == 0
    lines = [fits(line.text) for line in node.log.lines]
    assert len(lines) > 1500
    assert [line for line in lines if line["level"] == "forged" or line["message"] == "forged"] == []
    # 64 KiB are cut, and say so; NULs at the end are how C ends a text.
    assert sum("… (cut, 65536 bytes in all)" in line["message"] for line in lines) == 4
    numbers = [line["sequence"] for line in lines]
    assert numbers == list(range(1, len(lines) + 1))


def test_a_line_for_people_cannot_be_forged_either(lab: Lab) -> None:
    node = lab.add_node("n1")
    node.start(ALONE)
    lab.wait_holder(VIP, node)
    forged = "2026-01-01T00:00:00.000000+00:00 crit ka[1]: forged"
    node.enter(["logger", "-t", "my-script", f"one\n{forged}\r{forged}"])
    node.enter(["logger", "-t", "my-script", "--socket-errors=on", "last"])
    node.log.wait_for("last")
    assert node.stop() == 0
    assert [line.text for line in node.log.lines if line.text.startswith("2026-01-01T00:00:00.000000")] == []


def test_a_script_cannot_speak_for_keepalived(lab: Lab) -> None:
    node = lab.add_node("n1")
    node.start({**ALONE, "KA_LOG_FORMAT": "json"})
    lab.wait_holder(VIP, node)
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    node.enter([*nobody, "logger", "-t", "Keepalived_vrrp", "(main) Entering FAULT STATE"])
    line = fits(node.log.wait_for("FAULT").text)
    assert "state" not in line
    assert "event" not in line
    assert node.stop() == 0


def test_each_transition_says_why(lab: Lab) -> None:
    pair = start_pair(lab, KA_LOG_FORMAT="json")
    failed = time.time()
    pair.services["n1"].refuse()
    pair.wait_moved(pair.n2, failed)
    mended = time.time()
    pair.services["n1"].answer(200)
    pair.wait_moved(pair.n1, mended)
    assert pair.n1.stop() == 0
    assert pair.n2.stop() == 0
    told = {
        node.name: [
            (line["old_state"], line["state"], line["reason"])
            for line in (fits(line.text) for line in node.log.lines)
            if "state" in line
        ]
        for node in (pair.n1, pair.n2)
    }
    # The gate's script has the last word when it was run while the service was away.
    well = re.compile(r"tracked file http leaving FAULT state|VRRP_Script\(gates-http\) succeeded")
    assert [(old, new, bool(well.fullmatch(why)) or why) for old, new, why in told["n1"][-5:]] == [
        ("BACKUP", "MASTER", "Receive advertisement timeout"),
        ("MASTER", "FAULT", "tracked file http now FAULT state"),
        ("FAULT", "BACKUP", True),
        ("BACKUP", "MASTER", "Receive advertisement timeout"),
        ("MASTER", "STOP", "keepalived is stopped"),
    ]
    (taken, given_back, taken_again, stopped) = told["n2"][-4:]
    assert (taken[1], taken_again[1], stopped[1]) == ("MASTER", "MASTER", "STOP")
    assert taken[2] == taken_again[2] == "Backup received priority 0 advertisement"
    assert re.fullmatch(
        r"Master received advert from 203\.0\.113\.11 with higher priority 254, ours 253", given_back[2]
    )


def test_the_level_of_a_program(lab: Lab) -> None:
    node = lab.add_node("n1")
    node.start({**ALONE, "KA_LOG_LEVEL": "warning,keepalived=debug,my-script=error"})
    lab.wait_holder(VIP, node)
    for level in ("info", "err"):
        node.enter(["logger", "-t", "my-script", "-p", f"user.{level}", f"this is {level}"])
        node.enter(["logger", "-t", "another", "-p", f"user.{level}", f"that is {level}"])
    node.log.wait_for("that is err")
    assert node.stop() == 0
    text = node.log.text
    assert re.search(r" debug Keepalived_vrrp\[\d+\]: \(main\) setting VIPs\.", text)
    assert [word for word in ("this is info", "that is info", "node n1, router n1") if word in text] == []
    assert "this is err" in text


def test_repetitions_are_folded_and_the_first_is_not(lab: Lab) -> None:
    node = lab.add_node("n1")
    node.start({**ALONE, "KA_LOG_FORMAT": "json"})
    lab.wait_holder(VIP, node)
    node.enter(["sh", "-c", "for n in 1 2 3 4 5; do logger -t my-script again; done; logger -t my-script other"])
    node.log.wait_for('"other"')
    said = [fits(line.text) for line in node.log.lines if "my-script" in line.text]
    assert [(line["message"], line.get("repeated")) for line in said] == [
        ("again", None),
        ("last message repeated 4 times: again", 4),
        ("other", None),
    ]
    assert node.stop() == 0


class TestNobodyWaits:
    """For a forwarder that hangs, a standard output that nobody reads, or a forwarder that is dead."""

    def test_for_a_forwarder_that_hangs(self, lab: Lab) -> None:
        pair = start_pair(lab, KA_LOG_FORMAT="json")
        (forwarder,) = pair.n1.signal(LOG_FORWARDER, SIGSTOP)
        sender = Sender(pair.n1, 2000, rate=1000)
        sender.join()
        failed = time.time()
        pair.services["n1"].answer(500)
        pair.wait_moved(pair.n2, failed)
        os.kill(forwarder, SIGCONT)
        pair.n1.log.wait_for("Entering FAULT STATE")
        assert pair.n1.stop() == 0
        assert tally([line.text for line in pair.n1.log.lines], 2000) == ([], 0)

    def test_for_a_standard_output_that_nobody_reads(self, lab: Lab, tmp_path: Path) -> None:
        """The remote copy goes on meanwhile."""
        node, host = lab.add_node("n1"), lab.add_host("logs")
        make_pki(tmp_path, host.ipv4)
        receiver = Receiver(host, tmp_path, "rsyslog")
        receiver.start()
        # A pipe that stays full: its reader is the shell that became `ka run`.
        command = f"mkfifo -m 666 /run/out && exec 3<>/run/out && exec {' '.join(KA)} run >/run/out"
        environ = {**ALONE, "KA_LOG_FORMAT": "json", "KA_LOG_FORWARD": f"tcp://{host.ipv4}:{TCP}"}
        try:
            node.start(environ, command=["sh", "-c", command])
            lab.wait_holder(VIP, node)
            sender = Sender(node, 4000, rate=1000)
            sender.join()
            receiver.wait_for("number 003999 of many")
            assert tally([line.message for line in receiver.lines], 4000) == ([], 0)
            killed = time.time()
            node.signal(KEEPALIVED, SIGKILL)
            lab.wait_released(VIP, node, since=killed)
            assert node.stop() == 0
        finally:
            receiver.stop()

    def test_for_a_forwarder_that_is_dead(self, lab: Lab) -> None:
        node = lab.add_node("n1")
        node.start({**ALONE, "KA_LOG_FORMAT": "json"})
        lab.wait_holder(VIP, node)
        sender = Sender(node, 1500, rate=500)
        sender.wait_for(300)
        node.signal(LOG_FORWARDER, SIGKILL)
        sender.join()
        node.log.wait_for("number 001499 of many")
        assert node.stop() == 0
        missing, duplicates = tally([line.text for line in node.log.lines], 1500)
        # What waits for the standard output is in the forwarder's memory: the last few come again.
        assert missing == []
        assert duplicates <= IN_HAND_OUT

    def test_for_a_forwarder_that_dies_as_soon_as_it_starts(self, lab: Lab) -> None:
        node = lab.add_node("n1")
        node.start({**ALONE, "KA_LOG_FORMAT": "json"})
        lab.wait_holder(VIP, node)
        sender = Sender(node, 20, rate=4)
        # supervisord gives up after four deaths, each in the first second of a life, which a busy machine may miss;
        # between two it waits three seconds at the most.
        with contextlib.suppress(LabError):  # none is there any more
            while True:
                node.signal(LOG_FORWARDER, SIGKILL, timeout=5)
        sender.join()
        node.log.wait_for("number 000019 of many")
        node.log.wait_for(r"log-forwarder could not be started.*; trying again in 10 s, the node goes on")
        assert tally([line.text for line in node.log.lines], 20)[0] == []
        assert lab.holders(VIP) == {"n1"}
        assert node.stop() == 0


def test_the_last_words_are_printed(lab: Lab) -> None:
    """Those of the forwarder itself, and of PID 1 after it."""
    node: Node = lab.add_node("n1")
    node.start({**ALONE, "KA_LOG_FORMAT": "json", "KA_LOG_LEVEL": "debug"})
    lab.wait_holder(VIP, node)
    assert node.stop() == 0
    last = [fits(line.text)["message"] for line in node.log.lines[-4:]]
    assert any("exiting on signal 15" in message for message in last)
    assert last[-1] == "stopped: log-forwarder (exit status 0)"


def test_secrets_that_a_script_prints_are_masked(lab: Lab) -> None:
    node = lab.add_node("n1")
    environ = {**ALONE, "KA_ADVERT_INTERVAL": "1", "KA_AUTH_PASS": "s3cret-1", "KA_LOG_LEVEL": "debug"}
    node.start(environ)
    lab.wait_holder(VIP, node)
    node.enter(["logger", "-t", "my-script", "the password is s3cret-1, at http://me:hunter2@host/"])
    line = node.log.wait_for("the password is").text
    assert line.endswith("the password is ********, at http://me:********@host/")
    assert node.stop() == 0
    assert "s3cret-1" not in node.log.text + node.stderr.text

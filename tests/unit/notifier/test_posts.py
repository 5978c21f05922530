"""KA_NOTIFY_URL: what is posted, in which order, how often again, and what may be known of the URL."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.notifier.conftest import Receiver, Stage


@pytest.fixture(autouse=True)
def _no_token_in_the_log(stage: Stage) -> object:
    yield
    assert not [line for line in stage.lines if "secret" in line]


def test_each_transition_is_posted_in_order(stage: Stage, receiver: Receiver) -> None:
    # A proxy of the environment, which must not be asked.
    stage.start(url=receiver.url("/secret?a=b"), script=False, environ={"http_proxy": "http://127.0.0.1:9"})
    before = datetime.now(UTC)
    stage.tell("main BACKUP 90", "main MASTER 90", "other FAULT 1")
    bodies = receiver.wait(3)
    times = [datetime.fromisoformat(body.pop("time")) for body in bodies]
    assert before.timestamp() - 0.001 <= times[0].timestamp() <= times[1].timestamp() <= datetime.now(UTC).timestamp()
    vips = ["203.0.113.10", "2001:db8::10"]
    assert bodies == [
        {"node": "n1", "instance": "main", "state": "BACKUP", "previous": None, "priority": 90, "vips": vips},
        {"node": "n1", "instance": "main", "state": "MASTER", "previous": "BACKUP", "priority": 90, "vips": vips},
        {"node": "n1", "instance": "other", "state": "FAULT", "previous": None, "priority": 1, "vips": []},
    ]
    path, headers = receiver.requests[0]
    assert path == "/secret?a=b"
    assert headers["Content-Type"] == "application/json"
    stage.wait_log(r"http://127\.0\.0\.1:\d+/\*{8}: told of main MASTER 90")


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_what_may_pass_is_tried_again_before_what_comes_after(stage: Stage, receiver: Receiver, status: int) -> None:
    receiver.answers.extend([status, status])
    stage.start(url=receiver.url(), script=False, backoff=0.01)
    stage.tell("main MASTER 1", "main BACKUP 2")
    assert [body["priority"] for body in receiver.wait(4)] == [1, 1, 1, 2]
    stage.wait_log(f"status {status}, telling of main MASTER 1 again in 0.02 s")


@pytest.mark.parametrize("status", [301, 400, 404])
def test_a_refusal_is_given_up_at_once_and_no_redirect_followed(stage: Stage, receiver: Receiver, status: int) -> None:
    receiver.answers.append(status)
    stage.start(url=receiver.url(), script=False)
    stage.tell("main MASTER 1", "main BACKUP 2")
    assert [body["priority"] for body in receiver.wait(2)] == [1, 2]
    stage.wait_log(f"gave up telling of main MASTER 1: status {status}")


def test_what_stays_wrong_is_given_up_after_a_while(stage: Stage, receiver: Receiver) -> None:
    receiver.answers.extend([503] * 8)
    stage.start(url=receiver.url(), script=False, backoff=0.02, retry=0.1)
    stage.tell("main MASTER 1")
    stage.wait_log("gave up telling of main MASTER 1: status 503")
    # 0.02 + 0.04 s, and 0.08 more would be too late.
    assert 1 <= len(receiver.bodies) <= 3
    receiver.answers.clear()
    stage.tell("main BACKUP 2")
    stage.wait_log("told of main BACKUP 2")


def test_a_server_that_is_not_there_yet_is_tried_again(stage: Stage) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        stage.start(url=f"http://127.0.0.1:{port}/secret", script=False, backoff=0.05)
        stage.tell("main MASTER 1")
        stage.wait_log("Connection refused, telling of main MASTER 1 again")
        taken.listen()
        taken.settimeout(30)
        connection, _ = taken.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 204 \r\n\r\n")
            stage.wait_log("told of main MASTER 1")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-secret\r\n", b"HTTP/1.1 secret\r\n\r\n"])
def test_what_is_no_http_is_no_success(stage: Stage, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        stage.start(url=f"http://127.0.0.1:{server.getsockname()[1]}/secret", script=False, retry=0)
        stage.tell("main MASTER 1")
        connection, _ = server.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(answer)
        stage.wait_log("gave up telling of main MASTER 1: no HTTP answer|gave up telling .*closed connection")


def test_a_server_that_hangs_holds_up_no_script(stage: Stage, receiver: Receiver) -> None:
    receiver.answers.append(None)
    stage.script("exit 0")
    stage.start(url=receiver.url(), post=0.5, retry=0)
    stage.tell("main MASTER 1", "main BACKUP 2", "main MASTER 3")
    stage.wait_log("main MASTER 3: done")
    assert not [line for line in stage.lines if "told of" in line]
    stage.wait_log("gave up telling of main MASTER 1: no answer within 0.5 s")
    assert [body["priority"] for body in receiver.wait(3)] == [1, 2, 3]


def test_a_script_that_hangs_holds_up_no_post(stage: Stage, receiver: Receiver) -> None:
    stage.script("wait_for_gate")
    stage.start(url=receiver.url())
    stage.tell("main MASTER 1", "main BACKUP 2")
    receiver.wait(2)


def test_a_killed_notifier_leaves_its_posts_to_the_next(stage: Stage, receiver: Receiver) -> None:
    receiver.answers.append(None)
    stage.start(url=receiver.url(), script=False)
    stage.tell("main MASTER 1", "main BACKUP 2")
    receiver.wait(1)
    stage.stop(signal.SIGKILL)
    stage.start(url=receiver.url(), script=False)
    # The one that was under way may have arrived or not: it comes again.
    assert [(body["priority"], body["previous"]) for body in receiver.wait(3)] == [(1, None), (1, None), (2, "MASTER")]


def test_sigterm_does_not_wait_for_a_server_that_hangs(stage: Stage, receiver: Receiver) -> None:
    receiver.answers.append(None)
    stage.start(url=receiver.url(), script=False, drain=0.2)
    stage.tell("main STOP 1")
    receiver.wait(1)
    assert stage.stop() == 0


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path, receiver: Receiver) -> Path:
    """The receiver's certificate for 127.0.0.1, which nobody trusts; it speaks TLS from now on."""
    place = tmp_path / "tls"
    place.mkdir()
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2"
    )
    subprocess.run(
        [*command.split(), "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=place,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "cert.pem", place / "key.pem")
    assert receiver.server is not None
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    receiver.scheme = "https"
    return place / "cert.pem"


def test_tls_with_a_trusted_certificate(stage: Stage, receiver: Receiver, certificate: Path) -> None:
    stage.start(url=receiver.url(), script=False, environ={"SSL_CERT_FILE": str(certificate)})
    stage.tell("main MASTER 1")
    receiver.wait(1)
    stage.wait_log("https://127.0.0.1:.*told of main MASTER 1")


def test_tls_without_trust_tells_nothing(stage: Stage, receiver: Receiver, certificate: Path) -> None:
    environ = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
    stage.start(url=receiver.url(), script=False, retry=0, environ=environ)
    stage.tell("main MASTER 1")
    stage.wait_log("gave up telling of main MASTER 1: .*certificate verify failed")
    assert receiver.bodies == []

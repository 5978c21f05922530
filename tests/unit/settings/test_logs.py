"""What may be said about the log, and what is refused."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from app.contract.json_file import read_json, to_json
from app.contract.log_config import Levels, LogConfig
from app.contract.log_server import LogServer, parse_log_server
from app.plan.log import log_config
from tests.unit.machine import HOST, LEAST, plan_of, problems_of, rendered

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("udp://192.0.2.1:514", LogServer("udp", "192.0.2.1", 514)),
        ("tcp://log.example.org:601", LogServer("tcp", "log.example.org", 601)),
        ("tls://[2001:db8::1]:6514", LogServer("tls", "2001:db8::1", 6514)),
        ("relp://loghost:2514", LogServer("relp", "loghost", 2514)),
    ],
)
def test_targets(text: str, target: LogServer) -> None:
    assert parse_log_server(text) == target
    assert str(target) == text


@pytest.mark.parametrize(
    "text",
    [
        *("loghost", "tcp://loghost", "tcp://:514", "tcp://loghost:0", "tcp://loghost:65536", "http://loghost:80"),
        *("tcp://loghost:514/", "tcp://loghost:514/x", "tcp://loghost:514?x", "tcp://loghost:514#x", "TCP://"),
        *("tcp://user@loghost:514", "tcp://user:pw@loghost:514", 'tcp://log"host:514', "tcp://log\nhost:514"),
        *("tcp://[::1:514", "tcp://[nonsense]:514", "tcp://::1:514", "tcp://loghost:5 14", "tcp://loghost:+514"),
    ],
)
def test_no_targets(text: str) -> None:
    found = problems_of({**LEAST, "KA_LOG_FORWARD": text})
    assert {problem.subject for problem in found} == {"KA_LOG_FORWARD"}


def test_a_wrong_target_is_one_sentence() -> None:
    (problem,) = problems_of({**LEAST, "KA_LOG_FORWARD": "tcp://a:1, http://b:2"})
    must = "udp://, tcp://, tls:// or relp://HOST:PORT"
    assert str(problem) == f"KA_LOG_FORWARD: cannot be http://b:2; it must be {must}"


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("debug", Levels("debug")),
        ("INFO, keepalived=Debug", Levels("info", (("keepalived", "debug"),))),
        ("keepalived=warning", Levels("info", (("keepalived", "warning"),))),
        ("error http-checker=debug,ka=info", Levels("error", (("http-checker", "debug"), ("ka", "info")))),
    ],
)
def test_levels(text: str, levels: Levels) -> None:
    assert plan_of({**LEAST, "KA_LOG_LEVEL": text}).log.levels == levels


@pytest.mark.parametrize(
    "text", ["loud", "keepalived=loud", "=debug", "info,", "keepalived:debug", "a b=info", "x=y=info"]
)
def test_no_levels(text: str) -> None:
    (problem,) = problems_of({**LEAST, "KA_LOG_LEVEL": text})
    assert str(problem).startswith(
        f"KA_LOG_LEVEL: cannot be {text}; it must be one of error, warning, info, debug, and"
    )


def test_the_level_of_a_program() -> None:
    levels = Levels("info", (("keepalived", "debug"), ("log-forwarder", "error")))
    assert [levels.of(name) for name in ("Keepalived_vrrp", "keepalived", "rsyslogd", "ka", "x")] == [
        *("debug", "debug", "error", "info", "info")
    ]
    assert levels.least == "debug"
    assert str(levels) == "info, keepalived debug, log-forwarder error"


@pytest.mark.parametrize(
    ("text", "size"),
    [("1048576", 1 << 20), ("1M", 1 << 20), ("16 M", None), ("2g", 2 << 30), ("1MiB", 1 << 20), ("1GB", 1 << 30)],
)
def test_sizes(text: str, size: int | None) -> None:
    environ = {**LEAST, "KA_LOG_SPOOL_SIZE": text}
    if size is None:
        assert problems_of(environ)
    else:
        assert plan_of(environ).log.spool_size == size


@pytest.mark.parametrize("text", ["1", "1048575", "1023K", "1025G", "-1M", "many", "1e9", "99999999999999"])
def test_no_sizes(text: str) -> None:
    (problem,) = problems_of({**LEAST, "KA_LOG_SPOOL_SIZE": text})
    assert (
        str(problem) == f"KA_LOG_SPOOL_SIZE: cannot be {text}; it must be 1M–1024G, in bytes or with one of K, M and G"
    )


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and node.pem with its node.key; other.key fits nothing, locked.key asks for a password."""
    directory = tmp_path_factory.mktemp("pki")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    for name, subject in (("ca", "CA"), ("node", "node")):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={subject}")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", *files)
    openssl("genrsa", "-out", "other.key", "2048")
    openssl("rsa", "-in", "node.key", "-aes256", "-passout", "pass:word", "-out", "locked.key")
    (directory / "empty").touch()
    (directory / "binary").write_bytes(b"\xff\x00")
    return directory


def files(pki: Path, **named: str) -> dict[str, str]:
    given = {f"KA_LOG_FORWARD_{name.upper()}": str(pki / file) for name, file in named.items()}
    return {**LEAST, "KA_LOG_FORWARD": "tls://loghost:6514", **given}


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        (
            {"ca": "none.pem"},
            "CA: cannot use {}/none.pem: No such file or directory; it must be certificates in PEM form",
        ),
        ({"ca": "empty"}, "CA: cannot use {}/empty: it is empty; it must be certificates in PEM form"),
        ({"ca": "binary"}, "CA: cannot use {}/binary: it is no text; it must be certificates in PEM form"),
        ({"ca": "ca.key"}, "CA: cannot use {}/ca.key: OpenSSL cannot read it; it must be certificates in PEM form"),
        ({"cert": "node.pem"}, "KEY: is not set; it must be the key of KA_LOG_FORWARD_CERT"),
        ({"key": "node.key"}, "CERT: is not set; it must be the certificate of KA_LOG_FORWARD_KEY"),
        (
            {"cert": "node.pem", "key": "no.key"},
            "KEY: cannot use {}/no.key: No such file or directory; it must be a file that can be read",
        ),
        ({"cert": "binary", "key": "node.key"}, "CERT: cannot use {}/binary: it is no text; it must be in PEM form"),
        (
            {"cert": "node.pem", "key": "other.key"},
            "KEY: cannot use {}/other.key with {}/node.pem: key values mismatch; "
            "it must be the unencrypted key of that certificate",
        ),
        (
            {"cert": "node.pem", "key": "locked.key"},
            "KEY: cannot use {}/locked.key with {}/node.pem: OpenSSL cannot read it; "
            "it must be the unencrypted key of that certificate",
        ),
    ],
)
def test_wrong_certificates(pki: Path, named: dict[str, str], sentence: str) -> None:
    (problem,) = problems_of(files(pki, **named))
    assert str(problem) == f"KA_LOG_FORWARD_{sentence.replace('{}', str(pki))}"


def test_right_certificates(pki: Path) -> None:
    plan = plan_of(files(pki, ca="ca.pem", cert="node.pem", key="node.key"))
    assert rendered(plan, "tls/key.pem") == (pki / "node.key").read_text()
    assert rendered(plan, "tls/ca.pem") == (pki / "ca.pem").read_text()
    assert 'streamDriver.CAFile="/run/ka/tls/ca.pem"' in rendered(plan, "rsyslog.conf")


def test_a_new_certificate_is_a_new_configuration(pki: Path) -> None:
    with_node = rendered(plan_of(files(pki, ca="ca.pem", cert="node.pem", key="node.key")), "rsyslog.conf")
    with_ca = rendered(plan_of(files(pki, ca="ca.pem", cert="ca.pem", key="ca.key")), "rsyslog.conf")
    assert with_node != with_ca


@pytest.mark.parametrize("name", ["CA", "CERT", "NAME"])
def test_certificates_without_tls(pki: Path, name: str) -> None:
    value = "loghost" if name == "NAME" else str(pki / "ca.pem")
    more = {"KA_LOG_FORWARD_KEY": str(pki / "ca.key")} if name == "CERT" else {}
    found = problems_of({**LEAST, "KA_LOG_FORWARD": "tcp://loghost:1", f"KA_LOG_FORWARD_{name}": value, **more})
    sentence = "cannot be used, KA_LOG_FORWARD names no tls:// server; leave it out"
    assert f"KA_LOG_FORWARD_{name}: {sentence}" in {str(problem) for problem in found}


def test_a_server_is_named_once() -> None:
    (problem,) = problems_of({**LEAST, "KA_LOG_FORWARD": "tcp://a:1,tcp://b:1,tcp://a:1"})
    assert str(problem) == "KA_LOG_FORWARD: cannot name tcp://a:1 again; each server must be named once"


def test_pid_1_is_told_what_it_must_know(tmp_path: Path) -> None:
    plan = plan_of(
        {
            **LEAST,
            "KA_AUTH_PASS": "s3cret-1",
            "KA_ENABLE_CHECK": "http://me:pw-in-url@127.0.0.1/",
            "KA_CHECK_HEADERS": "X-Api-Key: t0ken-1",
            "KA_NOTIFY_URL": "https://hooks.example.org/s3cret-path",
            "KA_LOG_LEVEL": "info,keepalived=debug",
            "KA_LOG_FORWARD": "tcp://a:1",
        }
    )
    config = log_config(plan, show_secrets=True)
    assert set(config.secrets) >= {"s3cret-1", "pw-in-url", "t0ken-1", "https://hooks.example.org/s3cret-path"}
    assert config.node == HOST.name
    assert config.instances[0].vips == ("203.0.113.10/24",)
    path = tmp_path / "log.json"
    path.write_text(to_json(config))
    assert read_json(path, LogConfig) == config
    assert "s3cret" not in to_json(log_config(plan, show_secrets=False))

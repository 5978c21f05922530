"""The environment as people write it: files, quotes, spaces, empty values, and names that are not ours."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, ClassVar

import pytest
from pydantic import SecretStr

from app.contract.environ import LARGEST_FILE, READ_SECONDS, unquoted
from app.settings import load
from app.settings.area import NotUsableError
from app.settings.environment import Cleaned, clean
from tests.unit.machine import LEAST, problems_of

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = ("KA_PRIORITY", "KA_AUTH_PASS", "KA_INCLUDE")


def cleaned(**environ: str) -> Cleaned:
    """``environ`` with three known variables."""
    return clean(environ, KNOWN)


def said(found: Cleaned) -> list[str]:
    """Its problems as they are printed."""
    return [str(problem) for problem in found.problems]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("100", "100"),
        (" 100 ", "100"),
        ("100\n", "100"),
        ("100\r\n", "100"),
        ('"100"', "100"),
        ("'100'", "100"),
        ('  " 100 "  ', "100"),
        ("\"'100'\"", "'100'"),  # one pair is a slip, two are meant
        ("'100\"", "'100\""),
        ('"', '"'),
        ('""', ""),
        ("   ", ""),
        ("", ""),
    ],
)
def test_quotes_and_spaces(written: str, meant: str) -> None:
    assert unquoted(written) == meant


@pytest.mark.parametrize("nothing", ["", "  ", '""', "''", "\n"])
def test_an_empty_value_is_not_set(nothing: str) -> None:
    assert cleaned(KA_PRIORITY=nothing) == Cleaned({}, (), ())


def test_other_peoples_variables_are_not_read() -> None:
    assert cleaned(PATH="/bin", KAPRIORITY="1", ka_priority="1", XKA_PRIORITY="1") == Cleaned({}, (), ())


class TestFiles:
    def test_a_file_holds_the_value(self, tmp_path: Path) -> None:
        path = tmp_path / "pass"
        path.write_text("geheim\n")
        assert cleaned(KA_AUTH_PASS_FILE=f' "{path}" ') == Cleaned({"KA_AUTH_PASS": "geheim"}, (), ())

    def test_it_may_be_the_only_one_that_is_set(self, tmp_path: Path) -> None:
        path = tmp_path / "pass"
        path.write_text("geheim\n")
        found = cleaned(KA_AUTH_PASS="", KA_AUTH_PASS_FILE=str(path))
        assert found.values == {"KA_AUTH_PASS": "geheim"}
        found = cleaned(KA_AUTH_PASS="offen", KA_AUTH_PASS_FILE="")
        assert found == Cleaned({"KA_AUTH_PASS": "offen"}, (), ())

    def test_every_variable_has_one(self, tmp_path: Path) -> None:
        environ = {}
        for name, text in {**LEAST, "KA_AUTH_PASS": "geheim", "KA_MASTER": "yes"}.items():
            (tmp_path / name).write_text(f"{text}\n")
            environ[f"{name}_FILE"] = str(tmp_path / name)
        loaded = load(environ)
        assert loaded.problems == ()
        assert loaded.settings.instances[0].vrrp.priority == 100
        assert loaded.settings.instances[0].vrrp.master is True
        assert loaded.settings.instances[0].vrrp.auth_pass == SecretStr("geheim")

    def test_both_are_too_many(self, tmp_path: Path) -> None:
        path = tmp_path / "pass"
        path.write_text("geheim\n")
        found = cleaned(KA_AUTH_PASS="offen", KA_AUTH_PASS_FILE=str(path))
        assert said(found) == ["KA_AUTH_PASS: cannot be set together with KA_AUTH_PASS_FILE; leave one of them out"]

    def test_a_missing_file(self, tmp_path: Path) -> None:
        path = tmp_path / "pass"
        found = cleaned(KA_AUTH_PASS_FILE=str(path))
        sentence = f"cannot read {path}: No such file or directory; it must be a file that can be read"
        assert said(found) == [f"KA_AUTH_PASS_FILE: {sentence}"]

    def test_a_directory(self, tmp_path: Path) -> None:
        found = cleaned(KA_AUTH_PASS_FILE=str(tmp_path))
        sentence = f"cannot read {tmp_path}: Is a directory; it must be a file that can be read"
        assert said(found) == [f"KA_AUTH_PASS_FILE: {sentence}"]

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "pass"
        path.write_bytes(b"\xff\xfe")
        found = cleaned(KA_AUTH_PASS_FILE=str(path))
        assert said(found) == [f"KA_AUTH_PASS_FILE: cannot read {path}: it is no text; it must be a text file"]

    def test_a_pipe_that_nobody_writes_to(self, tmp_path: Path) -> None:
        path = tmp_path / "pass"
        os.mkfifo(path)
        found = cleaned(KA_AUTH_PASS_FILE=str(path))
        assert said(found) == [f"KA_AUTH_PASS_FILE: cannot read {path}: it is no regular file; it must be a text file"]

    def test_a_gigabyte(self, tmp_path: Path) -> None:
        path = tmp_path / "pass"
        with path.open("wb") as file:
            file.truncate(1 << 30)
        found = cleaned(KA_AUTH_PASS_FILE=str(path))
        sentence = (
            f"cannot use {path}: it is larger than {LARGEST_FILE // 1024} KiB; it must hold the value of KA_AUTH_PASS"
        )
        assert said(found) == [f"KA_AUTH_PASS_FILE: {sentence}"]

    def test_a_file_system_that_does_not_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A stand-in for a network file system that is away: there is none on this machine."""
        is_over = threading.Event()
        monkeypatch.setattr("app.contract.environ._value_in_file", lambda *_: is_over.wait())
        found = cleaned(KA_AUTH_PASS_FILE="/far/away")
        is_over.set()
        sentence = f"cannot read /far/away: no answer within {READ_SECONDS:g} s; it must be a file at hand"
        assert said(found) == [f"KA_AUTH_PASS_FILE: {sentence}"]

    def test_an_empty_file(self, tmp_path: Path) -> None:
        path = tmp_path / "pass"
        path.write_text("\n")
        found = cleaned(KA_AUTH_PASS_FILE=str(path))
        sentence = f"cannot use {path}: it is empty; it must hold the value of KA_AUTH_PASS"
        assert said(found) == [f"KA_AUTH_PASS_FILE: {sentence}"]

    def test_a_path_of_two_lines_is_shown_on_one(self) -> None:
        found = cleaned(KA_AUTH_PASS_FILE="/no\nwhere")
        sentence = "cannot read /no\\nwhere: No such file or directory; it must be a file that can be read"
        assert said(found) == [f"KA_AUTH_PASS_FILE: {sentence}"]

    def test_what_cannot_be_read_is_not_missing_besides(self) -> None:
        environ = {**LEAST, "KA_TRACK_IFACE": "", "KA_TRACK_IFACE_FILE": "/nowhere"}
        assert [problem.subject for problem in problems_of(environ)] == ["KA_TRACK_IFACE_FILE"]
        with pytest.raises(NotUsableError):
            _ = load(environ).settings.instances[0].addresses.track_iface

    def test_nor_when_it_may_be_missing(self) -> None:
        environ = {**LEAST, "KA_PRIORITY": "", "KA_PRIORITY_FILE": "/nowhere"}
        assert [problem.subject for problem in problems_of(environ)] == ["KA_PRIORITY_FILE"]
        with pytest.raises(NotUsableError):
            _ = load(environ).settings.instances[0].vrrp.priority


class TestUnknownNames:
    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("KA_PRIORTY", "is not a known variable; did you mean KA_PRIORITY?"),
            ("KA_INCLUDES", "is not a known variable; did you mean KA_INCLUDE?"),
            ("KA_AUTHPASS", "is not a known variable; did you mean KA_AUTH_PASS?"),
            ("KA_AUTHPASS_FILE", "is not a known variable; did you mean KA_AUTH_PASS_FILE?"),
            ("KA_PRIORITY_FILE_FILE", "is not a known variable; did you mean KA_PRIORITY_FILE?"),
            ("KA_", "is not a known variable; ka env lists them all"),
            ("KA_ZZZ", "is not a known variable; ka env lists them all"),
        ],
    )
    def test_the_nearest_is_named(self, name: str, sentence: str) -> None:
        assert said(cleaned(**{name: "1"})) == [f"{name}: {sentence}"]

    def test_even_when_it_is_empty(self) -> None:
        assert said(cleaned(KA_PRIORTY="")) == ["KA_PRIORTY: is not a known variable; did you mean KA_PRIORITY?"]

    def test_a_name_of_two_lines_is_shown_on_one(self) -> None:
        (problem,) = cleaned(**{"KA_FOO\nBAR": "1"}).problems
        assert str(problem) == "KA_FOO\\nBAR: is not a known variable; ka env lists them all"


class TestServiceLinks:
    """What Kubernetes sets for a Service called ``ka`` is named in a warning, and is no error."""

    LINKS: ClassVar = {
        "KA_PORT": "tcp://192.0.2.1:80",
        "KA_PORT_80_TCP": "tcp://192.0.2.1:80",
        "KA_PORT_80_TCP_ADDR": "192.0.2.1",
        "KA_PORT_80_TCP_PORT": "80",
        "KA_PORT_80_TCP_PROTO": "tcp",
        "KA_SERVICE_HOST": "192.0.2.1",
        "KA_SERVICE_PORT": "80",
        "KA_SERVICE_PORT_HTTP": "80",
        "KA_WEB_SERVICE_HOST": "2001:db8::1",
        "KA_WEB_PORT_53_UDP": "udp://[2001:db8::1]:53",
    }

    @pytest.mark.parametrize("name", LINKS)
    def test_one(self, name: str) -> None:
        found = cleaned(**{name: self.LINKS[name], "KA_PRIORITY": "100"})
        assert found == Cleaned(
            {"KA_PRIORITY": "100"},
            (),
            (
                f"{name}: ignored, Kubernetes sets it for a Service of that name; "
                "enableServiceLinks: false keeps it away",
            ),
        )

    def test_all_of_a_service_are_one_warning(self) -> None:
        found = cleaned(**self.LINKS)
        assert found.problems == ()
        assert found.warnings == (
            "KA_PORT and 9 more: ignored, Kubernetes sets it for a Service of that name; "
            "enableServiceLinks: false keeps it away",
        )

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("KA_CHECK_PORT", "80"),
            ("KA_PORT", "80"),
            ("KA_PORT", "tcp://web:80"),
            ("KA_SERVICE_HOST", "web"),
            ("KA_SERVICE_PORT", "http"),
            ("KA_PORT_80_TCP_PROTO", "http"),
        ],
    )
    def test_the_name_alone_is_none(self, name: str, value: str) -> None:
        """KA_CHECK_PORT=80 was ignored as one, and the node ran without a check."""
        found = cleaned(**{name: value})
        assert [problem.subject for problem in found.problems] == [name]
        assert found.warnings == ()

    @pytest.mark.parametrize("name", ["KA_PORTS", "KA_SERVICE", "KA_PORT_80_SPX", "KA_SERVICE_HOSTS"])
    def test_what_only_resembles_one_is_an_error(self, name: str) -> None:
        assert [problem.subject for problem in cleaned(**{name: "1"}).problems] == [name]

"""Wrong input: the exact sentence and exit status 78. Every sentence is here as an operator reads it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from app.contract.errors import EXIT_CONFIG
from app.settings import AREAS, known_variables
from app.settings.text import Text, TextList
from tests.unit.machine import LEAST, RIGHT

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.unit.conftest import Ka

SECRET = "s3cr3t-99"
VIP_FORM = "ADDRESS[/PREFIX[/LINK]], for example 203.0.113.10/24/eth0"
LINKS = "this machine's links are lo, eth0, eth1"
PASSWORD = "1–8 printable ASCII characters without spaces, quotes, backslashes and braces"


def verdict(*problems: str) -> str:
    """What ``ka`` says of these problems, on its standard error."""
    count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}, nothing was started"
    return "".join(f"ka: {line}\n" for line in (*problems, count))


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        pytest.param(
            {"KA_TRACK_IFACE": None},
            "KA_TRACK_IFACE: is not set; it must be a link name such as eth0 or auto",
            id="missing interface",
        ),
        pytest.param(
            {"KA_TRACK_IFACE": "eth/0"},
            "KA_TRACK_IFACE: cannot be eth/0; it must be a link name such as eth0 or auto",
            id="impossible interface",
        ),
        pytest.param(
            {"KA_TRACK_IFACE": "eth9"}, f"KA_TRACK_IFACE: cannot be eth9; {LINKS}", id="unknown link of the adverts"
        ),
        pytest.param({"KA_PRIORITY": None}, "KA_PRIORITY: is not set; it must be 1–255 or auto", id="missing priority"),
        pytest.param({"KA_PRIORITY": "0"}, "KA_PRIORITY: cannot be 0; it must be 1–255 or auto", id="priority 0"),
        pytest.param({"KA_PRIORITY": "256"}, "KA_PRIORITY: cannot be 256; it must be 1–255 or auto", id="priority 256"),
        pytest.param({"KA_PRIORITY": "abc"}, "KA_PRIORITY: cannot be abc; it must be 1–255 or auto", id="priority abc"),
        pytest.param({"KA_INCLUDE": None}, f"KA_INCLUDE: is not set; it must be {VIP_FORM}", id="missing VIP"),
        pytest.param(
            {"KA_INCLUDE": "eth0"}, f"KA_INCLUDE: cannot be eth0; it must be {VIP_FORM}", id="VIP without an address"
        ),
        pytest.param(
            {"KA_INCLUDE": "203.0.113.256/24"},
            f"KA_INCLUDE: cannot be 203.0.113.256/24; it must be {VIP_FORM}",
            id="VIP with an impossible address",
        ),
        pytest.param(
            {"KA_INCLUDE": "203.0.113.10/33"},
            "KA_INCLUDE: cannot be 203.0.113.10/33; it must be ADDRESS[/PREFIX[/LINK]] with a prefix of 1–32 for IPv4",
            id="prefix 33",
        ),
        pytest.param(
            {"KA_INCLUDE": "2001:db8::10/129"},
            "KA_INCLUDE: cannot be 2001:db8::10/129; it must be ADDRESS[/PREFIX[/LINK]] with a prefix of 1–128 "
            "for IPv6",
            id="prefix 129",
        ),
        pytest.param(
            {"KA_INCLUDE": "203.0.113.10/24/eth9"},
            f"KA_INCLUDE: cannot put 203.0.113.10 on eth9; {LINKS}",
            id="unknown link of a VIP",
        ),
        pytest.param(
            {"KA_EXCLUDE": "203.0.113.20/24/eth9"},
            f"KA_EXCLUDE: cannot put 203.0.113.20 on eth9; {LINKS}",
            id="unknown link of an excluded VIP",
        ),
        pytest.param(
            {"KA_AUTH_PASS": SECRET},
            f"KA_AUTH_PASS: cannot be a text of 9 characters; it must be {PASSWORD}",
            id="auth pass of 9 characters",
        ),
        pytest.param({"KA_VRID": "0"}, "KA_VRID: cannot be 0; it must be 1–255", id="VRID 0"),
        pytest.param({"KA_VRID": "256"}, "KA_VRID: cannot be 256; it must be 1–255", id="VRID 256"),
        pytest.param(
            {"KA_OVERRIDE_CHECK": "../check"},
            "KA_OVERRIDE_CHECK: cannot be ../check; it must be the name of an executable in scripts/, "
            "no path, no arguments",
            id="script name with a slash",
        ),
        pytest.param(
            {"KA_PRIORTY": "100"},
            "KA_PRIORTY: is not a known variable; did you mean KA_PRIORITY?",
            id="misspelt variable",
        ),
        pytest.param(
            {"KA_PRIORTY_FILE": "/run/secrets/priority"},
            "KA_PRIORTY_FILE: is not a known variable; did you mean KA_PRIORITY_FILE?",
            id="misspelt file variable",
        ),
        pytest.param(
            {"KA_COFFEE": "black"},
            "KA_COFFEE: is not a known variable; ka env lists them all",
            id="unknown variable",
        ),
        pytest.param(
            {"KA_AUTH_PASS": SECRET, "KA_AUTH_PASS_FILE": "/run/secrets/pass"},
            "KA_AUTH_PASS: cannot be set together with KA_AUTH_PASS_FILE; leave one of them out",
            id="auth pass twice",
        ),
        pytest.param(
            {"KA_ADVERT_INTERVAL": "0.5", "KA_VRRP_VERSION": "2"},
            "KA_ADVERT_INTERVAL: cannot be 0.5 with VRRP version 2; it must be 1–255 whole seconds, or version 3",
            id="fractional advert with version 2",
        ),
    ],
)
def test_one_problem(ka: Ka, environ: dict[str, str | None], sentence: str) -> None:
    outcome = ka("check", **environ)
    assert outcome.err == verdict(sentence)
    assert outcome.status == EXIT_CONFIG
    assert SECRET not in outcome.out + outcome.err


def test_missing_script(ka: Ka, data_dir: Path) -> None:
    outcome = ka("check", KA_OVERRIDE_CHECK="check-nothing", KA_DATA_DIR=str(data_dir))
    assert outcome.err == verdict(
        f"KA_OVERRIDE_CHECK: cannot be check-nothing; there is no such file in {data_dir}/scripts, "
        "it holds check-service"
    )
    assert outcome.status == EXIT_CONFIG


def test_missing_script_where_there_are_none(ka: Ka, tmp_path: Path) -> None:
    outcome = ka("check", KA_OVERRIDE_CHECK="check-service", KA_DATA_DIR=str(tmp_path))
    assert outcome.err == verdict(
        f"KA_OVERRIDE_CHECK: cannot be check-service; there is no such file in {tmp_path}/scripts, it holds no files"
    )


def test_script_without_a_run_bit(ka: Ka, data_dir: Path) -> None:
    script = data_dir / "scripts" / "check-service"
    script.chmod(0o644)
    outcome = ka("check", KA_OVERRIDE_CHECK="check-service", KA_DATA_DIR=str(data_dir))
    assert outcome.err == verdict(
        f"KA_OVERRIDE_CHECK: cannot be check-service, which is not executable; chmod +x {script}"
    )
    assert outcome.status == EXIT_CONFIG


def test_both_checks(ka: Ka, data_dir: Path) -> None:
    outcome = ka(
        "check",
        KA_OVERRIDE_CHECK="check-service",
        KA_ENABLE_CHECK="http://127.0.0.1/",
        KA_DATA_DIR=str(data_dir),
    )
    assert outcome.err == verdict(
        "KA_OVERRIDE_CHECK: cannot be set together with KA_ENABLE_CHECK; leave one of them out"
    )
    assert outcome.status == EXIT_CONFIG


TEXTS: dict[str, Text[Any]] = {name: text for area in AREAS for name, _, text in area.variables()}


@pytest.mark.parametrize("name", known_variables())
def test_a_newline_is_no_way_into_a_file(ka: Ka, name: str) -> None:
    text = TEXTS[name]
    value = f"{RIGHT[name]}\n}}"
    # A list may be written a line for each item; then the brace is an item, and as one it is refused.
    found = re.split(text.separator, value)[-1] if isinstance(text, TextList) else value
    shown = f"a text of {len(found)} characters" if text.secret else found.replace("\n", "\\n")
    outcome = ka("check", **{name: value})
    assert outcome.err == verdict(f"{name}: cannot be {shown}; it must be {text.accepts}")
    assert outcome.status == EXIT_CONFIG


def test_everything_wrong_is_said_at_once(ka: Ka) -> None:
    outcome = ka(
        "check",
        KA_TRACK_IFACE=None,
        KA_PRIORITY="300",
        KA_PRIORTY="100",
        KA_INCLUDE="203.0.113.10/33",
        KA_VRID="0",
        KA_AUTH_PASS=SECRET,
        KA_ADVERT_INTERVAL="0.5",
        KA_VRRP_VERSION="2",
        KA_ENABLE_CHECK="http://127.0.0.1/",
        KA_OVERRIDE_CHECK="check",
        KA_SCRIPT_USER="mallory",
        KA_LOG_FORMAT="xml",
        KA_DATA_DIR="/nowhere",
    )
    assert outcome.err == verdict(
        "KA_PRIORTY: is not a known variable; did you mean KA_PRIORITY?",
        "KA_TRACK_IFACE: is not set; it must be a link name such as eth0 or auto",
        "KA_INCLUDE: cannot be 203.0.113.10/33; it must be ADDRESS[/PREFIX[/LINK]] with a prefix of 1–32 for IPv4",
        "KA_PRIORITY: cannot be 300; it must be 1–255 or auto",
        "KA_VRID: cannot be 0; it must be 1–255",
        f"KA_AUTH_PASS: cannot be a text of 9 characters; it must be {PASSWORD}",
        "KA_LOG_FORMAT: cannot be xml; it must be text or json",
        "KA_ADVERT_INTERVAL: cannot be 0.5 with VRRP version 2; it must be 1–255 whole seconds, or version 3",
        "KA_OVERRIDE_CHECK: cannot be set together with KA_ENABLE_CHECK; leave one of them out",
        "KA_OVERRIDE_CHECK: cannot be check; there is no such file in /nowhere/scripts, it holds no files",
        "KA_SCRIPT_USER: cannot be mallory; it must be an account that exists here, such as nobody",
    )
    assert outcome.status == EXIT_CONFIG
    assert SECRET not in outcome.out + outcome.err


@pytest.mark.parametrize(
    "environ",
    [
        {"KA_AUTH_PASS": SECRET},
        {"KA_AUTH_PASS": f"{SECRET}\n"},
        {"KA_AUTH_PASS": SECRET, "KA_AUTH_PASS_FILE": "/nowhere"},
        {"KA_AUTH_PASS": "s3cr3t", "KA_VRRP_VERSION": "3"},
        {"KA_AUTH_PASS": "s3cr3t", "KA_INCLUDE": "2001:db8::10"},
        {"KA_AUTH_PASS": "s3cr3t", "KA_PRIORITY": "0"},
        {"KA_ENABLE_CHECK": f"ftp://ka:{SECRET}@127.0.0.1/"},
        {"KA_ENABLE_CHECK": f"http://ka:{SECRET}@127.0.0.1:99999/"},
        {"KA_ENABLE_CHECK": f"http://ka:{SECRET}@/"},
    ],
)
def test_a_secret_is_in_no_sentence(ka: Ka, environ: dict[str, str | None]) -> None:
    outcome = ka("check", **environ)
    assert outcome.status == EXIT_CONFIG
    assert "s3cr3t" not in outcome.out + outcome.err


@pytest.mark.parametrize("command", ["check", "run", "render"])
def test_every_command_refuses_alike(ka: Ka, command: str) -> None:
    outcome = ka(command, KA_PRIORITY="0")
    assert (outcome.status, outcome.out) == (EXIT_CONFIG, "")
    assert outcome.err == verdict("KA_PRIORITY: cannot be 0; it must be 1–255 or auto")


@pytest.mark.parametrize("command", ["check", "run"])
def test_the_real_command_on_this_machine(command: str) -> None:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("KA_")}
    environ |= {**LEAST, "KA_TRACK_IFACE": "auto", "KA_INCLUDE": "nothing", "KA_AUTH_PASS": SECRET}
    done = subprocess.run([sys.executable, "-m", "app", command], env=environ, capture_output=True, check=False)
    assert done.stderr.decode() == verdict(
        f"KA_INCLUDE: cannot be nothing; it must be {VIP_FORM}",
        f"KA_AUTH_PASS: cannot be a text of 9 characters; it must be {PASSWORD}",
    )
    assert (done.returncode, done.stdout) == (EXIT_CONFIG, b"")

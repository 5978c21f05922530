"""What the container does not even start with: wrong variables, missing privileges; and what each privilege is for."""

from __future__ import annotations

import subprocess

import pytest

from app.contract.capabilities import NAMES
from lab.engine import IMAGE, RESTRICTED, capabilities, environment

EXIT_CONFIG = 78
#: A terminal's height: the operator sees the first line of what is wrong without scrolling.
SCREENFUL = 24

GOOD = {"KA_TRACK_IFACE": "eth0", "KA_INCLUDE": "198.51.100.10/24", "KA_PRIORITY": "100", "KA_VRID": "51"}

#: Which documented line breaks, tried in the image with plain tools: with all capabilities it works, without this one
#: it does not.
WHAT_BREAKS = {
    "NET_ADMIN": "ip address add 198.51.100.10/24 dev lo",
    "NET_RAW": "python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)'",
    "SETUID": "python3 -c 'import os; os.setuid(990)'",
    "SETGID": "python3 -c 'import os; os.setgid(990)'",
    "CHOWN": "touch /run/mine && chown ka /run/mine",
    "KILL": "python3 -c 'import os, time; p = os.fork() or (os.setuid(990), time.sleep(60)); "
    '[time.sleep(0.01) for _ in iter(lambda: os.stat(f"/proc/{p}").st_uid, 990)]; os.kill(p, 15)\'',
}


def run(*options: str, command: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A container that ends by itself, on a network of its own and removed with its end."""
    return subprocess.run(
        ["docker", "run", "--rm", *options, IMAGE, *command], check=False, capture_output=True, text=True, timeout=60
    )


def without(capability: str) -> list[str]:
    """The documented options but for one capability."""
    kept = [name for name in NAMES if name != capability]
    return ["--read-only", "--tmpfs", "/run", "--security-opt", "no-new-privileges", *capabilities(*kept)]


def test_everything_wrong_is_said_at_once_on_one_screen(image: str) -> None:
    wrong = {
        "KA_TRACK_IFACE": "nolink9",
        "KA_INCLUDE": "198.51.100.300/24",
        "KA_PRIORITY": "300",
        "KA_VRID": "0",
        "KA_AUTH_PASS": "far-too-long",
        "KA_CHECK_RISE": "none",
        "KA_ENABLE_CHECK": "127.0.0.1:80",
        "KA_LOG_FORMAT": "xml",
        "KA_INCLUED": "198.51.100.10",
    }
    done = run(*RESTRICTED, *environment(wrong))
    assert done.returncode == EXIT_CONFIG
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) <= SCREENFUL
    # nolink9 cannot be told from a wrong link before the address is right, so it may stay silent.
    for name in wrong.keys() - {"KA_TRACK_IFACE"}:
        assert [line for line in lines if line.startswith(f"ka: {name}: ")], f"{name} is not named in {lines}"
    assert lines[-1].endswith("nothing was started")
    assert wrong["KA_AUTH_PASS"] not in done.stderr


def test_empty_environment_names_what_is_required(image: str) -> None:
    done = run(*RESTRICTED)
    assert done.returncode == EXIT_CONFIG
    assert len(done.stderr.splitlines()) <= SCREENFUL
    for name in ("KA_TRACK_IFACE", "KA_INCLUDE", "KA_PRIORITY"):
        assert f"ka: {name}: " in done.stderr


@pytest.mark.parametrize("capability", NAMES)
def test_missing_capability_is_named_and_nothing_starts(image: str, capability: str) -> None:
    done = run(*without(capability), *environment(GOOD))
    assert done.returncode == EXIT_CONFIG
    first, last = done.stderr.splitlines()
    assert first.startswith(f"ka: capability {capability}: is missing, needed to ")
    assert first.endswith(f"; add --cap-add {capability}")
    assert last == "ka: 1 problem, nothing was started"


@pytest.mark.parametrize("capability", NAMES)
def test_each_capability_is_needed_for_what_is_said_of_it(image: str, capability: str) -> None:
    shell = ("--entrypoint", "sh", "--no-healthcheck")
    command = ("-ec", WHAT_BREAKS[capability])
    with_it = run(*RESTRICTED, *shell, command=command)
    assert with_it.returncode == 0, with_it.stderr
    without_it = run(*without(capability), *shell, command=command)
    assert without_it.returncode not in {0, 126, 127}
    assert "not permitted" in without_it.stderr


def test_read_only_run_directory_is_said(image: str) -> None:
    done = run("--read-only", "--security-opt", "no-new-privileges", *capabilities(*NAMES), *environment(GOOD))
    assert done.returncode == EXIT_CONFIG
    assert done.stderr.startswith("ka: KA_RUN_DIR: cannot write /run")


def test_unknown_command_is_wrong_usage(image: str) -> None:
    done = run(*RESTRICTED, command=("nonsense",))
    assert done.returncode == 2
    assert "invalid choice" in done.stderr

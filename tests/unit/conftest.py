"""``ka`` called in this process, and a network of our own for what asks the kernel."""

from __future__ import annotations

import ctypes
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import pytest

from app.cli import main
from tests.unit.machine import HOST, LEAST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000  # linux/sched.h; os.unshare came with Python 3.12


@dataclass(frozen=True)
class Outcome:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str


class Ka:
    """``ka`` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, **environ: str | None) -> Outcome:
        """Calls ``ka`` with the least environment and ``environ``; None takes a variable away."""
        self._capsys.readouterr()
        wanted = {name: text for name, text in ({**LEAST, **environ}).items() if text is not None}
        status = main(arguments, wanted)
        said = self._capsys.readouterr()
        return Outcome(status, said.out, said.err)


@pytest.fixture
def ka(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ka:
    """``ka`` on the machine of tests.unit.machine."""
    # The links, the default route and the host name differ from machine to machine, and the sentences name them.
    monkeypatch.setattr("app.lifecycle.prepare.observe", lambda *_: HOST)
    return Ka(capsys)


class Network:
    """A thread in a network namespace of its own, with the links eth0 and eth1: they are the ends of one cable.

    The namespace has no name and ends with the thread: nothing is left behind, however the tests end.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, initializer=_leave)

    def call(self, function: Callable[[], T]) -> T:
        """What ``function`` gives, or raises, in the namespace; so do the processes that it starts."""
        return self._thread.submit(function).result()

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown()


def _leave() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    links = "link add eth0 type veth peer name eth1\nlink set lo up\nlink set eth0 up\nlink set eth1 up\n"
    addresses = "address add 203.0.113.11/24 dev eth0\naddress add 2001:db8::11/64 dev eth0 nodad\n"
    addresses += "route add default via 203.0.113.1 dev eth0\n"
    subprocess.run(["ip", "-batch", "-"], input=links + addresses, text=True, check=True)


@pytest.fixture(scope="session")
def root() -> None:
    """Skips what only root may do."""
    if os.geteuid() != 0:
        pytest.skip("only root may make network namespaces and change owners")


@pytest.fixture(scope="session")
def network(root: None) -> Iterator[Network]:
    """A network with eth0 and eth1 that is not this machine's."""
    network = Network()
    yield network
    network.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A KA_DATA_DIR with the check script ``check-service``, which is content."""
    script = tmp_path / "ka-data" / "scripts" / "check-service"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    return script.parent.parent

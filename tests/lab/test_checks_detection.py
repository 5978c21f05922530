"""From a fault to the verdict, and what is said of it; bench/checks.py holds the time against docs/checks.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.faults import FAULTS, HTTP, HTTPS, NAMED, Faults
from lab.pair import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab, Node

INTERVAL, TIMEOUT, FAST, FALL = 0.5, 0.3, 0.1, 3

CHECK = {
    **ENVIRONMENT,
    "KA_PRIORITY": "254",
    "KA_CHECK_INTERVAL": f"{INTERVAL}",
    "KA_CHECK_TIMEOUT": f"{TIMEOUT}",
    "KA_CHECK_FAST_INTERVAL": f"{FAST}",
    "KA_CHECK_FALL": f"{FALL}",
    "KA_CHECK_RISE": "1",
}

REASONS = {
    "connection refused": "connection refused",
    "connection reset": "connection reset",
    "answers 500": "answered 500 Internal Server Error, not 200",
    "accepts and hangs": "no answer within 0.1 s",
    "certificate expired": "TLS: certificate has expired",
    "name gone": "the host name has no address",
    "name server silent": "(no answer within 0.1 s|the name server does not answer)",
}


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.add_node("n1")


@pytest.fixture
def faults(node: Node, tmp_path: Path) -> Iterator[Faults]:
    data = tmp_path / "data"
    data.mkdir()
    made = Faults(node, data)
    yield made
    made.close()


@pytest.mark.parametrize("url", [HTTP, HTTPS, NAMED])
def test_every_fault_is_noticed_and_said(node: Node, faults: Faults, tmp_path: Path, url: str) -> None:
    tls = {"KA_CHECK_CA_FILE": faults.ca_file} if url == HTTPS else {}
    node.start({**CHECK, **tls, "KA_ENABLE_CHECK": url}, data=tmp_path / "data", binds=faults.binds)
    faults.wait_verdict("0")
    for fault in (fault for fault, broken in FAULTS.items() if broken == url):
        mark = node.log.mark()
        faults.cause(fault)
        faults.wait_verdict("1")
        node.log.wait_for(f"http-checker.*: DOWN after {FALL} failures: {REASONS[fault]}", since=mark)
        faults.mend()
        faults.wait_verdict("0")
    assert node.stderr.text == ""

"""Every test below this directory has the marker `lab`: real keepalived in network namespaces, as root."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab import Lab, LabError, obstacle
from lab.doctor import IDLE, SOUND

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from lab import Node

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def lab_possible() -> None:
    """Skip where there can be no lab, with the sentence that says why; but on CI fail, which must not skip quietly."""
    problem = obstacle()
    if problem is not None and os.environ.get("CI"):
        pytest.fail(problem, pytrace=False)
    if problem is not None:
        pytest.skip(problem)


@pytest.fixture
def lab(lab_possible: None) -> Iterator[Lab]:
    """A lab without hosts."""
    with Lab() as lab:
        yield lab


@pytest.fixture
def idle(lab: Lab) -> Node:
    """A node whose container runs nothing yet, for `ka doctor`."""
    node = lab.add_node("n1")
    node.start(SOUND, command=IDLE)
    return node


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the nodes' logs and the timeline with every test that fails and has not shown them itself."""
    report = yield
    funcargs: dict[str, Any] = getattr(item, "funcargs", {})
    lab = funcargs.get("lab")
    told = call.excinfo is not None and call.excinfo.errisinstance(LabError)
    if call.when == "call" and report.failed and isinstance(lab, Lab) and not told:
        report.sections.append(("lab", lab.report()))
    return report

"""Every test below this directory has the marker `cluster`: the manifests on the cluster that kubectl points to.

Nothing here runs unless CLUSTER_VIP says which address is free there, so no test run touches a cluster by accident.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster.cluster import VIP, Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
_FIGURES: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.cluster)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _FIGURES:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def figures() -> list[str]:
    """A line for each event, shown at the end."""
    return _FIGURES


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The manifests, applied once."""
    if not VIP:
        pytest.skip("CLUSTER_VIP is not set, so no cluster is tested (docs/kubernetes.md)")
    with Cluster(tmp_path_factory.mktemp("overlay")) as cluster:
        yield cluster


@pytest.fixture
def cluster(deployed: Cluster) -> Cluster:
    """The manifests as they are, every node ready and one of them with the VIP."""
    deployed.apply()
    deployed.wait_all_ready()
    return deployed

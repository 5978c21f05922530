"""A real server on loopback for the checker to probe, and certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.web_server import Certificates, Server, make_certificates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server that answers 200."""
    made = Server()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made fresh for this run."""
    return make_certificates(tmp_path_factory.mktemp("tls"))

"""The category logs: whose /dev/log is, and whether the log's servers take connections."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from app.contract.paths import DEV_LOG
from app.host.dev_log import other_logger
from app.operate.doctor.catalogue import found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.operate.doctor.catalogue import Finding
    from app.operate.doctor.scene import Scene

CONNECT_SECONDS = 1.0


def look(scene: Scene) -> Iterator[Finding]:
    """What keeps lines from where they are to go."""
    other = other_logger(DEV_LOG, scene.layout.log_socket)
    if other is not None:
        yield found("KA0703" if other.is_lost else "KA0701", place=DEV_LOG, problem=other.sentence)
    for server in scene.node.log_servers:
        if server.has_spool:  # nobody can tell whether a UDP server is there
            try:
                socket.create_connection((server.host, server.port), CONNECT_SECONDS).close()
            except OSError as error:
                reason = error.strerror or f"no connection within {CONNECT_SECONDS:g} s"
                yield found("KA0702", server=server, reason=reason, host=server.host)

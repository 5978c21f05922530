"""What the log says, and where it goes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from app.contract.log_config import Levels
from app.contract.log_server import FORM, LogServer, parse_log_server
from app.settings.area import Area
from app.settings.text import Text, TextList, choice, directory, matching

#: The names of KA_LOG_LEVEL.
LEVEL_NAMES = ("error", "warning", "info", "debug")

LEVEL_FORM = (
    f"one of {', '.join(LEVEL_NAMES)}, and PROGRAM=LEVEL for programs of another level, such as keepalived=debug"
)

#: Bytes of a spool: with less there is no room for a file of the queue.
SPOOL_SIZE_RANGE = (1 << 20, 1 << 40)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Size(int):
    """Bytes, written as people do."""

    def __str__(self) -> str:
        unit, size = next((unit, size) for unit, size in reversed(_UNITS.items()) if self % size == 0)
        return f"{int(self) // size}{unit}"


def _levels() -> Text[Levels]:
    def parse(text: str) -> Levels:
        default, programs = "info", {}
        for item in re.split(r"[\s,]+", text.lower()):
            program, separator, level = item.rpartition("=")
            if level not in LEVEL_NAMES or (separator and not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,47}", program)):
                raise ValueError
            if separator:
                programs[program] = level
            else:
                default = level
        return Levels(default, tuple(programs.items()))

    return Text(LEVEL_FORM, parse)


def _size() -> Text[Size]:
    low, high = SPOOL_SIZE_RANGE

    def parse(text: str) -> Size:
        found = re.fullmatch(r"([0-9]{1,13})([KMG]?)(?:I?B)?", text.upper())
        size = Size(int(found[1]) * _UNITS[found[2]] if found else 0)
        if not low <= size <= high:
            raise ValueError
        return size

    return Text("1M–1024G, in bytes or with one of K, M and G", parse)


class Logs(Area):
    """The one log stream of a node, on its standard output, and its copies."""

    log_format: Annotated[str, choice("text", "json")] = Field(
        default="text", description="text: a line for people. json: one object a line, for machines."
    )
    log_level: Annotated[Levels, _levels()] = Field(
        default=Levels(),
        description="The least severe messages that are shown, and other levels for some programs, as in "
        "info,keepalived=debug. debug adds keepalived's details.",
    )
    log_forward: Annotated[tuple[LogServer, ...], TextList(FORM, parse_log_server)] = Field(
        default=(),
        description="Servers that get a copy of every line by RFC 5424. tls is encrypted; relp is acknowledged; udp is "
        "neither, and nothing waits for its server.",
    )
    log_forward_ca: Annotated[Path | None, directory()] = Field(
        default=None, description="The certificates that tls servers must be signed by. Unset: the system's."
    )
    log_forward_cert: Annotated[Path | None, directory()] = Field(
        default=None, description="This node's certificate for tls servers that ask for one."
    )
    log_forward_key: Annotated[Path | None, directory()] = Field(
        default=None, description="The private key of KA_LOG_FORWARD_CERT; only root need be able to read it."
    )
    log_forward_name: Annotated[
        str | None,
        matching(r"[A-Za-z0-9_*](?:[A-Za-z0-9_.*:-]{0,252})", "a name as in a certificate, such as log.example.org"),
    ] = Field(default=None, description="The name in the certificate of tls servers. Unset: the HOST of each.")
    log_spool: Annotated[Path | None, directory()] = Field(
        default=None,
        description="A directory for what waits for a server that is away. Unset: KA_RUN_DIR/spool, which survives "
        "anything but the end of the container.",
    )
    log_spool_size: Annotated[Size, _size()] = Field(
        default=Size(16 << 20),
        description="How much may wait for each server; then new lines for it are dropped and counted.",
    )

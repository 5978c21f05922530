"""What the log says, and how."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.settings.area import Area
from app.settings.text import choice

#: The names of KA_LOG_LEVEL with their syslog severities (RFC 5424 §6.2.1).
SEVERITIES = {"error": 3, "warning": 4, "info": 6, "debug": 7}


class Logs(Area):
    """The one log stream of a node, on its standard output."""

    log_format: Annotated[str, choice("text", "json")] = Field(
        default="text", description="text: a line for people. json: one object a line, for machines."
    )
    log_level: Annotated[str, choice(*SEVERITIES)] = Field(
        default="info", description="The least severe messages that are shown; debug adds keepalived's details."
    )

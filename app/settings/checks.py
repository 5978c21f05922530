"""When this node counts as healthy."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from app.settings.area import Area
from app.settings.text import TextList, integer, matching, seconds

#: A range of HTTP status codes, both ends included.
StatusRange = tuple[int, int]

#: keepalived.conf(5), TRACK SCRIPTS: the weight of a vrrp_script.
WEIGHT_RANGE = (-253, 253)


#: A file in scripts/: no path, no arguments, no leading dot or hyphen.
SCRIPT_PATTERN = r"[A-Za-z0-9_+][A-Za-z0-9_.+-]*"
SCRIPT_FORM = "the name of an executable in scripts/, no path, no arguments"

_URL_FORM = "an http:// or https:// URL"


def http_url(text: str) -> str:
    """An http(s) URL as aiohttp can ask for it; raises ValueError."""
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and text.isprintable()
    except ValueError:  # a port out of range, a bracket that is never closed
        is_usable = False
    if not is_usable:
        raise ValueError
    return text


def _status(text: str) -> StatusRange:
    """``200`` or ``200-299``; raises ValueError."""
    found = re.fullmatch(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", text)
    if not found or int(found[2] or found[1]) < int(found[1]):
        raise ValueError
    return int(found[1]), int(found[2] or found[1])


class Checks(Area):
    """The health checks."""

    enable_check: Annotated[tuple[str, ...], TextList(_URL_FORM, http_url)] = Field(
        default=(), description="URLs that must all answer; otherwise the node gives its VIPs away."
    )
    override_check: Annotated[
        str | None,
        matching(SCRIPT_PATTERN, SCRIPT_FORM),
    ] = Field(
        default=None,
        description="An executable of your own in KA_DATA_DIR/scripts, in place of KA_ENABLE_CHECK: exit status 0 is "
        "healthy. It gets no arguments and runs as KA_SCRIPT_USER.",
    )
    check_interval: Annotated[float, seconds("0.1", "3600")] = Field(
        default=2.0, description="The time between two checks. A script is run every whole second at the most often."
    )
    check_timeout: Annotated[float | None, seconds("0.1", "3600")] = Field(
        default=None,
        description="How long one check may take, name look-up and TLS included. Unset: KA_CHECK_INTERVAL.",
    )
    check_rise: Annotated[int, integer(1, 1000)] = Field(
        default=2, description="Good answers in a row before the node counts as healthy."
    )
    check_fall: Annotated[int, integer(1, 1000)] = Field(
        default=2, description="Bad answers in a row before it counts as failed."
    )
    check_weight: Annotated[int, integer(*WEIGHT_RANGE)] = Field(
        default=0,
        description="0: a failed check takes the node out (FAULT). Below 0: it lowers the priority by that much. "
        "Above 0: a passed check raises it.",
    )
    check_status: Annotated[
        tuple[StatusRange, ...], TextList("HTTP status codes such as 200 or 200-299,301", _status)
    ] = Field(default=((200, 200),), description="The HTTP status codes that count as healthy.")

"""When this node counts as healthy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from app.contract import check_url
from app.contract.pattern import compile_pattern
from app.settings.area import Area
from app.settings.text import Text, TextList, boolean, directory, integer, matching, seconds

#: A range of HTTP status codes, both ends included.
StatusRange = tuple[int, int]

#: keepalived.conf(5), TRACK SCRIPTS: the weight of a vrrp_script.
WEIGHT_RANGE = (-253, 253)


#: A file in scripts/: no path, no arguments, no leading dot or hyphen.
SCRIPT_PATTERN = r"[A-Za-z0-9_+][A-Za-z0-9_.+-]*"
SCRIPT_FORM = "the name of an executable in scripts/, no path, no arguments"

HTTP_FORM = "an http:// or https:// URL"
TARGET_FORM = "a URL that begins with http://, https://, http+unix:// or tcp://HOST:PORT"
HEADER_FORM = "Name: value, with ; between headers"


def _masked_text(text: str) -> str:
    """A text that is no good URL, without what may be a password: what stands before any @, or where a port should."""
    shown = re.sub(r"^([a-z+]*://)?.*@", r"\1***@", text, flags=re.DOTALL)
    return check_url.masked_url(re.sub(r"(//[^/?#:\[]*):(?![0-9]*(?:[/?#]|$))[^/?#]*", r"\1:***", shown))


def http_url(text: str) -> str:
    """An http(s) URL; raises ValueError."""
    if not text.startswith(("http://", "https://")):
        raise ValueError
    return target_url(text)


def target_url(text: str) -> str:
    """A URL that the http-checker can ask; raises ValueError."""
    try:
        check_url.parse_check_url(text)
    except check_url.CheckUrlError:
        raise ValueError from None
    return text


def _header(text: str) -> tuple[str, str]:
    """``Name: value``; raises ValueError."""
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not value.strip().isprintable():
        raise ValueError
    return name, value.strip()


def _regular_expression(text: str) -> str:
    """A regular expression of Python's; raises ValueError."""
    if not text.isprintable():
        raise ValueError
    try:
        compile_pattern(text)
    except ValueError as error:
        raise ValueError(f"a regular expression ({error})") from None
    return text


def _status(text: str) -> StatusRange:
    """``200`` or ``200-299``; raises ValueError."""
    found = re.fullmatch(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", text)
    if not found or int(found[2] or found[1]) < int(found[1]):
        raise ValueError
    return int(found[1]), int(found[2] or found[1])


class Checks(Area):
    """The health checks."""

    enable_check: Annotated[tuple[str, ...], TextList(TARGET_FORM, target_url, mask=_masked_text)] = Field(
        default=(),
        description="URLs that must all answer; otherwise the node gives its VIPs away. tcp:// only connects; "
        "http+unix://%2Frun%2Fweb.sock/health asks over a socket.",
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
    check_headers: Annotated[
        tuple[tuple[str, str], ...], TextList(HEADER_FORM, _header, secret=True, separator=r"\s*[;\n]\s*")
    ] = Field(default=(), description="Headers of each request, for example Host: www.example.org.")
    check_body: Annotated[str | None, Text("a regular expression", _regular_expression)] = Field(
        default=None, description="A regular expression that the first 64 KiB of the answer must match somewhere."
    )
    check_follow: Annotated[bool, boolean()] = Field(default=False, description="Whether redirects are followed.")
    check_ca_file: Annotated[Path | None, directory("an absolute path of a file")] = Field(
        default=None, description="The certificates of the authorities that a https:// target may be signed by."
    )
    check_insecure: Annotated[bool, boolean()] = Field(
        default=False, description="Whether certificates of https:// targets go unchecked."
    )
    check_fast_interval: Annotated[float | None, seconds("0.1", "3600")] = Field(
        default=None,
        description="The time between two checks while a change is pending, so that fall 3 need not cost three "
        "intervals. Unset: KA_CHECK_INTERVAL.",
    )
    check_instant: Annotated[bool, boolean()] = Field(
        default=True,
        description="Whether a target is asked at once when its listener on this host is gone, or the connection of "
        "the last good answer is closed. Whether it has failed, KA_CHECK_FALL bad answers within a few hundredths of a "
        "second say.",
    )
    check_slow_interval: Annotated[float | None, seconds("0.1", "3600")] = Field(
        default=None, description="The time between two checks while the node is down. Unset: KA_CHECK_INTERVAL."
    )

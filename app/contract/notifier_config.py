"""What the notifier is told: notifier.json."""

from __future__ import annotations

from typing import NamedTuple


class NotifierLimits(NamedTuple):
    """How long things may take, in seconds, and how many may wait or run. Not for operators: tests shorten them."""

    #: One run of the script, before SIGTERM; and from there to SIGKILL.
    run: float = 30.0
    grace: float = 2.0
    #: Scripts of different instances at once: a fail-over of many must not take the processor from keepalived.
    at_once: int = 16
    #: One POST: each of connecting, TLS and the wait for an answer.
    post: float = 5.0
    #: How old a transition may be when its POST is tried again; and the first wait before that, which then doubles.
    retry: float = 60.0
    backoff: float = 1.0
    #: Transitions that wait for one hook.
    waiting: int = 1000
    #: From SIGTERM to the end, for what waits and runs then.
    drain: float = 4.0


class NotifierConfig(NamedTuple):
    """`instances` maps the names of instances to their VIPs. The URL may hold a token."""

    node: str
    log_level: str
    transitions: str
    journal: str
    script: str | None
    url: str | None
    instances: dict[str, tuple[str, ...]]
    limits: NotifierLimits = NotifierLimits()

"""What messages of keepalived and the http-checker are about: transitions with their facts, classes of the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.contract.log_config import LoggedInstance
    from app.pid1.log.message import Message

#: The classes of messages, as docs/log-line.schema.json lists them.
STATE, ADVERT, CHECK, LINK, ADDRESS, CONFIG, LOG = "state", "advert", "check", "link", "address", "config", "log"

#: States beyond those of RFC 5798 §6.4: keepalived's FAULT, and an instance that was stopped.
INIT, MASTER, FAULT, STOP = "INIT", "MASTER", "FAULT", "STOP"

#: Seconds that a cause may lie before the transition that it explains.
RECENT_SECONDS = 5.0


@dataclass(frozen=True)
class LoggedTransition:
    """An instance that changed its state. ``priority`` is the effective one at that moment."""

    state: str
    old_state: str
    priority: int
    vips: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class About:
    """The class of a message, the instance it is about, and the transition it tells of."""

    event: str | None = None
    instance: str | None = None
    transition: LoggedTransition | None = None


NOTHING = About()

_TRANSITION = re.compile(r"\((?P<instance>[^)]+)\):? [Ee]ntering (?P<state>[A-Z]+) (?:STATE|state)(?: (?P<why>.+))?")
_PRIORITY = re.compile(r"\((?P<instance>[^)]+)\) (?:Chang|Sett|Restor)ing \D*(?:from \d+ )?to (?P<priority>\d+)")
_OF_INSTANCE = re.compile(r"\((?P<instance>[^)]+)\):? (?P<text>.+)")
_GOODBYE = "sent 0 priority"

#: What explains a transition that follows: of the instance that it names, or of all when it names none.
_CAUSES = re.compile(
    r"(?:now|leaving) FAULT state|Receive advertisement timeout|Master received advert|Master received priority 0|"
    r"Backup received priority 0|Received advert from \S+ with lower priority|Syncing|Netlink reports \S+ (?:up|down)|"
    r"VRRP_Script\([^)]+\) (?:failed|succeeded|timed out)|VRRP_Group\(|address owner|"
    r"Interface \S+ (?:up|down|deleted|added)",
)
#: A time-out says less than the goodbye before it.
_FOLLOWS = ("Receive advertisement timeout", "Backup received priority 0")

#: What keepalived says only with --log-detail, which it always has: the causes of transitions are among it.
_DETAILS = re.compile(
    r"(?:\([^)]+\):? )?(?:setting VIPs|removing VIPs|Sending(?:/queueing)? |sent 0 priority|"
    r"Receive advertisement timeout|Backup received priority 0|tracked file \S+ leaving FAULT state|"
    r"Assigned address|Registering |VRRP sockpool|Opening file|CPU usage)"
)

#: What keepalived says as if it were nothing: the gates are read once a second then, and not at once.
_UNTRACKED = "Unable to monitor track files"

#: Of the http-checker: what it found of a target.
_VERDICT = re.compile(r": (?:UP|DOWN) after ")

#: The first that fits counts. The words are those of keepalived 2.2 and 2.3. None of these may take long for
#: any text: unprivileged programs write texts.
_CLASSES = (
    (
        ADVERT,
        re.compile(
            r"\) (?:received an? |invalid TTL|wrong (?:VRRP )?version|Invalid auth type|Invalid VRRPv\d checksum|"
            r"expected \d+ VIPs|ip address associated with VRID|"
            r"unicast source|advertisement interval mismatch|TTL/HL|Expected \w+cast packet|vrrp packet |"
            # Of a master: somebody else is one too, and does not hear it.
            r"Received advert from \S+ with lower priority|discarding \w+cast packet|"
            r"Invalid packet type|WARNING - equal|No AH header|Received AH|IPSEC-AH|CONFIGURATION ERROR|"
            r"Cant send advert|\S+ is still advertising)|"
            r"send advert error|[Ii]nvalid checksum|bogus VRRP packet|VRRP packet"
        ),
    ),
    (
        CHECK,
        re.compile(
            r"VRRP_Script\(|[Ss]cript `|[Tt]racked (?:file|process)|[Cc]hild thread pid \d+ timeout|monitor track files"
        ),
    ),
    (LINK, re.compile(r"Netlink reports|Interface \S+ (?:up|down|deleted|added)|Netlink reflector")),
    (
        ADDRESS,
        re.compile(r"(?:sett|remov)ing VIPs|gratuitous|unsolicited neighbour|sent 0 priority"),
    ),
    (
        CONFIG,
        re.compile(
            r"[Cc]onfiguration|Opening file|\(Line \d+\)|Unknown keyword|[Rr]eload|config option|script_?security"
        ),
    ),
)
#: What keeps adverts apart is worth a warning, and so is a node that cannot serve.
WARNS = frozenset({ADVERT})


class Narrator:
    """Follows what a node's programs say, and knows each instance's state, priority and the latest cause."""

    def __init__(self, instances: Iterable[LoggedInstance]) -> None:
        self._instances: dict[str, LoggedInstance] = {}
        self._states: dict[str, str] = {}
        self._priorities: dict[str, int] = {}
        self._causes: dict[str | None, tuple[float, str]] = {}
        self._is_stopping = False
        self.know(instances)

    def know(self, instances: Iterable[LoggedInstance]) -> None:
        """The instances there are now; a reload changes them."""
        self._instances = {instance.name: instance for instance in instances}

    def about(self, message: Message) -> About:
        """What ``message`` is about. Only root speaks for keepalived: a script cannot forge a transition."""
        program = message.program.lower()
        if program == "http-checker":
            return About(CHECK) if _VERDICT.search(message.text) else NOTHING
        if not (message.is_root and program.startswith("keepalived")):
            return NOTHING
        return self._keepalived(message)

    @staticmethod
    def is_detail(message: Message) -> bool:
        """Whether ``message`` is for who looks for it (debug), though keepalived has no severity for that."""
        return message.program.startswith("Keepalived") and _DETAILS.match(message.text) is not None

    @staticmethod
    def is_warning(message: Message) -> bool:
        """Whether ``message`` is worth a warning, though keepalived does not say so."""
        return message.program.startswith("Keepalived") and message.text == _UNTRACKED

    def _keepalived(self, message: Message) -> About:
        text = message.text
        if text.startswith("Starting Keepalived"):
            self._states.clear()
            self._priorities.clear()
            self._causes.clear()
            self._is_stopping = False
        elif text == "Stopping":
            self._is_stopping = True
        told = _OF_INSTANCE.fullmatch(text)
        instance = told["instance"] if told and told["instance"] in self._instances else None
        if instance is not None:
            if entered := _TRANSITION.fullmatch(text):
                return self._entered(instance, entered["state"], entered["why"], message.time)
            if changed := _PRIORITY.match(text):
                self._priorities[instance] = int(changed["priority"])
            elif self._is_stopping and text.endswith(_GOODBYE):
                return self._entered(instance, STOP, "keepalived is stopped", message.time)
        if _CAUSES.search(text):
            self._remember(instance, told["text"] if told and instance else text, message.time)
        return About(_class_of(text), instance)

    def _remember(self, instance: str | None, cause: str, now: float) -> None:
        when, known = self._causes.get(instance, (0.0, ""))
        later, earlier = _FOLLOWS
        if not (cause.startswith(later) and known.startswith(earlier) and now - when < RECENT_SECONDS):
            self._causes[instance] = now, cause

    def _entered(self, name: str, state: str, why: str | None, now: float) -> About:
        old = self._states.get(name, INIT)
        if state == old:
            return About(STATE, name)
        self._states[name] = state
        known = self._instances[name]
        priority = self._priorities.get(name, known.priority)
        reason = "keepalived has started" if why == "(init)" else self._reason(name, why, now)
        return About(STATE, name, LoggedTransition(state, old, priority, known.vips, reason))

    def _reason(self, name: str, why: str | None, now: float) -> str:
        causes = [self._causes.pop(name, None), self._causes.get(None)]
        if why:
            return why.removeprefix("due to ").strip("()")
        recent = [cause for cause in causes if cause and abs(now - cause[0]) <= RECENT_SECONDS]
        return max(recent)[1] if recent else "unknown"


def _class_of(text: str) -> str | None:
    return next((event for event, expression in _CLASSES if expression.search(text)), None)

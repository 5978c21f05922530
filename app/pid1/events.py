"""What happens to a node, and what PID 1 can do about it: the words between supervisord, the policy and the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from app.contract import reports

if TYPE_CHECKING:
    from app.contract.peers_config import Learned

#: In whose name PID 1 logs.
PROGRAM = "ka"


@dataclass(frozen=True)
class _OfProgram:
    program: str


class Started(_OfProgram):
    """supervisord is about to start ``program``."""


class Running(_OfProgram):
    """It has been up for the time that supervisord.conf asks for."""


@dataclass(frozen=True)
class Ended:
    """It has ended, or could not even be forked: then ``leader``, the process that led its group, is 0, and ``why``
    says why. ``is_orderly``: it was stopped, or ended as it should."""

    program: str
    leader: int
    is_orderly: bool = False
    why: str | None = None


class GivenUp(_OfProgram):
    """supervisord does not try to start it any more."""


@dataclass(frozen=True)
class Printed:
    """It printed ``line``, whose message is ``words``; ``is_complaint``: on standard error."""

    program: str
    line: str
    words: str
    is_complaint: bool = False


@dataclass(frozen=True)
class Broken:
    """supervisord has raised an error."""

    why: str
    trace: str


class Moment(Enum):
    """The operator wants a reload (SIGHUP); the node was told to stop; at least once a second."""

    HUNG_UP, STOPPING, TIME_PASSED = range(3)


Event = Started | Running | Ended | GivenUp | Printed | Broken | Moment | reports.Report


class Start(_OfProgram):
    """Start ``program``."""


class Restart(_OfProgram):
    """Ask it to end; supervisord starts it again."""


class Stop(_OfProgram):
    """Stop it, and leave it so."""


@dataclass(frozen=True)
class Log:
    """Log ``text`` at ``level`` (of logging) in the name of ``program``."""

    level: int
    text: str
    program: str = PROGRAM


@dataclass(frozen=True)
class SayOpening:
    """Log what ``ka run`` had to say before there was a log."""


@dataclass(frozen=True)
class TakeBack:
    """Take the lines back that the log forwarder had and did not get rid of; ``is_young``: perhaps none of them."""

    was_killed: bool
    is_young: bool


@dataclass(frozen=True)
class CleanUp:
    """End what is left of keepalived's process group, and remove the VIPs and pid files that it left."""

    leader: int


@dataclass(frozen=True)
class EndHung:
    """Kill keepalived, which does nothing any more, and remove its VIPs: it says no goodbye and removes nothing."""


@dataclass(frozen=True)
class OpenGates:
    """Let this node take part so far."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class DropPeers:
    """Leave to the next reload which addresses it is to drop."""

    addresses: str


@dataclass(frozen=True)
class RememberPeers:
    """Leave to who comes next which peers were learned, all of them."""

    peers: tuple[Learned, ...]


@dataclass(frozen=True)
class SendTo:
    """Have keepalived send to these peers too, at once."""

    peers: tuple[Learned, ...]


@dataclass(frozen=True)
class EndContainer:
    """Stop everything, then end with a status that makes the container's restart policy act."""

    why: str


_OfPeers = DropPeers | RememberPeers | SendTo
Action = Start | Restart | Stop | Log | SayOpening | TakeBack | CleanUp | EndHung | OpenGates | EndContainer | _OfPeers

"""What PID 1 must know to write the log: log.json."""

from __future__ import annotations

from dataclasses import dataclass

#: By number (RFC 5424 §6.2.1), in the words of KA_LOG_LEVEL where it has one.
LEVELS = ("emerg", "alert", "crit", "error", "warning", "notice", "info", "debug")

#: What is shown in place of a secret.
MASK = "********"

#: What KA_LOG_LEVEL calls a program, by the beginning of the name that it logs under, in small letters.
_CALLED = {"keepalived": "keepalived", "rsyslogd": "log-forwarder"}


@dataclass(frozen=True)
class Levels:
    """The least severe level that is shown, and for some programs another one."""

    default: str = "info"
    programs: tuple[tuple[str, str], ...] = ()

    def of(self, program: str) -> str:
        """The level of a program, by the name that it logs under or that supervisord.conf has."""
        name = program.lower()
        name = next((called for begin, called in _CALLED.items() if name.startswith(begin)), name)
        return dict(self.programs).get(name, self.default)

    def show(self, program: str, severity: int) -> bool:
        """Whether a message is shown."""
        return severity <= LEVELS.index(self.of(program))

    @property
    def least(self) -> str:
        """The least severe of all: what a process must say that logs under several names."""
        return max((self.default, *(level for _, level in self.programs)), key=LEVELS.index)

    def __str__(self) -> str:
        return ", ".join([self.default, *(f"{program} {level}" for program, level in self.programs)])


@dataclass(frozen=True)
class LoggedInstance:
    """What the log says of a VRRP instance beside its state."""

    name: str
    priority: int
    vips: tuple[str, ...]


@dataclass(frozen=True)
class LogConfig:
    """``secrets`` are masked in every line. Only root reads the file.

    ``queues`` are, beside ``targets``, what the names of their files in ``spool`` begin with; empty: it has none.
    """

    node: str
    format: str
    levels: Levels
    targets: tuple[str, ...]
    queues: tuple[str, ...]
    spool: str
    instances: tuple[LoggedInstance, ...]
    secrets: tuple[str, ...]

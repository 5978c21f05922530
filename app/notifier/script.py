"""One run of the operator's script, under a time limit."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from app.notifier.journal import RunningScript

if TYPE_CHECKING:
    from app.contract.notifier_config import NotifierLimits
    from app.notifier.transition import Transition

#: Bytes of a run's output that are logged; the rest is read and thrown away.
OUTPUT = 500

#: Seconds between two looks at a script that an earlier notifier started: nobody tells of its end.
LOOK_AGAIN_SECONDS = 0.2

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Process:
    """A process group, known by its first process, and the end that its time limit puts to it."""

    def __init__(self, running: RunningScript, grace: float) -> None:
        self.running = running
        self.is_overdue = False
        self._grace = grace
        self._next_signal = signal.SIGTERM
        self._next = running.deadline

    def enforce(self, now: float) -> float:
        """Sends what is due at `now`; gives when to be called again (both CLOCK_MONOTONIC)."""
        if now >= self._next:
            self.is_overdue = True
            self.signal(self._next_signal)
            self._next_signal = signal.SIGKILL
            self._next = now + self._grace
        return self._next

    def signal(self, number: signal.Signals) -> None:
        """To the whole group."""
        # Another user's process: the script became someone else, and that one's limit is its own affair.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.running.pid, number)


class Orphan(Process):
    """A script that a notifier before this one started. The next for its instance waits for it all the same."""

    def enforce(self, now: float) -> float:
        """As for any process, but it must be looked at again soon."""
        return min(super().enforce(now), now + LOOK_AGAIN_SECONDS)

    def has_ended(self) -> bool:
        """Whether it is gone, or its number another's."""
        return start_time(self.running.pid) != self.running.started


class Run(Process):
    """A script that this process has started. Raises OSError when it cannot be."""

    def __init__(self, script: str, transition: Transition, limits: NotifierLimits) -> None:
        self.transition = transition
        self.began = time.monotonic()
        self._status: int | None = None
        self._output = b""
        self._limit = limits.run
        self.output_fd, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.set_blocking(theirs, True)
            pid = _spawn(script, transition, theirs)
        except OSError:
            os.close(self.output_fd)
            raise
        finally:
            os.close(theirs)
        started = start_time(pid) or 0
        super().__init__(RunningScript(transition.instance, pid, started, self.began + limits.run), limits.grace)

    def read(self) -> bool:
        """Takes what it has printed; False at the end of that."""
        try:
            data = os.read(self.output_fd, 1 << 16)
        except BlockingIOError:
            return True
        self._output += data[: OUTPUT + 1 - len(self._output)]
        return bool(data)

    def reap(self) -> bool:
        """Whether it has ended; if so, its status is known and what is left of a group that was stopped is killed."""
        if os.waitid(os.P_PID, self.running.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return False
        if self.is_overdue:
            # Before its number is free for others.
            self.signal(signal.SIGKILL)
        self._status = os.waitstatus_to_exitcode(os.waitpid(self.running.pid, 0)[1])
        return True

    def close(self) -> None:
        """Takes the last of the output: a pipe holds no more than one read takes. Whoever still has its other end may
        write no more."""
        self.read()
        os.close(self.output_fd)

    @property
    def is_failure(self) -> bool:
        """Whether it ended as it should not."""
        return self.is_overdue or self._status != 0

    def outcome(self) -> str:
        """How it ended, and what it printed."""
        if self.is_overdue:
            how = f"had not ended after {self._limit:g} s and was stopped"
        elif self._status is not None and self._status < 0:
            how = f"was ended by {signal.Signals(-self._status).name}"
        elif self._status:
            how = f"failed with exit status {self._status}"
        else:
            how = f"done in {time.monotonic() - self.began:.2f} s"
        printed = " ".join(self._output[:OUTPUT].decode(errors="replace").split())
        cut = " …" if len(self._output) > OUTPUT else ""
        return f"{how}: {printed}{cut}" if printed else how


def start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat: with the pid it names a process for good. None when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:  # noqa: PTH123 - pathlib is large
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _spawn(script: str, transition: Transition, output: int) -> int:
    """The pid; its standard output and error are `output`, and it has no other descriptor and no secret of ours."""
    words = (transition.instance, transition.state, str(transition.priority))
    environ = dict(zip(("KA_INSTANCE", "KA_STATE", "KA_PRIORITY"), words, strict=True))
    return os.posix_spawn(
        script,
        [script, *words],
        environ | {"PATH": os.environ.get("PATH", _DEFAULT_PATH)},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setpgroup=0,
        # Python ignores it, and so would the script.
        setsigdef=[signal.SIGPIPE],
    )

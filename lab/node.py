"""A host of the lab that runs one container: `ka run`, or whatever a test wants in its place."""

from __future__ import annotations

import compileall
import contextlib
import json
import os
import re
import subprocess
import time
from functools import cache, partial
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Signals, pidfd_send_signal
from typing import TYPE_CHECKING

from app.contract.capabilities import NAMES
from lab.errors import LabError
from lab.host import Host, Surroundings
from lab.log import NodeLog
from lab.patience import LIMIT_SECONDS, wait_until
from lab.programs import PATH, run
from lab.sandbox import CHECKOUT, container, interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


class Node(Host):
    """A host with one container at a time, which shares its network as `network_mode: host` does.

    `log` is what the container prints on stdout, `stderr` the rest; both go on when it is started again.
    """

    def __init__(self, name: str, number: int, lab: Surroundings) -> None:
        super().__init__(name, number, lab)
        self.log = NodeLog(f"{name}'s log", lab.explain)
        self.stderr = NodeLog(f"{name}'s stderr", lab.explain)
        self.started: float | None = None
        self._container: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._pidfd: int | None = None
        self._env: dict[str, str] = {}
        self._capabilities: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Whether the container runs."""
        return self._container is not None and self._container.poll() is None

    @property
    def pid(self) -> int:
        """The container's PID 1 as this machine numbers it; LabError when the node does not run."""
        if not self.running:
            raise self._lab.explain(f"{self.name} does not run.")
        return self._pid

    @property
    def state(self) -> str:
        """Whether it runs, in words."""
        if self._container is None:
            return "never started"
        status = self._container.poll()
        return "running" if status is None else f"ended with status {status}"

    def start(
        self,
        env: Mapping[str, str] | None = None,
        *,
        command: Sequence[str] | None = None,
        data: Path | None = None,
        binds: Mapping[Path, str] | None = None,
        capabilities: Iterable[str] = NAMES,
    ) -> None:
        """Start the container and return when its PID 1 has been executed; `started` is the time just before.

        Its environment is `env` and PATH and nothing else. `command` stands in for `ka run`. `data` is mounted as
        /ka-data and every path of `binds` at its value, read-only; what unprivileged processes are to read must be
        readable by others. Raises LabError when the node runs already or bubblewrap cannot start it.
        """
        if self.running:
            raise self._lab.explain(f"{self.name} runs already.")
        self._close_pidfd()
        if command is None:
            _compile()
            command = [str(interpreter()), "-m", "app", "run"]
        self._env = {"PATH": PATH, **(env or {})}
        self._capabilities = tuple(capabilities)
        mark = self.stderr.mark()
        line = partial(
            container,
            command,
            namespace=self.namespace,
            hostname=self.name,
            capabilities=self._capabilities,
            data=data,
            binds=binds or {},
        )
        self._launch(line)
        if not self.running:
            self.wait()
            for printed in self.stderr.lines[mark:]:
                if printed.text.startswith("bwrap: "):
                    raise self._lab.explain(f"{self.name} cannot be started: {printed.text}.")

    def _launch(self, line: Callable[..., list[str]]) -> None:
        """Run `line(info=DESCRIPTOR)` until its PID 1 is the command, or has ended."""
        reading, writing = os.pipe()
        with open(reading, "rb") as info:  # noqa: PTH123 - a descriptor, not a path
            try:
                self.started = time.time()
                self._container = self._lab.launcher.submit(_popen, line(info=writing), self._env, writing).result()
            finally:
                os.close(writing)
            assert self._container.stdout is not None and self._container.stderr is not None  # noqa: PT018 - PIPE
            self.log.follow(self._container.stdout)
            self.stderr.follow(self._container.stderr)
            told = info.read()
        if told:
            self._pid = json.loads(told)["child-pid"]
            with contextlib.suppress(ProcessLookupError):
                self._pidfd = os.pidfd_open(self._pid)
                self._await_exec()
                return
        self.wait()  # bwrap is about to end, its work done or impossible

    def _await_exec(self) -> None:
        """Wait until PID 1 is the command and bwrap no more: until then the kernel throws signals for it away."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while self.running and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{self._pid}/exe").readlink().name != "bwrap":
                    return
            time.sleep(0.001)  # nothing tells of an exec

    def stop(self, signal: Signals = SIGTERM, timeout: float = LIMIT_SECONDS) -> int:
        """Send PID 1 `signal` and give the container's exit status; LabError (and SIGKILL) after `timeout` seconds."""
        self._send(signal)
        return self.wait(timeout)

    def wait(self, timeout: float = LIMIT_SECONDS) -> int:
        """The container's exit status (128 + N after signal N) once it has ended, and its logs are complete.

        Raises LabError after `timeout` seconds; the container is killed then.
        """
        if self._container is None:
            raise self._lab.explain(f"{self.name} was never started.")
        try:
            status = self._container.wait(timeout)
        except subprocess.TimeoutExpired:
            error = self._lab.explain(f"{self.name} did not end within {timeout:g} s.")
            self.kill()
            raise error from None
        self.log.join()
        self.stderr.join()
        return status

    def kill(self) -> None:
        """SIGKILL every process of the container at once; the host, its link and its addresses stay as they are."""
        if self.running:
            # The death of a PID 1 takes its whole namespace along. bwrap is left to see it, and gives 137.
            self._send(SIGKILL)
            self.wait()

    def freeze(self) -> None:
        """Stop every process of the container where it is, as `docker pause` does; the host goes on."""
        _send_all(reversed(self._all_processes()), SIGSTOP)

    def thaw(self) -> None:
        """Undo freeze."""
        _send_all(self._all_processes(), SIGCONT)

    def _all_processes(self) -> list[int]:
        # PID 1 is the first to stop and the last to go on: it ends a keepalived that is stopped while it is not itself.
        return sorted(self.processes(""), key=lambda pid: pid == self.pid)

    def power_off(self) -> None:
        """The host loses power: its link goes down before anything can say goodbye, and nothing is left on it.

        Its service and client end, its container is killed, and all addresses but its configured ones are gone.
        """
        self.cut_link()
        self.close()
        # By scope, for the link-local address would not come back.
        flush = "".join(f"address flush dev {link} scope global\n" for link in ("lo", "eth0"))
        self._configure(flush + self._address_lines())

    def power_on(self) -> None:
        """The host is back with its link; what shall run there is to be started again."""
        self.mend_link()

    def _send(self, signal: Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.running and self._pidfd is not None:
                pidfd_send_signal(self._pidfd, signal)

    def processes(self, pattern: str) -> list[int]:
        """The pids, as this machine numbers them, of the container's processes whose command line matches `pattern`."""
        expression = re.compile(pattern)
        inside = Path(f"/proc/{self.pid}/ns/pid").stat().st_ino
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdecimal():
                with contextlib.suppress(OSError):  # it has just ended
                    command = _command(int(process.name))
                    if command and expression.search(command) and (process / "ns/pid").stat().st_ino == inside:
                        found.append(int(process.name))
        return sorted(found)

    def signal(self, pattern: str, signal: Signals, timeout: float = LIMIT_SECONDS) -> list[int]:
        """Send `signal` to all processes(pattern) as soon as there is one, and give their pids.

        After SIGKILL they have ended. Raises LabError when there is none for `timeout` seconds: one that has just died
        may be started again.
        """
        try:
            pids = wait_until(lambda: self.processes(pattern), pattern, timeout)
        except LabError:
            raise self._lab.explain(f"{self.name} runs no process whose command line matches {pattern!r}.") from None
        if signal is SIGKILL:
            # Stopped first, so that none sees another die and has the time to clean up.
            _send_all(pids, SIGSTOP)
        _send_all(pids, signal)
        if signal is SIGKILL:
            wait_until(lambda: not any(map(_command, pids)), f"the end of {pattern!r}")
        return pids

    def enter(
        self, command: Sequence[str], *, check: bool = True, timeout: float = LIMIT_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` in the container, with its environment and capabilities, as `docker exec` does."""
        allowed = "".join(f",+{name.lower()}" for name in self._capabilities)
        return run(
            [
                *("nsenter", "--target", str(self.pid), "--all", "env", f"--chdir={CHECKOUT}"),
                *("setpriv", f"--bounding-set=-all{allowed}", "--inh-caps=-all", "--no-new-privs", *command),
            ],
            env=self._env,
            check=check,
            timeout=timeout,
        )

    def read(self, path: str) -> str:
        """The text of a file in the container, by its path there."""
        return Path(f"/proc/{self.pid}/root/{path}").read_text(encoding="utf-8")

    def report(self, lines: int = 30) -> str:
        """State and last log lines, for a person who looks for what went wrong."""
        parts = [f"{self.name}: {self.state}"]
        for title, log in (("stdout", self.log), ("stderr", self.stderr)):
            parts.append(f"  {title}:\n{log.tail(lines)}".rstrip())
        return "\n".join(parts)

    def close(self) -> None:
        """Kill the container and stop everything that this process runs on the host; the namespace stays."""
        self.kill()
        self._close_pidfd()
        super().close()

    def _close_pidfd(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


def _popen(line: Sequence[str], env: Mapping[str, str], info: int) -> subprocess.Popen[bytes]:
    # A new session: Ctrl-C at the terminal is for whoever runs the lab, and must not reach the nodes. Pipes, as engines
    # hand out: rsyslog writes over a log file that it opens as /dev/stdout.
    return subprocess.Popen(
        line,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(info,),
        start_new_session=True,
    )


def _command(pid: int) -> str:
    """Its command line; nothing when it has ended, waited for or not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    return ""


def _send_all(pids: Iterable[int], signal: Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal)


@cache
def _compile() -> None:
    """Compile the program as an image's build does: a node cannot, its checkout is read-only, and would start late."""
    compileall.compile_dir(CHECKOUT / "app", quiet=2)

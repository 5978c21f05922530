"""A Docker Engine as the tests use it: containers, networks, and what happens in them, told by the engine and kernel.

Everything made here carries the label of its maker and is removed by it, by id, however the test ends.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.contract.capabilities import NAMES
from lab.errors import LabError
from lab.log import NodeLog
from lab.patience import LIMIT_SECONDS
from lab.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
IMAGE = os.environ.get("IMAGE") or "docker-keepalived"
BASE_IMAGE = os.environ.get("BASE_IMAGE") or "debian:trixie-slim"

#: Seconds within which an engine on a busy machine has done anything.
ENGINE_LIMIT = 60.0


def docker(*arguments: str, limit: float = ENGINE_LIMIT) -> str:
    """What a docker command prints on standard output. Raises CalledProcessError, TimeoutExpired."""
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True, timeout=limit)
    if done.returncode:
        raise LabError(f"docker {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def engine_answers() -> bool:
    """Whether there is an engine that this process may use."""
    try:
        return subprocess.run(["docker", "version"], check=False, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def capabilities(*names: str) -> list[str]:
    """The options that leave a container these capabilities alone."""
    return ["--cap-drop", "ALL", *(option for name in names for option in ("--cap-add", name))]


#: The documented command line (docs/image.md), the network apart.
RESTRICTED = ("--read-only", "--tmpfs", "/run", "--security-opt", "no-new-privileges", *capabilities(*NAMES))


def environment(values: Mapping[str, str]) -> list[str]:
    """The options that set these variables."""
    return [option for name, value in values.items() for option in ("--env", f"{name}={value}")]


class Container:
    """A container, by its id, whose log is followed over all its runs."""

    def __init__(self, identity: str, name: str) -> None:
        self.id = identity
        self.name = name
        self.log = NodeLog(name, lambda sentence: LabError(f"{sentence}\n{self.report()}"))
        self.is_removed = False
        self._followers: list[subprocess.Popen[bytes]] = []

    def start(self) -> float:
        """Starts it, or starts it again; gives when (seconds since the epoch) it was asked to."""
        asked = time.time()
        docker("start", self.id)
        # Of a container that was started again only its new lines.
        since = ["--since", f"{asked:.3f}"] if self._followers else []
        command = ["docker", "logs", "--follow", *since, self.id]
        follower = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert follower.stdout is not None
        self._followers.append(follower)
        self.log.follow(follower.stdout)
        return asked

    @property
    def state(self) -> dict[str, Any]:
        """The engine's word on it: Status, Pid, ExitCode, StartedAt, FinishedAt, Health."""
        state: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", self.id))
        return state

    @property
    def health(self) -> str:
        """starting, healthy or unhealthy."""
        status: str = self.state["Health"]["Status"]
        return status

    @property
    def finished(self) -> float:
        """When its last run ended (seconds since the epoch)."""
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z", r"\1+00:00", self.state["FinishedAt"])).timestamp()

    def wait_end(self, limit: float = LIMIT_SECONDS) -> int:
        """Its exit status, once it has ended."""
        return int(docker("wait", self.id, limit=limit))

    def kill(self, signal: str = "KILL") -> None:
        """Sends PID 1 a signal; KILL ends every process in it."""
        docker("kill", "--signal", signal, self.id)

    def execute(self, *command: str, user: str = "root") -> subprocess.CompletedProcess[str]:
        """Runs a command in it."""
        return subprocess.run(
            ["docker", "exec", "--user", user, self.id, *command],
            check=False,
            capture_output=True,
            text=True,
            timeout=ENGINE_LIMIT,
        )

    def processes(self) -> list[tuple[str, int, str]]:
        """Account, process id on this machine and command line of each of its processes."""
        lines = docker("top", self.id, "-eo", "uid,pid,args").splitlines()[1:]
        return [(fields[0], int(fields[1]), fields[2]) for line in lines if (fields := line.split(None, 2))]

    def pid_of(self, program: str) -> list[int]:
        """The process ids on this machine of its processes of that name, the eldest first."""
        return sorted(pid for _, pid, command in self.processes() if Path(command.split()[0]).name == program)

    def addresses(self) -> set[str]:
        """Every ADDRESS/PREFIX in its network namespace now."""
        shown = json.loads(self.execute("ip", "-json", "address", "show").stdout)
        return {f"{info['local']}/{info['prefixlen']}" for link in shown for info in link["addr_info"]}

    def report(self) -> str:
        """Its state and its last lines, for a test that failed."""
        if self.is_removed:
            return f"{self.name}: removed\n{self.log.tail(40)}"
        return f"{self.name}: {json.dumps(self.state)}\n{self.log.tail(40)}"

    def remove(self) -> None:
        """Ends and removes it, with its anonymous volumes. May be called again."""
        if self.is_removed:
            return
        self.is_removed = True
        docker("rm", "--force", "--volumes", self.id)
        for follower in self._followers:
            follower.wait(LIMIT_SECONDS)
        self.log.join()


class Engine:
    """What one test makes on the engine; as a context it leaves nothing of it behind."""

    def __init__(self) -> None:
        self.tag = f"ka-test-{secrets.token_hex(3)}"
        self.watch = Watch()
        self.machines: list[str] = []
        self.containers: list[Container] = []
        self._ends = ExitStack()
        self._ends.callback(self.watch.close)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def network(self, subnet: str = "198.51.100.0/24", *options: str) -> str:
        """A bridge network; the engine gives addresses from the upper half of a /24, VIPs are of the lower one."""
        upper = subnet.replace(".0/24", ".128/25")
        name = f"{self.tag}-net"
        identity = docker("network", "create", "--subnet", subnet, "--ip-range", upper, *options, name)
        self._ends.callback(docker, "network", "rm", identity)
        return identity

    def create(self, name: str, options: Sequence[str], command: Sequence[str] = ()) -> Container:
        """A container that is not started yet."""
        full_name = f"{self.tag}-{name}"
        identity = docker("create", "--name", full_name, *options, IMAGE, *command)
        container = Container(identity, name)
        self.containers.append(container)
        self._ends.callback(container.remove)
        return container

    def run(self, name: str, options: Sequence[str], command: Sequence[str] = ()) -> Container:
        """A container that has been started."""
        container = self.create(name, options, command)
        container.start()
        return container

    def machine(self, name: str, network: str, *options: str) -> Machine:
        """What stands for a machine: a network namespace that outlives the containers in it, as a host's does."""
        # PID 1 ignores what it does not handle, so it is killed.
        container = self.create(
            name, ["--network", network, "--entrypoint", "sleep", "--no-healthcheck", *options], ["infinity"]
        )
        container.start()
        self.follow(container)
        self.machines.append(name)
        return Machine(self, container)

    def follow(self, container: Container) -> None:
        """Follows the addresses of a container with a network of its own, from now on."""
        self.watch.add(container.name, f"/proc/{container.state['Pid']}/ns/net")

    def wait_event(
        self, name: str, vip: str, *, added: bool = True, since: float = 0, limit: float = LIMIT_SECONDS
    ) -> float:
        """When ``name`` first got, or lost, ``vip`` after ``since``; seconds since the epoch."""

        def find() -> float | None:
            for event in self.watch.events:
                if (event.node, event.address, event.added) == (name, vip, added) and event.time >= since:
                    return event.time
            return None

        found = self.watch.wait(find, limit)
        if found is None:
            raise LabError(f"{name} did not {'get' if added else 'lose'} {vip} within {limit:g} s\n{self.report()}")
        return found

    def report(self) -> str:
        """The timeline of addresses and the containers' last lines."""
        timeline = "".join(f"    {event}\n" for event in self.watch.events)
        return timeline + "".join(container.report() for container in self.containers)

    def wait_holder(self, vip: str, machine: Machine, limit: float = LIMIT_SECONDS) -> float:
        """When ``machine`` last got ``vip`` (seconds since the epoch), once it has it and no other machine has."""

        def find() -> float | None:
            if [name for name in self.machines if self.watch.holds(name, vip)] != [machine.name]:
                return None
            return max(event.time for event in self.watch.events if (event.node, event.address) == (machine.name, vip))

        found = self.watch.wait(find, limit)
        if found is None:
            raise LabError(f"{machine.name} is not the one holder of {vip} within {limit:g} s\n{self.report()}")
        return found

    def both_hold(self, vip: str, since: float) -> float:
        """How many seconds from ``since`` on ``vip`` was on more than one machine, up to now."""
        holders: set[str] = set()
        twice, begun = 0.0, None
        for event in self.watch.events:
            if event.address != vip:
                continue
            (holders.add if event.added else holders.discard)(event.node)
            if len(holders) > 1 and begun is None:
                begun = max(event.time, since)
            elif len(holders) < 2 and begun is not None:
                twice += max(0.0, event.time - begun)
                begun = None
        return twice + (time.time() - begun if begun is not None else 0.0)


class Machine:
    """A network namespace with a web server that can be stopped, and a node that may come and go."""

    def __init__(self, engine: Engine, holder: Container) -> None:
        self._engine = engine
        self._holder = holder
        self.name = holder.name
        self.join = ("--network", f"container:{holder.id}")

    def addresses(self) -> set[str]:
        """Every ADDRESS/PREFIX that it has now."""
        return self._holder.addresses()

    def configure(self, *arguments: str) -> None:
        """Runs ``ip`` with these arguments on it, as its administrator would."""
        pid = self._holder.state["Pid"]
        subprocess.run(["nsenter", "--net", "--target", str(pid), "ip", *arguments], check=True, timeout=ENGINE_LIMIT)

    def web(self) -> Container:
        """Starts a web server on port 8080 that answers everything."""
        return self._engine.run(
            f"web-{self.name}",
            [*self.join, "--entrypoint", "python3", "--no-healthcheck", "--workdir", "/usr/local/bin"],
            ["-m", "http.server", "8080"],
        )

    def node(self, name: str, values: Mapping[str, str], *options: str) -> Container:
        """Starts a node with the documented options."""
        return self._engine.run(name, [*self.join, *RESTRICTED, *options, *environment(values)])

"""The lab: a switch, hosts and nodes on it, and what happened to their addresses."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, TypeVar

from lab import leftovers
from lab.errors import LabError
from lab.host import SWITCH, Host, Surroundings, make_switch
from lab.log import clock
from lab.namespace import namespace_name
from lab.node import Node
from lab.patience import LIMIT_SECONDS
from lab.programs import obstacle, run
from lab.sniff import Sniffer
from lab.watch import AddressEvent, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_FIRST_NODE, _FIRST_HOST = 11, 101

_H = TypeVar("_H", bound=Host)


class Lab:
    """A VRRP network on this machine, for the time of a `with` block: 203.0.113.0/24 and 2001:db8::/64.

    Nothing of it is in the machine's own network. Several labs can run side by side. What a killed owner left behind is
    removed by the next lab. Raises LabError on entry where the machine cannot have one.
    """

    def __init__(self) -> None:
        self.id = ""
        self.hosts: dict[str, Host] = {}
        self._ends = contextlib.ExitStack()  # what is to be ended, last made first, each whatever becomes of the others

    def __enter__(self) -> Self:
        problem = obstacle()
        if problem is not None:
            raise LabError(problem)
        self.hosts = {}
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise
        return self

    def _set_up(self) -> None:
        self.id = leftovers.claim()
        self._ends.callback(leftovers.release, self.id)
        # The one thread that starts processes: the kernel kills a --die-with-parent process when the thread that
        # started it ends, and the caller's may be a short-lived one.
        launcher = ThreadPoolExecutor(1, thread_name_prefix="launcher")
        self._ends.callback(launcher.shutdown)
        self._watch = Watch()
        self._ends.callback(self._watch.close)
        switch = namespace_name(self.id, SWITCH)
        make_switch(switch)
        self._surroundings = Surroundings(self.id, switch, self._watch, launcher, self.explain)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process of the lab and delete its namespaces. May be called again."""
        with _uninterrupted():
            self._ends.close()

    @property
    def nodes(self) -> dict[str, Node]:
        """The nodes by name, in the order they were added."""
        return {name: host for name, host in self.hosts.items() if isinstance(host, Node)}

    def add_node(self, name: str) -> Node:
        """A new node on the switch; the first has 203.0.113.11 and 2001:db8::11, the next .12 and ::12."""
        return self._add(Node(name, _FIRST_NODE + len(self.nodes), self._surroundings))

    def add_host(self, name: str) -> Host:
        """A new host on the switch that runs no container; the first has 203.0.113.101 and 2001:db8::101."""
        return self._add(Host(name, _FIRST_HOST + len(self.hosts) - len(self.nodes), self._surroundings))

    def _add(self, host: _H) -> _H:
        if host.name in self.hosts:
            raise LabError(f"There is a host called {host.name} already.")
        self.hosts[host.name] = host
        self._ends.callback(host.close)
        host.connect()
        return host

    def sniff(self) -> Sniffer:
        """Record the adverts on the switch from now on."""
        sniffer = Sniffer(self._surroundings.switch, self.explain)
        self._ends.callback(sniffer.stop)
        return sniffer

    def timeline(self, vip: str | None = None) -> tuple[AddressEvent, ...]:
        """What was added and removed so far, of `vip` or of every address that is not a host's own."""
        if vip is not None:
            address = _address(vip)
            return tuple(event for event in self._watch.events if event.address == address)
        own = {address for host in self.hosts.values() for address in (host.ipv4, host.ipv6)} | {"127.0.0.1", "::1"}
        return tuple(
            event for event in self._watch.events if event.address not in own and not event.address.startswith("fe80:")
        )

    def wait_holder(self, vip: str, node: Node, since: float = 0.0, timeout: float = LIMIT_SECONDS) -> AddressEvent:
        """Wait until `node` holds `vip` and got it at or after `since` (seconds since the epoch); gives when it did.

        Raises LabError, with the logs and the timeline, after `timeout` seconds.
        """
        return self._wait_event(vip, node, since, timeout, held=True)

    def wait_released(self, vip: str, node: Node, since: float = 0.0, timeout: float = LIMIT_SECONDS) -> AddressEvent:
        """Wait until `node` has lost `vip` at or after `since` and holds it no more; the rest is as in wait_holder."""
        return self._wait_event(vip, node, since, timeout, held=False)

    def _wait_event(self, vip: str, node: Node, since: float, timeout: float, *, held: bool) -> AddressEvent:
        address = _address(vip)

        def find() -> AddressEvent | None:
            if self._watch.holds(node.name, address) is not held:
                return None
            for event in reversed(self._watch.events):
                if (event.node, event.address, event.added) == (node.name, address, held):
                    return event if event.time >= since else None
            return None

        event = self._watch.wait(find, timeout)
        if event is None:
            asked = "hold" if held else "lose"
            after = f" after {clock(since)}" if since else ""
            raise self.explain(f"{node.name} did not {asked} {vip}{after} (waited {timeout:g} s).")
        return event

    def holders(self, vip: str) -> set[str]:
        """The names of the nodes that hold `vip` now, asked of the kernel."""
        address = _address(vip)
        holders = set()
        for node in self.nodes.values():
            links = json.loads(run(["ip", "-n", node.namespace, "-json", "address", "show"]).stdout)
            if any(entry["local"] == address for link in links for entry in link.get("addr_info", [])):
                holders.add(node.name)
        return holders

    def explain(self, sentence: str) -> LabError:
        """A LabError that says `sentence` and shows the state of the whole lab."""
        return LabError(f"{sentence}\n{self.report()}")

    def report(self) -> str:
        """Every node's state and last log lines, and the timeline, at the present moment."""
        events = "".join(f"  {event}\n" for event in self.timeline()) or "  (nothing)\n"
        nodes = "\n".join(node.report() for node in self.nodes.values())
        return f"--- lab at {clock(time.time())}\n{nodes}\ntimeline:\n{events.rstrip()}"


def _address(vip: str) -> str:
    """`vip`, with or without /PREFIX or /PREFIX/LINK, as the kernel's events write it."""
    return str(ipaddress.ip_address(vip.partition("/")[0]))


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put a Ctrl-C off until the block is through."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt

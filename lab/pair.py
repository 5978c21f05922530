"""Nodes as most tests want them: `ka run` with a web service behind each, told everything by KA_* variables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.patience import LIMIT_SECONDS, wait_until
from lab.sandbox import interpreter

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from lab import Host, Lab, Node, Service, Sniffer

VIP, VIP6 = "203.0.113.10", "2001:db8::10"

#: Sub-second adverts and checks, but no shorter than a busy machine keeps up with: a node goes without its peer's
#: adverts for 0.75 s and without its checker's heartbeat for 1.2 s before it acts.
ENVIRONMENT = {
    "KA_TRACK_IFACE": "eth0",
    "KA_INCLUDE": f"{VIP}/24",
    "KA_VRID": "51",
    "KA_ADVERT_INTERVAL": "0.25",
    "KA_ENABLE_CHECK": "http://127.0.0.1/",
    "KA_CHECK_INTERVAL": "0.4",
    "KA_CHECK_TIMEOUT": "1",
    "KA_CHECK_RISE": "1",
}
PRIORITIES = ("254", "253")

#: What a node that needs no web service leaves out.
NO_CHECK = {name: "" for name in ENVIRONMENT if "CHECK" in name}

#: Command lines of a node's programs.
KEEPALIVED, HTTP_CHECKER, LOG_FORWARDER, GUARD = r"^keepalived ", r"app\.checks\.http", r"^rsyslogd ", r"app\.guard"

#: `ka`, as it is run in a node.
KA = (str(interpreter()), "-m", "app")


@dataclass(frozen=True)
class Pair:
    """Two nodes with a service each; the first has the higher priority."""

    lab: Lab
    n1: Node
    n2: Node
    services: dict[str, Service]

    def start(self, **changes: str) -> None:
        """Starts those of the two that do not run, with these changes to ENVIRONMENT."""
        for node, priority in zip((self.n1, self.n2), PRIORITIES, strict=True):
            if not node.running:
                node.start({**ENVIRONMENT, "KA_PRIORITY": priority, **changes})

    def settle(self, *vips: str, **changes: str) -> None:
        """Starts one after the other, until the first holds `vips` (none named: VIP) and the second is ready."""
        self.n1.start({**ENVIRONMENT, "KA_PRIORITY": PRIORITIES[0], **changes})
        for vip in vips or (VIP,):
            self.lab.wait_holder(vip, self.n1)
        # Later, so that it is never the first master.
        mark = self.n2.log.mark()
        self.n2.start({**ENVIRONMENT, "KA_PRIORITY": PRIORITIES[1], **changes})
        self.n2.log.wait_for("Entering BACKUP STATE", since=mark)

    def wait_moved(self, node: Node, since: float, *vips: str, timeout: float = LIMIT_SECONDS) -> float:
        """When `node` got the last of `vips` (none named: VIP) after `since` and the other node had given all up."""
        other = self.n2 if node is self.n1 else self.n1
        vips = vips or (VIP,)
        times = [self.lab.wait_holder(vip, node, since=since, timeout=timeout).time for vip in vips]
        for vip in vips:
            self.lab.wait_released(vip, other, since=since, timeout=timeout)
        return max(times)


def make_pair(lab: Lab) -> Pair:
    """Two hosts whose nodes are yet to be started."""
    n1, n2 = lab.add_node("n1"), lab.add_node("n2")
    return Pair(lab, n1, n2, {node.name: node.start_service() for node in (n1, n2)})


def start_pair(lab: Lab, *vips: str, **changes: str) -> Pair:
    """A pair whose first node holds `vips` (none named: VIP)."""
    pair = make_pair(lab)
    pair.settle(*vips, **changes)
    return pair


def placed(host: Host, *vips: str) -> set[str]:
    """Where `vips` (none named: VIP) are on a host, asked of the kernel: ADDRESS/PREFIX dev LINK."""
    return {where for where in _addresses(host) if where.partition("/")[0] in (vips or (VIP,))}


def _addresses(host: Host) -> Iterator[str]:
    for link in json.loads(host.exec(["ip", "-json", "address", "show"]).stdout):
        for info in link["addr_info"]:
            yield f"{info['local']}/{info['prefixlen']} dev {link['ifname']}"


def ka(node: Node, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `ka` in the node, as `docker exec` does."""
    return node.enter([*KA, *arguments], check=False)


def wait_state(node: Node, *states: str, timeout: float = LIMIT_SECONDS) -> None:
    """Wait until `ka health` says one of these states of the node's instances."""

    def said() -> bool:
        return any(f" is {state}," in ka(node, "health").stdout for state in states)

    wait_until(said, f"{node.name} as {' or '.join(states)}", timeout)


def wait_goodbye(lab: Lab, adverts: Sniffer, old: Node, new: Node, *vips: str, since: float) -> None:
    """Wait until `new` holds `vips` (none named: VIP) and has them because `old` said that it goes: not by silence."""
    goodbye = adverts.wait_advert(old, priority=0, since=since)
    for vip in vips or (VIP,):
        taken = lab.wait_holder(vip, new, since=since)
        if taken.time < goodbye.time:
            raise LabError(f"{new.name} took {vip} before {old.name} said goodbye: {taken}")

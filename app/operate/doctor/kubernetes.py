"""The category Kubernetes: what kube-proxy does with a VIP, and which name servers a pod of the host's network asks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from app.host.link_states import strictest
from app.operate.doctor.catalogue import found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.operate.doctor.catalogue import Finding
    from app.operate.doctor.scene import Scene

#: Where kube-proxy in IPVS mode puts the addresses of all Services.
IPVS_LINK = "kube-ipvs0"

#: Every pod has it.
POD_VARIABLE = "KUBERNETES_SERVICE_HOST"

RESOLVER = Path("/etc/resolv.conf")

_NAME = re.compile(r"dns:([\w.-]+)")


def look(scene: Scene) -> Iterator[Finding]:
    """Nothing outside Kubernetes."""
    if IPVS_LINK in scene.links:
        there = {str(held.address) for held in scene.held if held.link == IPVS_LINK}
        for vip in scene.node.vips:
            if vip.address in there and ":" not in vip.address and strictest("arp_ignore", vip.link) == 0:
                yield found("KA0801", vip=vip.address, link=IPVS_LINK)
    if POD_VARIABLE in scene.environ and not _asks_the_cluster():
        # Of the variables themselves: a name without an address leaves no plan.
        listed = (text for name, text in scene.environ.items() if name.endswith("UNICAST_PEERS"))
        for peer in sorted({name for text in listed for name in _NAME.findall(text)}):
            if "." not in peer or ".svc" in peer:
                yield found("KA0802", name=peer)


def _asks_the_cluster() -> bool:
    """Whether names of Services are found: the cluster's domains are searched."""
    text = RESOLVER.read_text(encoding="utf-8", errors="replace") if RESOLVER.exists() else ""
    return any(line.startswith("search") and " svc." in line for line in text.splitlines())

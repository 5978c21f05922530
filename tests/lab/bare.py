"""keepalived without `ka run`, for tests of the lab itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.pair import VIP

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab, Node


def keepalived(node: Node, directory: Path, priority: int, *, interval: float = 0.1, vip: str = f"{VIP}/24") -> None:
    """Start bare keepalived with one VIP on `node`."""
    version = 2 if interval >= 1 else 3
    config = directory / f"{node.name}.conf"
    config.write_text(
        f"global_defs {{ vrrp_version {version} }}\n"
        "vrrp_instance lab {\n"
        "    state BACKUP\n    interface eth0\n    virtual_router_id 7\n"
        f"    priority {priority}\n    advert_int {interval:g}\n"
        f"    virtual_ipaddress {{ {vip} dev eth0 }}\n"
        "}\n"
    )
    config.chmod(0o644)
    node.start(
        command=["keepalived", "--dont-fork", "--log-console", "--log-detail", "--use-file", "/run/keepalived.conf"],
        binds={config: "/run/keepalived.conf"},
    )


def pair(lab: Lab, directory: Path, *, interval: float = 0.1, vip: str = f"{VIP}/24") -> tuple[Node, Node]:
    """Two nodes with keepalived at priorities 254 and 253, the first of which holds the VIP."""
    n1, n2 = lab.add_node("n1"), lab.add_node("n2")
    keepalived(n1, directory, 254, interval=interval, vip=vip)
    keepalived(n2, directory, 253, interval=interval, vip=vip)
    lab.wait_holder(vip, n1)
    return n1, n2

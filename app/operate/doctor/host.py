"""The category host: what this machine and this container let a node do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from app.host.addresses import FOR_EVER, ask_ip
from app.host.machine import can_track_files, missing_capabilities
from app.operate.doctor.catalogue import found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.operate.doctor.catalogue import Finding
    from app.operate.doctor.scene import Scene

#: What has a shorter life than that is no address of DHCP.
LEAST_LEASE_SECONDS = 30

#: Every Unix socket of this network namespace, the host's programs' too where the container shares its network.
UNIX_SOCKETS = Path("/proc/net/unix")

#: A part of a socket's path that only that program has, and the line that makes it leave a link or its addresses alone.
MANAGERS = (
    ("NetworkManager", "/NetworkManager/", "nmcli device set {link} managed no"),
    (
        "systemd-networkd",
        "/systemd/netif/io.systemd.Network",
        "networkctl status {link} | grep 'Network File'  # below its [Network]: KeepConfiguration=yes",
    ),
)


def look(scene: Scene) -> Iterator[Finding]:
    """Capabilities, inotify, programs that manage the link's addresses."""
    for capability in missing_capabilities():
        yield found("KA0201", name=capability.name, needed=capability.needed)
    if (not scene.is_running and not can_track_files()) or scene.layout.untracked.exists():
        limit = Path("/proc/sys/fs/inotify/max_user_instances").read_text(encoding="ascii").strip()
        yield found("KA0202", limit=limit)
    sockets = UNIX_SOCKETS.read_text(encoding="utf-8", errors="replace")
    for program, path, command in MANAGERS:
        if path in sockets:
            for link in _leased():
                yield found("KA0203", program=program, link=link, command=command.format(link=link))


def _leased() -> list[str]:
    """The links that have an IPv4 address by DHCP."""
    return [
        entry["ifname"]
        for entry in ask_ip("-4", "address", "show")
        if any(LEAST_LEASE_SECONDS < info["valid_life_time"] < FOR_EVER for info in entry.get("addr_info", ()))
    ]

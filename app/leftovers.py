"""Removes VIPs that a keepalived which died left on this host.

keepalived removes at its start what it finds with the same prefix length; this finds an address whatever its prefix.
PID 1 does this within milliseconds of the death, so nothing heavy is imported here.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def remove_leftovers(vips: Collection[str]) -> list[str]:
    """Takes the addresses ``vips`` off every link; gives what was removed as ``ADDRESS/PREFIX dev LINK``.

    Raises OSError when iproute2 is not there and subprocess.CalledProcessError when the kernel refuses.
    """
    wanted = {ipaddress.ip_address(vip) for vip in vips}
    if not wanted:
        return []
    shown = subprocess.run(["ip", "-json", "address", "show"], check=True, capture_output=True, text=True)
    found = [
        f"{info['local']}/{info['prefixlen']} dev {link['ifname']}"
        for link in json.loads(shown.stdout or "[]")
        for info in link.get("addr_info", ())
        if "local" in info and ipaddress.ip_address(info["local"]) in wanted
    ]
    if found:
        commands = "".join(f"address del {address}\n" for address in found)
        # -force: one that is gone already does not keep the others.
        subprocess.run(["ip", "-force", "-batch", "-"], input=commands, check=False, capture_output=True, text=True)
    return found

"""What a rendered keepalived.conf may consist of, line by line: anything else got in from outside."""

from __future__ import annotations

import re

_LINK = r"[A-Za-z0-9_.:-]{1,15}"
_HOST = r"[0-9a-f.:]+"
_NETWORK = rf"{_HOST}/[0-9]{{1,3}}"
_ADDRESS = rf"{_NETWORK} dev {_LINK}"
_SECONDS = r"[0-9]+(?:\.[0-9]+)?"
_NUMBER = r"-?[0-9]+"
_PATH = r"(?:/[A-Za-z0-9_.+-]+)+"
_NAME = r"[a-z0-9_-]+"

_LINES = (
    r"",
    r"# [ -~]+",
    r"global_defs \{",
    r'router_id "[A-Za-z0-9_.:@-]{1,64}"',
    r"script_user [a-z_][a-z0-9_.-]*",
    r"user root|enable_script_security|reload_check_config|init_fail|sync_group_tracking_weight|nopreempt",
    rf"(?:garp_master_refresh|preempt_delay|vrrp_startup_delay) {_SECONDS}",
    r"vrrp_netlink_monitor_rcv_bufs(?: 4194304|_force true)",
    rf'vrrp_notify_fifo "{_PATH}"',
    rf"include {_PATH}/conf\.d/[0-9a-f]{{12}}/\*\.conf",
    rf"(?:track_file|vrrp_script|vrrp_sync_group|vrrp_instance) {_NAME} \{{",
    rf'file "{_PATH}"',
    rf'script "/usr/bin/dash {_PATH}(?: {_PATH})*"',
    rf"(?:interval|timeout|rise|fall|weight|version|virtual_router_id|priority) {_NUMBER}",
    r"(?:group|authentication|virtual_ipaddress|virtual_ipaddress_excluded|virtual_routes) \{",
    r"(?:track_file|track_script|track_interface|unicast_peer) \{",
    rf"{_NAME}(?: weight -?[0-9]+)?",
    rf"{_LINK}",
    rf"unicast_src_ip {_HOST}",
    rf"{_HOST}",
    rf"blackhole {_NETWORK} no_track(?: metric 1024)?",
    rf"{_NETWORK} via {_HOST}(?: dev {_LINK})?(?: src {_HOST})?(?: metric 1024)?",
    r"state (?:MASTER|BACKUP)",
    rf"interface {_LINK}",
    rf"advert_int {_SECONDS}",
    r"auth_type PASS",
    r'auth_pass "[!-~]{1,8}"',
    _ADDRESS,
    r"\}",
)
_LINE = re.compile(rf"(?: {{4}})*(?:{'|'.join(_LINES)})")


def foreign_lines(text: str) -> list[str]:
    """The lines that no keepalived.conf of ours has; lines end where keepalived ends them, and nowhere else."""
    return [line for line in text.removesuffix("\n").split("\n") if not _LINE.fullmatch(line)]


def is_balanced(text: str) -> bool:
    """Whether every block is closed at the depth at which it was opened."""
    depth = 0
    for line in text.splitlines():
        code = line.strip()
        if code == "}":
            depth -= 1
        if code and len(line) - len(line.lstrip()) != 4 * depth:
            return False
        if code.endswith("{") and not code.startswith("#"):
            depth += 1
    return depth == 0

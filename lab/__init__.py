"""A VRRP network on one machine: network namespaces on a switch, and nodes that run `ka run` under bubblewrap.

    with Lab() as lab:
        n1, n2 = lab.add_node("n1"), lab.add_node("n2")
        n1.start({"KA_PRIORITY": "254", ...})
        n2.start({"KA_PRIORITY": "253", ...})
        lab.wait_holder("203.0.113.10", n1)
        stopped = time.time()
        n1.stop()
        taken = lab.wait_holder("203.0.113.10", n2, since=stopped)

The demo, the tests and the benchmarks use it. All times are seconds since the epoch, on one clock.
"""

from lab.client import Client, Request
from lab.errors import LabError
from lab.host import Host
from lab.log import LogLine, NodeLog
from lab.network import Lab
from lab.node import Node
from lab.patience import LIMIT_SECONDS, wait_until
from lab.programs import obstacle
from lab.service import Answer, Service
from lab.sniff import Advert, Sniffer
from lab.watch import AddressEvent

__all__ = [
    "LIMIT_SECONDS",
    "AddressEvent",
    "Advert",
    "Answer",
    "Client",
    "Host",
    "Lab",
    "LabError",
    "LogLine",
    "Node",
    "NodeLog",
    "Request",
    "Service",
    "Sniffer",
    "obstacle",
    "wait_until",
]

"""Many instances with many VIPs: their environment, and what is done with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.network import Lab
from lab.sandbox import CHECKOUT, interpreter

if TYPE_CHECKING:
    from lab.host import Host

INSTANCES, VIPS = 64, 8


def large(instances: int = INSTANCES, vips: int = VIPS) -> tuple[dict[str, str], list[str]]:
    """An environment without a priority of that many instances with that many VIPs each, and all VIPs."""
    addresses = [f"{network}.{number}" for network in ("192.0.2", "198.51.100") for number in range(256)]
    environment = {
        "KA_TRACK_IFACE": "eth0",
        "KA_AUTH_PASS": "bench-12",
        "KA_ENABLE_CHECK": "http://127.0.0.1/",
        "KA_CHECK_INTERVAL": "0.5",
        "KA_CHECK_TIMEOUT": "2",
        "KA_CHECK_RISE": "1",
        "KA_CHECK_FALL": "1",
    }
    for number in range(instances):
        own = addresses[number * vips : (number + 1) * vips]
        environment[f"KA_INSTANCES__N{number}__VRID"] = str(number + 1)
        environment[f"KA_INSTANCES__N{number}__INCLUDE"] = ",".join(own)
    return environment, addresses[: instances * vips]


def rendered(host: Host, priority: str = "254") -> float:
    """Seconds that `ka render` takes for the large environment."""
    environment, _ = large()
    told = [f"{name}={text}" for name, text in {**environment, "KA_PRIORITY": priority}.items()]
    started = time.monotonic()
    # env, for the host's own programs know nothing of a node's environment.
    command = ["env", f"--chdir={CHECKOUT}", *told, str(interpreter()), "-m", "app", "render", "keepalived.conf"]
    text = host.exec(command).stdout
    took = time.monotonic() - started
    assert text.count("vrrp_instance ") == INSTANCES
    return took


@dataclass(frozen=True)
class FailOver:
    """Seconds from a failed probe's end until the first and the last VIP were on the peer."""

    first: float
    last: float


def fail_overs(times: int, instances: int = INSTANCES, vips: int = VIPS) -> list[FailOver]:
    """The service of one of two nodes fails, and comes back when the other one has all the VIPs; `times` times."""
    environment, addresses = large(instances, vips)
    found = []
    with Lab() as lab:
        first, second = lab.add_node("n1"), lab.add_node("n2")
        service = first.start_service()
        second.start_service()
        for node, priority in ((first, "254"), (second, "253")):
            node.start({**environment, "KA_PRIORITY": priority})
        for vip in addresses:
            lab.wait_holder(vip, first)
        for _ in range(times):
            asked = time.time()
            service.answer(500)
            taken = [lab.wait_holder(vip, second, since=asked).time for vip in addresses]
            answered = next(answer.time for answer in service.answers if answer.time >= asked and answer.status == 500)
            found.append(FailOver(min(taken) - answered, max(taken) - answered))
            asked = time.time()
            service.answer(200)
            for vip in addresses:
                lab.wait_holder(vip, first, since=asked)
    return found

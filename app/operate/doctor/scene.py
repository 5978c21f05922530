"""What the doctor looks at, each thing looked at once and only when a category asks for it."""

from __future__ import annotations

import ipaddress
from functools import cached_property
from typing import TYPE_CHECKING

from app.host.addresses import held_addresses
from app.host.link_states import link_states
from app.host.wire import ANSWER_SECONDS, UnheededAdvert, listen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.contract.expected import Examined, ExpectedInstance, ExpectedNode
    from app.contract.paths import Layout
    from app.host.addresses import Held
    from app.host.link_states import LinkState
    from app.host.wire import OnTheWire

#: Adverts that are waited for; those of others have an interval of a second more often than not.
ADVERTS, USUAL_INTERVAL_SECONDS = 3, 1.0

#: More than the adverts, for they are a little late.
MARGIN_SECONDS = 0.3


class NotLookedAtError(Exception):
    """A category has nothing to look at; the message says why."""


class Scene:
    """An environment and this machine. Raises NotLookedAtError, OSError and CalledProcessError when asked."""

    def __init__(self, environ: Mapping[str, str], layout: Layout, examine: Callable[[], Examined]) -> None:
        self.environ = environ
        self.layout = layout
        self._examine = examine

    @cached_property
    def examined(self) -> Examined:
        """The environment."""
        return self._examine()

    @property
    def node(self) -> ExpectedNode:
        """What the node is to do."""
        if self.examined.node is None:
            raise NotLookedAtError("the environment has errors")
        return self.examined.node

    @property
    def is_running(self) -> bool:
        """Whether a node runs, in whose container this is."""
        return self.layout.environment.exists() and self.layout.keepalived_pid_files[0].exists()

    @cached_property
    def links(self) -> dict[str, LinkState]:
        """The links of this machine by name."""
        return link_states()

    @cached_property
    def held(self) -> list[Held]:
        """Every address of this machine, VIPs too."""
        return held_addresses()

    @cached_property
    def own(self) -> list[Held]:
        """Its addresses but the VIPs."""
        vips = {vip.address for vip in self.node.vips}
        return [held for held in self.held if str(held.address) not in vips and not held.is_marked]

    def sources(self, instance: ExpectedInstance) -> list[str]:
        """The addresses that its adverts may come from."""
        return [
            str(held.address)
            for held in self.own
            if held.link == instance.link
            and held.address.version == instance.ip_version
            and (held.address.version == 4 or held.address.is_link_local)
        ]

    def is_near(self, link: str, address: str) -> bool:
        """Whether it is in a subnet of the link, where machines answer for themselves."""
        wanted = ipaddress.ip_address(address)
        return any(held.link == link and held.prefix and wanted in held.network for held in self.own)

    @cached_property
    def heard(self) -> OnTheWire:
        """What is on the links; it takes as long as three adverts."""
        instances = self.node.instances
        used = [self.links[i.link] for i in instances if i.link in self.links and self.links[i.link].can_speak]
        if not used:
            raise NotLookedAtError("there is no link that is up and has a carrier")
        questions = {(vip.link, vip.address) for vip in self.node.vips if vip.link in self.links and vip.link != "lo"}
        questions |= {(i.link, peer) for i in instances for peer in i.peers if self.is_near(i.link, peer)}
        probes = {
            UnheededAdvert(i.link, i.ip_version, i.vrrp_version, source, to)
            for i in instances
            for source in ([i.source] if i.source else self.sources(i)[:1])
            for to in (i.peers or ((None,) if not i.source else ()))
        }
        slowest = max([USUAL_INTERVAL_SECONDS, *(i.interval for i in instances)])
        try:
            return listen(
                tuple(dict.fromkeys(used)),
                max(ADVERTS * slowest + MARGIN_SECONDS, ANSWER_SECONDS),
                questions=sorted(questions),
                probes=sorted(probes, key=str),
            )
        except PermissionError:
            raise NotLookedAtError("listening needs the capability NET_RAW") from None

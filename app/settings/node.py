"""This node, and what is the same for all of its instances."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from app.settings.area import Area
from app.settings.text import TextList, choice, matching, seconds

#: A host name, as Kubernetes and compose give it.
NODE_PATTERN = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,62})"
#: The name of an instance or of a group, in lower case: ``web`` is KA_INSTANCES__WEB__….
INSTANCE_PATTERN = r"[a-z0-9]+(?:_[a-z0-9]+)*"

GROUP_FORM = "GROUP=NAME+NAME, for example edge=main+web"


def _group(text: str) -> tuple[str, tuple[str, ...]]:
    """``GROUP=NAME+NAME``; raises ValueError."""
    name, _, members = text.lower().partition("=")
    names = tuple(members.split("+"))
    if len(names) < 2 or not all(re.fullmatch(INSTANCE_PATTERN, word) for word in (name, *names)):
        raise ValueError
    return name, names


class ThisNode(Area):
    """This node among the others."""

    node_name: Annotated[str | None, matching(NODE_PATTERN, "1–63 letters, digits and _.-")] = Field(
        default=None, description="The name of this node, for KA_PRIORITY_BY_NODE and the log. Unset: the host name."
    )
    router_name: Annotated[str | None, matching(r"[A-Za-z0-9_.:@-]{1,64}", "1–64 letters, digits and _.:@-")] = Field(
        default=None, description="The name of this router in keepalived's messages. Unset: KA_NODE_NAME."
    )
    peer_refresh: Annotated[float, seconds("1", "3600")] = Field(
        default=10.0,
        description="The time between two look-ups of dns: peers. A node that joins takes part after one and a half "
        "times that and 2 s, so that the others know it first. At least twice what name servers keep an answer.",
    )
    lease: Annotated[str, choice("auto", "off")] = Field(
        default="auto",
        description="auto: the kernel takes the VIPs off a node that is killed or frozen, before a peer takes over; "
        "with adverts below one second, within a second and a half. off: they stay there until it is started again.",
    )
    sync_groups: Annotated[tuple[tuple[str, tuple[str, ...]], ...], TextList(GROUP_FORM, _group)] = Field(
        default=(),
        description="Instances that are master together or not at all; main is the one of the plain variables.",
    )

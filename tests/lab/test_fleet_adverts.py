"""What unicast nodes make of the adverts that they hear, where a name or a list of peers is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.pair import VIP6
from tests.lab.fleet import FLEET, Fleet, NameServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab


@pytest.fixture
def names(lab: Lab, tmp_path: Path) -> Iterator[NameServer]:
    """A name server on a host of its own, which lists nobody."""
    with NameServer(lab.add_host("dns"), tmp_path) as server:
        yield server


@pytest.mark.parametrize("ipv6", [False, True])
def test_the_adverts_of_a_lone_survivor_are_on_the_wire(lab: Lab, names: NameServer, ipv6: bool) -> None:
    n1 = lab.add_node("n1")
    fleet = Fleet(lab, names, [n1], dict(FLEET))
    if ipv6:
        fleet.environment |= {"KA_INCLUDE": f"{VIP6}/64", "KA_AUTH_PASS": ""}
    names.say(n1, ipv6=ipv6)
    adverts = lab.sniff()
    fleet.start(n1)
    assert adverts.wait_advert(n1).destination == ("ff02::12" if ipv6 else "224.0.0.18")
    assert "Cant send advert" not in n1.log.text

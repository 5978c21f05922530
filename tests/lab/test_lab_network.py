"""The lab's network: hosts, names, cables, and the machine's own network untouched."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from lab import Lab, LabError, obstacle


def test_hosts_reach_each_other_by_both_families(lab: Lab) -> None:
    n1, n2, client = lab.add_node("n1"), lab.add_node("n2"), lab.add_host("client")
    assert (n1.ipv4, n1.ipv6) == ("203.0.113.11", "2001:db8::11")
    assert (n2.ipv4, n2.ipv6) == ("203.0.113.12", "2001:db8::12")
    assert (client.ipv4, client.ipv6) == ("203.0.113.101", "2001:db8::101")
    n2.start_service()
    for url in (f"http://{n2.ipv4}/", f"http://[{n2.ipv6}]/"):
        asking = client.start_client(url)
        assert asking.wait_answer(n2).answered_by == "n2"
        asking.stop()


def test_the_machines_own_network_stays_as_it_is(lab: Lab) -> None:
    def own_network() -> str:
        listings = (["link"], ["address"], ["route", "show", "table", "all"], ["rule"])
        done = [subprocess.run(["ip", "-o", *what], capture_output=True, text=True, check=True) for what in listings]
        return re.sub(r"_lft \S+", "", "".join(listing.stdout for listing in done))  # life times count down

    before = own_network()
    lab.add_node("n1")
    assert own_network() == before


@pytest.mark.parametrize("name", ["switch", "br0", "lo", "N1", "sixteen-letters1", "a/b", ""])
def test_a_name_that_cannot_be_a_port_is_refused(lab: Lab, name: str) -> None:
    with pytest.raises(LabError, match="cannot be called"):
        lab.add_node(name)


def test_a_name_is_given_once(lab: Lab) -> None:
    lab.add_node("n1")
    with pytest.raises(LabError, match="There is a host called n1 already"):
        lab.add_host("n1")


def test_cut_link_takes_the_carrier_and_mend_link_brings_it_back(lab: Lab) -> None:
    n1 = lab.add_node("n1")

    def flags() -> list[str]:
        found: list[str] = json.loads(n1.exec(["ip", "-json", "link", "show", "eth0"]).stdout)[0]["flags"]
        return found

    n1.cut_link()
    assert "LOWER_UP" not in flags()
    n1.mend_link()
    assert "LOWER_UP" in flags()
    n1.cut_link(keep_carrier=True)
    assert "LOWER_UP" in flags()


def test_what_is_missing_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert obstacle() == "A lab makes network namespaces, which only root may do: run this as root."
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(
        "shutil.which", lambda name, **_: None if name in {"bwrap", "keepalived"} else f"/usr/bin/{name}"
    )
    assert (
        obstacle() == "A lab needs bwrap, keepalived, not found here: run `apt-get install -y bubblewrap keepalived`."
    )
    with pytest.raises(LabError, match="apt-get install"), Lab():
        pass

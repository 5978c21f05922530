"""What keepalived says of itself, whether the kernel agrees, and ``ka health``, ``ka drain`` and ``ka undrain``."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from app.cli import main
from app.contract.paths import Layout
from app.operate import drain as draining
from app.operate import health as healthiness
from app.operate import keepalived_dump as states
from app.operate.drain import EXIT_DONE, EXIT_NOT_DONE, drain, undrain
from app.operate.health import EXIT_HEALTHY, EXIT_UNHEALTHY, health
from app.operate.keepalived_dump import Carried, Claim, NoAnswerError, VrrpState, ask, contradiction, held
from tests.unit.stand_in import StandIn, entry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.unit.conftest import Network

VIP, OTHER, VIP_6 = "203.0.113.10", "203.0.113.20", "2001:db8::10"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A run directory."""
    return Layout(tmp_path)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What this host holds; a test adds to it."""
    holds: set[str] = set()

    def on_a_link(addresses: Iterable[Carried]) -> set[Carried]:
        return {carried for carried in addresses if carried.address in holds}

    monkeypatch.setattr(healthiness, "held", on_a_link)
    monkeypatch.setattr(draining, "held", on_a_link)
    return holds


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in for keepalived may be late on a busy machine."""
    monkeypatch.setattr(states, "DUMP_LIMIT_SECONDS", 30.0)


def on_eth0(*addresses: str) -> set[Carried]:
    """These, as keepalived carries them."""
    return {Carried(address, "eth0") for address in addresses}


class TestContradiction:
    def claim(self, state: VrrpState, *addresses: str) -> Claim:
        """Of an instance called web."""
        return Claim("web", state, 100, tuple(Carried(address, "eth0") for address in addresses))

    @pytest.mark.parametrize("state", list(VrrpState))
    def test_without_addresses_there_is_none(self, state: VrrpState) -> None:
        assert contradiction(self.claim(state), on_eth0(VIP)) is None

    @pytest.mark.parametrize("state", [VrrpState.INIT, VrrpState.BACKUP, VrrpState.FAULT, VrrpState.STOP])
    def test_who_is_not_master_holds_nothing(self, state: VrrpState) -> None:
        claim = self.claim(state, VIP, OTHER)
        assert contradiction(claim, set()) is None
        assert contradiction(claim, on_eth0(OTHER)) == f"web claims {state.name} but this host holds {OTHER}"
        assert (
            contradiction(claim, on_eth0(VIP, OTHER)) == f"web claims {state.name} but this host holds {VIP}, {OTHER}"
        )

    def test_a_master_holds_all(self) -> None:
        claim = self.claim(VrrpState.MASTER, VIP, VIP_6)
        assert contradiction(claim, on_eth0(VIP, VIP_6)) is None
        assert contradiction(claim, on_eth0(VIP)) == f"web claims MASTER but this host does not hold {VIP_6}"
        assert contradiction(claim, set()) == f"web claims MASTER but this host does not hold {VIP}, {VIP_6}"

    def test_the_same_address_on_another_link_is_nobodys_business(self) -> None:
        """Direct server return has it on the loopback, kube-proxy on kube-ipvs0."""
        elsewhere = {Carried(VIP, "lo")}
        assert contradiction(self.claim(VrrpState.BACKUP, VIP), elsewhere) is None
        missing = f"web claims MASTER but this host does not hold {VIP}"
        assert contradiction(self.claim(VrrpState.MASTER, VIP), elsewhere) == missing

    def test_other_addresses_are_nobodys_business(self) -> None:
        assert contradiction(self.claim(VrrpState.BACKUP, VIP), on_eth0(OTHER)) is None


class TestAsk:
    def test_what_it_says(self, layout: Layout) -> None:
        main = entry("main", VrrpState.MASTER, f"{VIP}/24", f"{VIP_6}/64", excluded=(f"{OTHER}/32",))
        with StandIn(layout, main, entry("web", VrrpState.FAULT)):
            for _ in range(3):
                assert ask(layout) == [
                    Claim("main", VrrpState.MASTER, 100, tuple(Carried(a, "eth0") for a in (VIP, VIP_6, OTHER))),
                    Claim("web", VrrpState.FAULT, 100, ()),
                ]
        assert set(layout.dump.read_bytes()) == {0}  # the password was in it; its room is kept

    def test_an_old_dump_is_no_answer(self, layout: Layout) -> None:
        with StandIn(layout, entry("main", VrrpState.BACKUP)):
            layout.dump.write_text(json.dumps([entry("main", VrrpState.MASTER)]))
            assert ask(layout)[0].state is VrrpState.BACKUP

    @pytest.mark.parametrize("number", [None, "", "no number\n", "4194305\n"])
    def test_it_does_not_run(self, layout: Layout, number: str | None) -> None:
        if number is not None:
            layout.keepalived_pid_files[0].write_text(number)
        with pytest.raises(NoAnswerError, match=r"^keepalived does not run$"):
            ask(layout)

    def test_it_does_not_answer(self, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(states, "DUMP_LIMIT_SECONDS", 0.1)
        with StandIn(layout) as stand_in:
            stand_in.says("")
            with pytest.raises(NoAnswerError, match=r"^keepalived does not answer within 0\.1 s$"):
                ask(layout)


def test_held(network: Network) -> None:
    here = {Carried("203.0.113.11", "eth0"), Carried("2001:db8:0:0::11", "eth0")}
    others = {Carried("203.0.113.11", "eth1"), Carried("203.0.113.12", "eth0"), Carried("203.0.113.1", "eth0")}
    assert network.call(lambda: held([*here, *others])) == here
    assert network.call(lambda: held([])) == set()


@pytest.mark.usefixtures("here")
class TestHealth:
    def test_a_master(self, layout: Layout, here: set[str]) -> None:
        here.add(VIP)
        with StandIn(
            layout, entry("main", VrrpState.MASTER, f"{VIP}/24"), entry("web", VrrpState.BACKUP, f"{OTHER}/24")
        ):
            assert health(layout) == (EXIT_HEALTHY, ["main is MASTER, priority 100", "web is BACKUP, priority 100"])

    def test_a_node_whose_service_failed_does_its_work(self, layout: Layout) -> None:
        with StandIn(layout, entry("main", VrrpState.FAULT, f"{VIP}/24")):
            assert health(layout) == (EXIT_HEALTHY, ["main is FAULT, priority 100"])

    def test_a_claim_that_is_not_borne_out(self, layout: Layout, here: set[str]) -> None:
        here.add(OTHER)
        entries = (entry("main", VrrpState.MASTER, f"{VIP}/24"), entry("web", VrrpState.BACKUP, f"{OTHER}/24"))
        with StandIn(layout, *entries, entry("ok", VrrpState.BACKUP)):
            assert health(layout) == (
                EXIT_UNHEALTHY,
                [
                    f"main claims MASTER but this host does not hold {VIP}",
                    f"web claims BACKUP but this host holds {OTHER}",
                ],
            )

    def test_a_change_takes_some_milliseconds(
        self, layout: Layout, here: set[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(time, "sleep", lambda _: here.add(VIP))
        with StandIn(layout, entry("main", VrrpState.MASTER, f"{VIP}/24")):
            assert health(layout)[0] == EXIT_HEALTHY

    def test_without_an_instance(self, layout: Layout) -> None:
        with StandIn(layout):
            assert health(layout) == (EXIT_UNHEALTHY, ["keepalived runs no instance"])

    def test_it_does_not_run(self, layout: Layout) -> None:
        assert health(layout) == (EXIT_UNHEALTHY, ["keepalived does not run"])

    def test_the_kernel_does_not_answer(self, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(healthiness, "held", held)
        monkeypatch.setenv("PATH", str(layout.run_dir))
        with StandIn(layout, entry("main", VrrpState.BACKUP)):
            status, sentences = health(layout)
        assert status == EXIT_UNHEALTHY
        assert sentences[0].startswith("cannot ask the kernel for its addresses: ")

    def test_the_command(self, layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
        environ = {"KA_RUN_DIR": str(layout.run_dir)}
        with StandIn(layout, entry("main", VrrpState.BACKUP)):
            assert main(["health"], environ) == EXIT_HEALTHY
        assert capsys.readouterr().out == "main is BACKUP, priority 100\n"


@pytest.mark.usefixtures("here")
class TestDrain:
    def test_hands_over(self, layout: Layout) -> None:
        with StandIn(layout, entry("main", VrrpState.MASTER, f"{VIP}/24")):
            assert drain(layout) == (EXIT_DONE, "drained: this node holds no VIP and takes none until ka undrain")
            assert layout.drain.read_text() == "1\n"
            assert undrain(layout) == (EXIT_DONE, "this node takes part again")
            assert layout.drain.read_text() == "0\n"

    def test_again_and_again_does_no_harm(self, layout: Layout) -> None:
        with StandIn(layout, entry("main", VrrpState.MASTER, f"{VIP}/24")):
            assert [drain(layout)[0], drain(layout)[0]] == [EXIT_DONE, EXIT_DONE]
            assert [undrain(layout)[0], undrain(layout)[0]] == [EXIT_DONE, EXIT_DONE]

    def test_a_vip_that_stays(self, layout: Layout, here: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(draining, "DRAIN_LIMIT_SECONDS", 0.1)
        here.update({VIP, OTHER})
        with StandIn(layout, entry("main", VrrpState.MASTER, f"{VIP}/24", f"{OTHER}/24")):
            assert drain(layout) == (EXIT_NOT_DONE, f"not drained within 0.1 s: this node holds {VIP}, {OTHER}")

    def test_an_instance_that_does_not_listen(self, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(draining, "DRAIN_LIMIT_SECONDS", 0.1)
        with StandIn(layout, entry("main", VrrpState.BACKUP, f"{VIP}/24")):
            assert drain(layout) == (EXIT_NOT_DONE, "not drained within 0.1 s: this node still takes part")

    def test_it_does_not_run(self, layout: Layout) -> None:
        assert drain(layout) == (EXIT_NOT_DONE, "cannot drain: keepalived does not run")
        assert undrain(layout) == (EXIT_NOT_DONE, "cannot undrain: keepalived does not run")
        assert not layout.drain.exists()

    def test_the_kernel_does_not_answer(self, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_: object) -> set[str]:
            raise subprocess.CalledProcessError(1, "ip")

        monkeypatch.setattr(draining, "held", fail)
        with StandIn(layout, entry("main", VrrpState.MASTER, f"{VIP}/24")):
            status, sentence = drain(layout)
        assert (status, sentence.startswith("cannot drain: ")) == (EXIT_NOT_DONE, True)

    def test_the_commands(self, layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
        environ = {"KA_RUN_DIR": str(layout.run_dir)}
        assert main(["drain"], environ) == EXIT_NOT_DONE
        assert capsys.readouterr().err == "cannot drain: keepalived does not run\n"
        with StandIn(layout, entry("main", VrrpState.MASTER, f"{VIP}/24")):
            assert main(["drain"], environ) == EXIT_DONE
            assert main(["undrain"], environ) == EXIT_DONE
        assert capsys.readouterr().out == (
            "drained: this node holds no VIP and takes none until ka undrain\nthis node takes part again\n"
        )

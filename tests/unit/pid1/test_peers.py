"""Peers that were learned: which, how many, and where they go in keepalived.conf."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.contract.paths import Layout
from app.contract.peers_config import Learned, learned_text, read_learned
from app.pid1.peers import LEARN_AGAIN_SECONDS, MOST_LEARNED, Learning, send_to, with_peer
from tests.unit.machine import LEAST, plan_of, rendered

if TYPE_CHECKING:
    from pathlib import Path

NEW = Learned("main", "203.0.113.99")
LIST = {**LEAST, "KA_UNICAST_PEERS": "203.0.113.12,203.0.113.13"}
TWO = {
    **LIST,
    "KA_INCLUDE": "203.0.113.10/24,2001:db8::10/64",
    "KA_UNICAST_PEERS": "203.0.113.12,2001:db8::12",
}


class TestLearning:
    def test_one_at_once_and_others_a_second_later(self) -> None:
        learning = Learning()
        for number in (1, 2, 3):
            learning.hear(f"main 203.0.113.{number}")
            assert len(learning.due(10.0)) == (number == 1)
        assert learning.due(10.0 + LEARN_AGAIN_SECONDS) == (
            Learned("main", "203.0.113.2"),
            Learned("main", "203.0.113.3"),
        )
        assert [peer.address[-1] for peer in learning.peers] == ["1", "2", "3"]

    def test_only_so_many(self) -> None:
        learning = Learning()
        for number in range(2 * MOST_LEARNED):
            learning.hear(f"main 203.0.113.{number}")
            learning.due(10.0 * number)
        assert len(learning.peers) == MOST_LEARNED

    def test_each_once_and_anew_when_it_was_forgotten(self) -> None:
        learning = Learning()
        for now in (1.0, 9.0):
            learning.hear(" ".join(NEW))
            assert len(learning.due(now)) == (now == 1.0)
        assert not learning.forget({"203.0.113.98"})
        assert learning.forget({NEW.address})
        learning.hear(" ".join(NEW))
        assert learning.due(20.0) == (NEW,)

    @pytest.mark.parametrize(
        "text",
        ["", "main", "main x", "main 224.0.0.18", "main 127.0.0.1", "main fe80::1", "main 0.0.0.0", "main 1.2.3.4 }"],
    )
    def test_what_is_no_peer(self, text: str) -> None:
        learning = Learning()
        learning.hear(text)
        assert learning.due(1.0) == ()


class TestKeepalivedConf:
    @pytest.mark.parametrize("environ", [LIST, TWO])
    def test_it_is_what_the_next_reload_renders(self, environ: dict[str, str]) -> None:
        """So that one which finds nothing new has nothing to do."""
        names = ("main",) if environ is LIST else ("main-ipv4", "main-ipv6")
        peers = [Learned(name, "2001:db8::99" if name.endswith("6") else "203.0.113.99") for name in names]
        text: str | None = rendered(plan_of(environ), "keepalived.conf")
        for peer in peers:
            assert text
            text = with_peer(text, peer)
        assert text == rendered(plan_of(environ, learned=peers), "keepalived.conf")

    def test_one_that_is_there(self) -> None:
        text = rendered(plan_of(LIST), "keepalived.conf")
        assert with_peer(text, Learned("main", "203.0.113.12")) == text

    def test_no_place_for_it(self) -> None:
        text = rendered(plan_of(LIST), "keepalived.conf")
        assert with_peer(text, Learned("mai", "203.0.113.99")) is None
        assert with_peer(rendered(plan_of(LEAST), "keepalived.conf"), NEW) is None

    def test_only_root_reads_it(self, tmp_path: Path) -> None:
        layout = Layout(tmp_path)
        layout.keepalived_conf.write_text(rendered(plan_of(LIST), "keepalived.conf"))
        layout.keepalived_conf.chmod(0o600)
        assert send_to(layout, [NEW, Learned("other", "203.0.113.98")]) == [Learned("other", "203.0.113.98")]
        assert NEW.address in layout.keepalived_conf.read_text()
        assert layout.keepalived_conf.stat().st_mode & 0o777 == 0o600


def test_the_file_that_outlives_a_reload(tmp_path: Path) -> None:
    assert read_learned(tmp_path) == ()
    peers = (NEW, Learned("main-ipv6", "2001:db8::99"))
    (tmp_path / "learned-peers").write_text(learned_text(peers))
    assert read_learned(tmp_path) == peers

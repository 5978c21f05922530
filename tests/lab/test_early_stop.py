"""SIGTERM before the node is at work: PID 1 hears of it at any moment, and ends with 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.sandbox import CHECKOUT
from tests.lab.nodes import ENVIRONMENT, VIP
from tests.lab.tell import Fifo

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab


@pytest.mark.parametrize("moment", [1, 2], ids=["ka run", "the supervisor that it becomes"])
def test_sigterm_while_the_program_is_being_loaded(lab: Lab, tmp_path: Path, moment: int) -> None:
    # A module that both import, with a line more: the kernel hands PID 1 no signal that it has no handler for yet.
    module = CHECKOUT / "app" / "contract" / "paths.py"
    telling = tmp_path / "paths.py"
    telling.write_text(f"{module.read_text(encoding='utf-8')}\n\nopen('/tell', 'w').write('x')\n", encoding="utf-8")
    telling.chmod(0o644)
    node = lab.add_node("n1")
    node.start_service()
    with Fifo(tmp_path / "tell") as fifo:
        binds = {telling: str(module), fifo.path: "/tell"}
        node.start({**ENVIRONMENT, "KA_PRIORITY": "254"}, binds=binds)
        fifo.wait_for("x" * moment)
        assert node.stop() == 0
    assert node.stderr.text == ""
    assert lab.timeline(VIP) == ()

"""A process in keepalived's place that dumps its state when it is asked to, as keepalived does."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

from app.operate.keepalived_dump import DUMP_SIGNAL, VrrpState

if TYPE_CHECKING:
    from app.contract.paths import Layout

#: Writes the text of the file ``says`` to ``dump`` in two halves: the real one does not write at one go either. What
#: ``drain`` says is what a tracked file does: with 1 in it every instance is in FAULT.
_SCRIPT = """
import pathlib, signal, sys, time
number, says, dump, drain = int(sys.argv[1]), *map(pathlib.Path, sys.argv[2:])
def answer(*_):
    text = says.read_text()
    if drain.exists() and drain.read_text() == "1\\n":
        text = text.replace('"state": 2', '"state": 3')
    if text:
        with dump.open("w") as file:
            file.write(text[: len(text) // 2])
            file.flush()
            time.sleep(0.005)
            file.write(text[len(text) // 2 :])
signal.signal(number, answer)
print("ready", flush=True)
while True:
    signal.pause()
"""


def entry(name: str, state: VrrpState, *addresses: str, excluded: tuple[str, ...] = ()) -> dict[str, Any]:
    """One instance as a dump of keepalived 2.2.7 has it, of what app.operate.keepalived_dump reads."""
    vips = [f"{address} dev eth0 scope global" for address in addresses]
    evips = [f"{address} dev eth0 scope global" for address in excluded]
    data = {"iname": name, "state": int(state), "effective_priority": 100, "vips": vips}
    return {"data": data | ({"evips": evips} if evips else {}), "stats": {"become_master": 1}}


class StandIn:
    """Runs while the context lasts; its process number is where keepalived's is."""

    def __init__(self, layout: Layout, *entries: dict[str, Any]) -> None:
        self._layout = layout
        self._says = layout.run_dir / "says"
        self.says(json.dumps(list(entries)))

    def says(self, text: str) -> None:
        """From now on its dump is ``text``; empty: it does not answer."""
        self._says.write_text(text)

    def __enter__(self) -> Self:
        self._layout.dumps.mkdir(exist_ok=True)
        paths = (self._says, self._layout.dump, self._layout.drain)
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", _SCRIPT, str(int(DUMP_SIGNAL)), *map(str, paths)], stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        self._layout.keepalived_pid_files[0].write_text(f"{self._process.pid}\n")
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()

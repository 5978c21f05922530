"""A service that is a process of its own on a host of the lab, so that it can be killed and frozen as real ones are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from lab import Host

#: Says its host's name on every address; SIGUSR1 makes it answer 500, SIGUSR2 200 again. Keeps connections, as most do.
PROGRAM = """
import asyncio, signal, sys
status = 200
class Web(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.asked = transport, b""
    def data_received(self, data):
        self.asked += data
        while b"\\r\\n\\r\\n" in self.asked:
            head, _, self.asked = self.asked.partition(b"\\r\\n\\r\\n")
            closes = b"connection: close" in head.lower()
            body = sys.argv[1].encode()
            said = f"HTTP/1.1 {status} Bench\\r\\nContent-Length: {len(body)}\\r\\n"
            self.transport.write(said.encode() + b"Connection: close\\r\\n" * closes + b"\\r\\n" + body)
            if closes:
                self.transport.close()
def answer(code):
    global status
    status = code
async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, answer, 500)
    loop.add_signal_handler(signal.SIGUSR2, answer, 200)
    server = await loop.create_server(Web, ["0.0.0.0", "::"], 80, backlog=1024)
    print("listens", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


class KillableServer:
    """The service of `host`, for the time of a `with` block."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The process that listens."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Starts it, and returns when it listens."""
        command = ["ip", "netns", "exec", self._host.namespace, sys.executable, "-I", "-S", "-c", PROGRAM]
        self._process = subprocess.Popen([*command, self._host.name], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listens\n"

    def kill(self) -> None:
        """SIGKILL, and nobody listens any more. May be called again."""
        if self._process is not None:
            self.send(signal.SIGKILL)
            self._process.communicate()
            self._process = None

    def send(self, number: signal.Signals) -> None:
        """A signal: those of PROGRAM; SIGSTOP and SIGCONT hang it and let it go on."""
        os.kill(self.pid, number)

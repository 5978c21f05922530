"""Servers as operators run them, on a lab's host: started, reloaded, and killed at once with all of their processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.namespace import inside
from lab.patience import wait_until
from lab.programs import PATH

if TYPE_CHECKING:
    from types import TracebackType

    from lab.host import Host

#: Two workers, as most have. The error log would be a file of the machine's.
NGINX = """
worker_processes 2;
daemon off;
pid {place}/pid;
error_log stderr emerg;
events {{ }}
http {{
    access_log off;
    server {{
        listen {port};
        listen [::]:{port};
        location / {{ return 200 "ok"; }}
    }}
}}
"""

#: Accepts, and says nothing: what `tcp://` asks for.
LISTENER = """
import socket, sys
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])), backlog=128)
while True:
    listener.accept()[0].close()
"""

#: Stands in for docker-proxy where Docker is not installed: like it, a program of this machine that accepts, connects
#: to the container, and passes on what either of them says, or that it closes.
FORWARDER = """
import asyncio, sys
async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
    finally:
        writer.close()
async def forward(reader, writer):
    try:
        far_reader, far_writer = await asyncio.open_connection(sys.argv[2], int(sys.argv[1]))
    except OSError:
        writer.close()
        return
    await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer), return_exceptions=True)
async def main():
    async with await asyncio.start_server(forward, "0.0.0.0", int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(main())
"""

KINDS = ("nginx", "http.server", "listener", "docker-proxy")
"""nginx keeps connections open; http.server closes after each answer; a plain listener; nginx behind docker-proxy."""


class ServerProgram:
    """One server on `host`, which takes connections when this returns. Use it with `with`."""

    def __init__(self, host: Host, kind: str, *, port: int = 80, behind: Host | None = None) -> None:
        self._host = host
        self._kind = kind
        self._port = port
        self._behind = behind
        self._place = Path(tempfile.mkdtemp(prefix="lab-server-"))
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ServerProgram:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Its processes, the first and those that this one has started."""
        if self._process is None:
            return []
        first = self._process.pid
        return [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text(encoding="ascii").split())]

    def start(self) -> None:
        """Starts it, again after `kill`."""
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", self._host.namespace, *self._command()],
            env={"PATH": PATH},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self._answers, f"{self._kind} on {self._host.name}")

    def kill(self) -> None:
        """SIGKILL to all of its processes at once."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def reload(self) -> None:
        """A graceful one, by the signal that nginx has for it."""
        if self._process is None:
            raise LabError(f"{self._kind} on {self._host.name} does not run.")
        os.kill(self._process.pid, signal.SIGHUP)

    def close(self) -> None:
        """Ends it and leaves nothing. May be called again."""
        self.kill()
        shutil.rmtree(self._place, ignore_errors=True)

    def _command(self) -> list[str]:
        if self._kind == "nginx":
            configuration = self._place / "nginx.conf"
            configuration.write_text(NGINX.format(place=self._place, port=self._port), encoding="ascii")
            return ["nginx", "-e", "stderr", "-c", str(configuration)]
        if self._kind == "http.server":
            return [sys.executable, "-m", "http.server", "--directory", str(self._place), str(self._port)]
        if self._kind == "listener":
            return [sys.executable, "-c", LISTENER, str(self._port)]
        if self._behind is None:
            raise LabError(f"{self._kind} needs a host to pass connections on to.")
        far = self._behind.ipv4
        if shutil.which("docker-proxy", path=PATH) is None:
            return [sys.executable, "-c", FORWARDER, str(self._port), far]
        # It tells its parent on descriptor 3 that it listens.
        command = f"exec docker-proxy -host-ip 0.0.0.0 -host-port {self._port} -container-ip {far}"
        return ["sh", "-c", f"{command} -container-port {self._port} 3>/dev/null"]

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise LabError(f"{self._kind} on {self._host.name} ended with status {self._process.returncode}.")

        def connect() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return True
            return False

        return inside(self._host.namespace, connect)

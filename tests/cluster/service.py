"""What runs on each node beside keepalived: ``service`` answers with the node's name, ``client`` asks the VIP.

Both run in the image itself, without this repository: the standard library alone.
"""

from __future__ import annotations

import http.server
import os
import socket
import sys
import threading
import time
from pathlib import Path

#: While it is there, the service of this node answers with 503.
DOWN = Path("/tmp/down")  # noqa: S108 - in a container of its own

#: Seconds between two requests, and those that one of them may take.
PACE_SECONDS, REQUEST_SECONDS = 0.05, 1.0


class Server(http.server.ThreadingHTTPServer):
    """One that no burst of requests fills up."""

    request_queue_size = 128


class Answer(http.server.BaseHTTPRequestHandler):
    """The node's name, to every request."""

    def do_GET(self) -> None:
        """Answers one."""
        body = os.environ["NODE"].encode()
        self.send_response(503 if DOWN.exists() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing of it."""


def ask(vip: str, port: int) -> None:
    """Sends one request by a connection of its own; prints when it was sent and who answered, or why nobody did."""
    sent = time.time()
    try:
        with socket.create_connection((vip, port), timeout=REQUEST_SECONDS) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while part := connection.recv(4096):
                answer += part
        who = answer.rsplit(b"\r\n\r\n", 1)[-1].decode() or "-empty"
    except OSError as error:
        who = f"-{type(error).__name__}"
    print(f"{sent:.4f} {time.time():.4f} {who}", flush=True)


def main(job: str, port: str, vip: str) -> None:
    """Until it is killed."""
    if job == "service":
        Server(("", int(port)), Answer).serve_forever()
    due = time.monotonic()
    while True:
        threading.Thread(target=ask, args=(vip, int(port)), daemon=True).start()
        due += PACE_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])

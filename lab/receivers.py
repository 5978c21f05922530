"""Servers that get the log of a node: real rsyslog and real syslog-ng, on a host of the lab."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.patience import LIMIT_SECONDS, wait_until
from lab.programs import PATH, run

if TYPE_CHECKING:
    from lab import Host

#: The ports of every receiver.
UDP, TCP, TLS, RELP = 5140, 5141, 6514, 2514

#: scripts/setup unpacks it: its package cannot be installed beside rsyslog's.
SYSLOG_NG = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "syslog-ng"

_RSYSLOG = """
global(workDirectory="{directory}" maxMessageSize="64k")
main_queue(queue.type="LinkedList" queue.timeoutShutdown="30000")
module(load="imudp") module(load="imtcp") module(load="imrelp")
input(type="imudp" port="{udp}")
input(type="imtcp" port="{tcp}")
input(type="imtcp" port="{tls}" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="{tcp_auth}"
      {tcp_peer} streamDriver.CAFile="{pki}/ca.pem" streamDriver.CertFile="{pki}/{certificate}.pem"
      streamDriver.KeyFile="{pki}/{certificate}.key")
input(type="imrelp" port="{relp}" maxDataSize="64k")
template(name="line" type="list" option.jsonf="on") {{
    property(outname="input" name="inputname" format="jsonf")
    property(outname="host" name="hostname" format="jsonf")
    property(outname="program" name="app-name" format="jsonf")
    property(outname="pid" name="procid" format="jsonf")
    property(outname="id" name="msgid" format="jsonf")
    property(outname="data" name="structured-data" format="jsonf")
    property(outname="message" name="msg" format="jsonf")
}}
action(type="omfile" file="{received}" template="line")
"""

_SYSLOG_NG = """
@version: 3.35
options {{ keep-hostname(yes); flush-lines(1); stats-freq(0); }};
source remote {{
    syslog(transport("tcp") port({tcp}) max-connections(10));
    syslog(transport("udp") port({udp}));
    syslog(transport("tls") port({tls}) tls(key-file("{pki}/{certificate}.key") cert-file("{pki}/{certificate}.pem")
           ca-file("{pki}/ca.pem") peer-verify({verify})));
}};
template line {{
    template("$(format-json host=$HOST program=$PROGRAM pid=$PID id=$MSGID data=$SDATA message=$MSG)\\n");
}};
log {{ source(remote); destination {{ file("{received}" template(line)); }}; }};
"""


@dataclass(frozen=True)
class Received:
    """A message as the server understood it."""

    host: str
    program: str
    pid: str
    id: str
    data: str
    message: str

    def parameters(self, element: str) -> dict[str, list[str]]:
        """The parameters of an element of the structured data."""
        found = re.search(rf"\[{re.escape(element)}((?: [^ =]+=\"(?:[^\"\\\]]|\\.)*\")*)\]", self.data)
        result: dict[str, list[str]] = {}
        for name, value in re.findall(r' ([^ =]+)="((?:[^"\\\]]|\\.)*)"', found[1] if found else ""):
            result.setdefault(name, []).append(re.sub(r"\\(.)", r"\1", value))
        return result


class Receiver:
    """A syslog server; ``asks`` is whether it wants to see a certificate of its clients, ``certificate`` its own."""

    def __init__(
        self, host: Host, directory: Path, kind: str, *, asks: bool = False, certificate: str = "server"
    ) -> None:
        self.host = host
        self.kind = kind
        self._directory = directory / f"{host.name}-{kind}"
        self._directory.mkdir()
        self._received = self._directory / "received"
        self._received.touch()
        ports = {"udp": UDP, "tcp": TCP, "tls": TLS, "relp": RELP}
        words = {
            **ports,
            "directory": self._directory,
            "received": self._received,
            "pki": directory / "pki",
            "tcp_auth": "x509/name" if asks else "anon",
            "tcp_peer": 'PermittedPeer="client.example"' if asks else "",
            "certificate": certificate,
            "verify": "required-trusted" if asks else "optional-untrusted",
        }
        text = (_RSYSLOG if kind == "rsyslog" else _SYSLOG_NG).format(**words)
        self._config = self._directory / "receiver.conf"
        self._config.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it listens."""
        if self.kind == "rsyslog":
            command = ["rsyslogd", "-n", "-i", "NONE", "-f", str(self._config)]
        else:
            command = [str(SYSLOG_NG), "-F", "-f", str(self._config)]
            command += ["-R", str(self._directory / "persist"), "-c", str(self._directory / "control")]
            command += ["-p", str(self._directory / "pid"), "--no-caps"]
        with (self._directory / "said").open("ab") as said:
            process = self._process = subprocess.Popen(
                ["ip", "netns", "exec", self.host.namespace, *command],
                env={"PATH": PATH},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        listens = {TCP, TLS} | ({RELP} if self.kind == "rsyslog" else set())
        wait_until(lambda: listens <= self._listening() or process.poll() is not None, "a receiver that listens")
        if process.poll() is not None:
            raise LabError(f"The receiver does not listen: {(self._directory / 'said').read_text()}")

    def _listening(self) -> set[int]:
        found = run(["ip", "netns", "exec", self.host.namespace, "ss", "-Hltn"]).stdout
        return {int(line.split()[3].rpartition(":")[2]) for line in found.splitlines()}

    def hang(self) -> None:
        """It reads nothing any more, and its kernel goes on taking what fits into its buffers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def stop(self, *, kill: bool = False) -> None:
        """Stops it as a restart would; or kills it. May be called again."""
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(LIMIT_SECONDS)
            self._process = None

    @property
    def size(self) -> int:
        """Bytes that it has got: changes with every message."""
        return self._received.stat().st_size

    @property
    def lines(self) -> list[Received]:
        """All that it has got, over all of its runs."""
        found = (json.loads(line) for line in self._received.read_text("utf-8", "replace").splitlines())
        names = Received.__dataclass_fields__
        return [Received(**{name: str(line.get(name, "-")) for name in names}) for line in found]

    def wait_for(self, pattern: str, timeout: float = LIMIT_SECONDS) -> Received:
        """The first line whose message ``pattern`` is found in. Raises LabError after ``timeout`` seconds."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + timeout
        while True:
            for line in self.lines:
                if expression.search(line.message):
                    return line
            if time.monotonic() > deadline:
                last = "\n".join(line.message for line in self.lines[-5:])
                said = (self._directory / "said").read_text()[-500:]
                raise LabError(f"{self.host.name} got no line that matches {pattern!r}; the last were\n{last}\n{said}")
            time.sleep(0.02)  # a file tells nobody


def make_pki(directory: Path, address: str) -> Path:
    """A private CA, and what it signed: server.example (also for ``address``), expired (the same), client.example."""
    pki = directory / "pki"
    pki.mkdir()
    ca = ["-keyout", str(pki / "ca.key"), "-out", str(pki / "ca.pem"), "-subj", "/CN=Test CA", "-days", "2"]
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *ca])
    for name, names, days in (
        ("server", f"DNS:server.example,IP:{address}", "2"),
        ("expired", f"DNS:server.example,IP:{address}", "0"),
        ("client", "DNS:client.example", "2"),
        ("other", "DNS:other.example", "2"),
    ):
        files = ["-keyout", str(pki / f"{name}.key"), "-out", str(pki / f"{name}.csr")]
        run(["openssl", "req", "-newkey", "rsa:2048", "-nodes", *files, "-subj", f"/CN={name}.example"])
        (pki / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        signed = ["-CA", str(pki / "ca.pem"), "-CAkey", str(pki / "ca.key"), "-CAcreateserial", "-days", days]
        files = [
            "-in",
            str(pki / f"{name}.csr"),
            "-out",
            str(pki / f"{name}.pem"),
            "-extfile",
            str(pki / f"{name}.ext"),
        ]
        run(["openssl", "x509", "-req", *files, *signed])
    for path in (directory, pki):
        path.chmod(0o755)
    return pki

"""The cluster that kubectl points to: the manifests applied in a namespace of their own, and what can be seen of them.

Everything is asked through the API: kubectl exec, logs and the objects' own state, so that it does not matter what kind
of cluster it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from lab.errors import LabError
from lab.patience import wait_until
from tests.cluster.history import Story, last_request, story
from tests.cluster.service import REQUEST_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "deploy" / "kubernetes"

VIP = os.environ.get("CLUSTER_VIP", "")
IMAGE = os.environ.get("CLUSTER_IMAGE") or "docker-keepalived:latest"
PORT = os.environ.get("CLUSTER_PORT") or "18080"
KUBECTL = os.environ.get("KUBECTL") or "kubectl"

NAMESPACE = "keepalived-test"
APP = "app.kubernetes.io/name=keepalived"
#: The label that keeps a node out (deploy/kubernetes/base/daemonset.yaml).
OFF = "keepalived"

#: Seconds that a roll-out, a pull of the image or the join of every node may take.
CLUSTER_LIMIT = 300.0

Object = dict[str, Any]


class Pod(NamedTuple):
    """A pod that runs on ``node``; ``is_ready`` as the cluster sees it."""

    name: str
    node: str
    is_ready: bool


def kubectl(*arguments: str, text: str | None = None, limit: float = CLUSTER_LIMIT) -> str:
    """What a kubectl command prints on standard output. Raises LabError."""
    command = [KUBECTL, "--namespace", NAMESPACE, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=text, timeout=limit)
    if done.returncode:
        raise LabError(f"kubectl {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def asked(*arguments: str) -> Object:
    """The object, or the list of objects, that kubectl gets."""
    found: Object = json.loads(kubectl("get", "--output", "json", *arguments))
    return found


class Cluster:
    """The example overlay and a service on each node; as a context it leaves nothing of them behind."""

    def __init__(self, directory: Path) -> None:
        self.address = VIP.partition("/")[0]
        self._overlay = directory / "kubernetes" / "test"
        self._ends = ExitStack()

    def __enter__(self) -> Cluster:
        shutil.copytree(MANIFESTS, self._overlay.parent)
        self._overlay.mkdir()
        self._ends.callback(kubectl, "delete", "namespace", NAMESPACE, "--ignore-not-found")
        try:
            # First, so that no change of an address is missed.
            self._apply(self._service())
            self._wait_rolled_out("service")
            self.apply()
            self.wait_all_ready()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def apply(self, *patches: Object, **variables: str) -> None:
        """The example with these variables as well, its DaemonSet with these patches; nothing stays of those before."""
        place = self._overlay / "kustomization.yaml"
        said = {"KA_INCLUDE": VIP, "KA_ENABLE_CHECK": f"http://127.0.0.1:{PORT}/", **variables}
        name, _, tag = IMAGE.rpartition(":")
        overlay = {
            "namespace": NAMESPACE,
            "resources": ["../example"],
            # The name that the example gives it.
            "images": [{"name": "registry.example/docker-keepalived", "newName": name, "newTag": tag}],
            "configMapGenerator": [
                {"name": "keepalived", "behavior": "merge", "literals": [f"{key}={text}" for key, text in said.items()]}
            ],
            "patches": [{"target": {"kind": "DaemonSet"}, "patch": json.dumps(patch)} for patch in patches],
        }
        place.write_text(yaml.safe_dump(overlay), encoding="utf-8")
        self._apply(kubectl("kustomize", str(self._overlay)))

    def _apply(self, manifests: str) -> None:
        kubectl("apply", "--filename", "-", text=manifests)

    def _service(self) -> str:
        """The manifests of what runs beside keepalived: see service.py."""
        jobs = {
            "service": ["service", PORT, self.address],
            "client": ["client", PORT, self.address],
        }
        python = ["/opt/ka/venv/bin/python", "-c", (Path(__file__).parent / "service.py").read_text(encoding="utf-8")]
        containers: list[Object] = [{"name": job, "command": [*python, *words]} for job, words in jobs.items()]
        containers.append({"name": "kernel", "command": ["ip", "-ts", "-oneline", "monitor", "address"]})
        node = {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
        labels = {"app": "service"}
        pod = {
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 1,
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"operator": "Exists"}],
            "containers": [{**its, "image": IMAGE, "env": [node]} for its in containers],
        }
        daemon_set = {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "service"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        }
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "privileged"}},
        }
        return yaml.safe_dump_all([namespace, daemon_set])

    def _wait_rolled_out(self, daemon_set: str) -> None:
        kubectl(
            "rollout", "status", f"daemonset/{daemon_set}", f"--timeout={CLUSTER_LIMIT:.0f}s", limit=2 * CLUSTER_LIMIT
        )

    def wait_all_ready(self) -> None:
        """Until each node's pod is up to date and may take over, and one holds the VIP."""
        self._wait_rolled_out("keepalived")
        self.wait_holder()

    def pods(self, label: str = APP) -> dict[str, Pod]:
        """Those that run and are not about to end, by node."""
        found = {}
        for item in asked("pods", "--selector", label)["items"]:
            if "deletionTimestamp" in item["metadata"] or item["status"].get("phase") != "Running":
                continue
            ready = {entry["type"]: entry["status"] for entry in item["status"].get("conditions", ())}.get("Ready")
            node = item["spec"]["nodeName"]
            found[node] = Pod(item["metadata"]["name"], node, ready == "True")
        return found

    def execute(self, pod: str, *command: str, container: str = "keepalived") -> str:
        """What a command in a pod prints. Raises LabError."""
        return kubectl("exec", pod, "--container", container, "--", *command)

    def log(self, pod: str, container: str = "keepalived") -> str:
        """What a container has printed since its start."""
        return kubectl("logs", pod, "--container", container)

    def holders(self) -> set[str]:
        """The nodes whose kernel has the VIP, whether keepalived runs there or not."""
        found = set()
        for node, pod in self.pods("app=service").items():
            links = json.loads(self.execute(pod.name, "ip", "-json", "address", "show", container="kernel"))
            if any(info.get("local") == self.address for link in links for info in link["addr_info"]):
                found.add(node)
        return found

    def wait_holder(self, *among: str) -> str:
        """The node that alone holds the VIP, once there is one, and it is one of ``among`` where some are named."""

        def one() -> str | None:
            holders = self.holders()
            (node, *more) = holders or {""}
            return node if not more and node and (not among or node in among) else None

        return wait_until(one, f"one holder of {self.address} of {among or 'all nodes'}", CLUSTER_LIMIT, pause=0.5)

    def others(self, node: str) -> list[str]:
        """The other nodes that have a pod."""
        return sorted(self.pods().keys() - {node})

    @contextmanager
    def told(self, what: str, figures: list[str]) -> Iterator[None]:
        """Adds to ``figures`` what happened to the VIP meanwhile."""
        start = self._now()
        yield
        figures.append(f"{what}: {self.story(start)}")

    def story(self, start: float) -> Story:
        """What happened to the VIP since ``start``, by the clocks of the nodes."""
        end = self._now()
        pods = self.pods("app=service")

        def answered() -> list[str] | None:
            clients = [self.log(pod.name, "client") for pod in pods.values()]
            # What was sent before the end has then been answered, or has failed.
            return clients if min(map(last_request, clients)) > end + REQUEST_SECONDS else None

        clients = wait_until(answered, "the last answers", CLUSTER_LIMIT, pause=0.5)
        changes = {node: self.log(pod.name, "kernel") for node, pod in pods.items()}
        return story(changes, clients, self.address, start, end)

    def _now(self) -> float:
        """Of a node's clock, not of this machine's."""
        pod = next(iter(self.pods("app=service").values()))
        return float(self.execute(pod.name, "date", "+%s.%N", container="kernel"))

    @contextmanager
    def labelled(self, node: str, key: str, text: str) -> Iterator[None]:
        """A node with a label, which is taken off again."""
        kubectl("label", "node", node, f"{key}={text}", "--overwrite")
        try:
            yield
        finally:
            kubectl("label", "node", node, f"{key}-")

    @contextmanager
    def cordoned(self, node: str) -> Iterator[None]:
        """A node on which nothing new is put."""
        kubectl("cordon", node)
        try:
            yield
        finally:
            kubectl("uncordon", node)

    def wait_gone(self, pod: str) -> None:
        """Until a pod has ended."""
        kubectl("wait", "--for=delete", f"pod/{pod}", f"--timeout={CLUSTER_LIMIT:.0f}s")

    @property
    def daemon_set(self) -> Object:
        """The DaemonSet as it is now."""
        return asked("daemonset", "keepalived")

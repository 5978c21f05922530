"""deploy/kubernetes: what kustomize makes of it, held against the API's schemas, the settings and the engine."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml

from app.contract.capabilities import NAMES
from app.settings import load
from app.settings.vrrp import Vrrp
from lab.engine import ROOT, capabilities, environment

if TYPE_CHECKING:
    from lab.engine import Engine

EXAMPLE = ROOT / "deploy" / "kubernetes" / "example"
VERSIONS = ("1.30", "1.32", "1.34", "1.36")
NODE = "node-a.example"
ADDRESS = "192.0.2.20"

Manifest = dict[str, Any]


def kustomize(directory: Path) -> list[Manifest]:
    """Every object that ``kubectl apply -k`` would make of a directory."""
    kubectl = Path(sys.executable).parent / "kubectl"
    done = subprocess.run([kubectl, "kustomize", directory], check=True, capture_output=True, text=True, timeout=60)
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """The example's objects."""
    return kustomize(EXAMPLE)


def only(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """The one object of a kind, with that name where a name is given."""
    (found,) = [
        entry for entry in manifests if entry["kind"] == kind and (not name or entry["metadata"]["name"] == name)
    ]
    return found


def pod_of(manifests: list[Manifest]) -> Manifest:
    """What a pod of the DaemonSet is."""
    pod: Manifest = only(manifests, "DaemonSet")["spec"]["template"]["spec"]
    return pod


def environment_of(manifests: list[Manifest], directory: Path) -> dict[str, str]:
    """The variables of the container as the kubelet would set them; mounted secrets lie below ``directory``."""
    container = pod_of(manifests)["containers"][0]
    values: dict[str, str] = {}
    for source in container["envFrom"]:
        values |= only(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    fields = {"spec.nodeName": NODE, "status.hostIP": ADDRESS, "metadata.name": "keepalived-x"}
    for entry in container["env"]:
        values[entry["name"]] = entry.get("value") or fields[entry["valueFrom"]["fieldRef"]["fieldPath"]]
    volumes = {volume["name"]: volume for volume in pod_of(manifests)["volumes"]}
    for mount in container["volumeMounts"]:
        if "secret" in volumes[mount["name"]]:
            secret = only(manifests, "Secret", volumes[mount["name"]]["secret"]["secretName"])
            place = directory / mount["mountPath"].lstrip("/")
            place.mkdir(parents=True)
            for name, text in secret["data"].items():
                (place / name).write_bytes(base64.b64decode(text))
    return values


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("directory", ["base", "example"])
def test_every_object_is_valid(directory: str, version: str) -> None:
    for manifest in kustomize(EXAMPLE.parent / directory):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_node_does_without_it_last(manifests: list[Manifest]) -> None:
    """A class of ours left the pod the first one that the kernel takes when memory runs out."""
    assert pod_of(manifests)["priorityClassName"] == "system-node-critical"
    assert not [manifest for manifest in manifests if manifest["kind"] == "PriorityClass"]


def test_object_with_a_misspelt_field_is_not_valid(manifests: list[Manifest]) -> None:
    """The negative control."""
    wrong = only(manifests, "DaemonSet") | {"spek": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="spek"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_settings_accept_the_environment(manifests: list[Manifest], tmp_path: Path) -> None:
    values = environment_of(manifests, tmp_path)
    for name in [name for name in values if name.endswith("_FILE")]:
        values[name] = f"{tmp_path}{values[name]}"
    loaded = load(values)
    assert loaded.problems == ()
    assert loaded.warnings == ()


def test_privileges_are_the_documented_ones(manifests: list[Manifest]) -> None:
    pod = pod_of(manifests)
    security = pod["containers"][0]["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": list(NAMES)}
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert pod["hostNetwork"] is True
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False


def test_one_node_at_a_time(manifests: list[Manifest]) -> None:
    daemon_set = only(manifests, "DaemonSet")["spec"]
    assert daemon_set["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}
    # A node that could take over does it within three adverts and the skew, if nobody else has; then the next may stop.
    assert daemon_set["minReadySeconds"] > 4 * float(Vrrp.model_fields["advert_interval"].default)


def test_ready_is_who_could_take_over(manifests: list[Manifest]) -> None:
    """Otherwise a wrong health URL rolls out to all nodes, each of which is healthy in FAULT."""
    container = pod_of(manifests)["containers"][0]
    asks = {kind: container[f"{kind}Probe"]["exec"]["command"] for kind in ("startup", "readiness", "liveness")}
    health = ["ka", "health"]
    assert asks == {"startup": health, "readiness": [*health, "--ready"], "liveness": health}


def test_label_keeps_a_node_out(manifests: list[Manifest]) -> None:
    """A label of a node ends its pod and no other one; a nodeSelector is a change of all pods."""
    chosen = pod_of(manifests)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    out = {"key": "keepalived", "operator": "NotIn", "values": ["off"]}
    assert chosen == {"nodeSelectorTerms": [{"matchExpressions": [out]}]}


def test_spools_leave_room_where_run_looks_larger_than_it_is(manifests: list[Manifest]) -> None:
    """Before Kubernetes 1.22 the file system of an emptyDir in memory has no size of its own."""
    (run,) = [volume["emptyDir"] for volume in pod_of(manifests)["volumes"] if volume["name"] == "run"]
    size = only(manifests, "ConfigMap")["data"]["KA_LOG_SPOOL_SIZE"]
    assert (run["sizeLimit"], size) == ("16Mi", "4M")


def test_headless_service_finds_the_pods(manifests: list[Manifest]) -> None:
    service = only(manifests, "Service")
    assert service["spec"]["clusterIP"] == "None"
    assert service["metadata"]["name"] != "ka"
    labels = only(manifests, "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_container_runs_as_the_manifest_says(manifests: list[Manifest], tmp_path: Path, engine: Engine) -> None:
    """The pod's container on the engine, with the volumes as the kubelet makes them: /run is everybody's."""
    values = environment_of(manifests, tmp_path)
    secret = tmp_path / "run/secrets/keepalived/auth-pass"
    secret.chmod(0o400)
    container = pod_of(manifests)["containers"][0]
    service = only(manifests, "Service")["metadata"]["name"]
    options = [
        *("--network", engine.network("192.0.2.0/24"), "--ip", ADDRESS, "--network-alias", service),
        *("--read-only", "--security-opt", "no-new-privileges"),
        *capabilities(*container["securityContext"]["capabilities"]["add"]),
        *("--tmpfs", "/run:mode=0777,exec", "--volume", f"{secret}:{values['KA_AUTH_PASS_FILE']}:ro"),
        *("--memory", container["resources"]["limits"]["memory"].removesuffix("i")),
        *environment(values),
    ]
    node = engine.run("pod", options)
    node.log.wait_for("Startup complete")
    assert f"router {NODE}" in node.log.text
    assert f"priority 254 (auto: {ADDRESS} is number 1 of 1" in node.log.text
    assert "password [set]" in node.log.text
    assert node.execute("stat", "-c", "%a", "/run", "/run/ka").stdout.split() == ["755", "755"]
    probe = container["livenessProbe"]["exec"]["command"]
    assert node.execute(*probe).stdout.startswith("main is FAULT")
    node.kill("TERM")
    assert node.wait_end() == 0

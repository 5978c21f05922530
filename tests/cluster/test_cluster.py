"""The manifests on a real cluster: what a pod may do, and who holds the VIP, whatever is done with pods and nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.contract.capabilities import CAPABILITIES
from lab.patience import wait_until
from tests.cluster.cluster import APP, CLUSTER_LIMIT, OFF, asked, kubectl
from tests.cluster.service import DOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.cluster import Cluster

#: What the readiness probe says of a node in FAULT.
OUT = "main is FAULT: this node cannot take over"


def soon(find: Callable[[], bool], what: str) -> None:
    """Waits as long as a kubelet may take to look again."""
    wait_until(find, what, CLUSTER_LIMIT, pause=0.5)


def test_pods_have_what_the_manifest_says(cluster: Cluster) -> None:
    mask = sum(1 << capability.bit for capability in CAPABILITIES)
    pods = asked("pods", "--selector", APP)["items"]
    assert len(pods) >= 2
    for pod in pods:
        name = pod["metadata"]["name"]
        status = dict(line.split(":", 1) for line in cluster.execute(name, "cat", "/proc/1/status").splitlines())
        assert {int(status[kind], 16) for kind in ("CapPrm", "CapEff", "CapBnd")} == {mask}
        assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
        assert "ro" in cluster.execute(name, "grep", " / ", "/proc/mounts").split()[3].split(",")
        # The class counts: the kernel takes other pods first. A pod that is only Burstable has 998 or so.
        assert pod["spec"]["priority"] >= 2_000_000_000
        assert int(cluster.execute(name, "cat", "/proc/1/oom_score_adj")) <= 0


def test_one_node_holds_the_vip_and_the_others_could(cluster: Cluster) -> None:
    holder = cluster.wait_holder()
    for node, pod in cluster.pods().items():
        state = "MASTER" if node == holder else "BACKUP"
        assert cluster.execute(pod.name, "ka", "health", "--ready").startswith(f"main is {state}, priority ")


@pytest.mark.parametrize("how", [(), ("--grace-period=0", "--force")], ids=["with-grace", "without-grace"])
def test_deleted_pod_gives_the_vip_away(cluster: Cluster, figures: list[str], how: tuple[str, ...]) -> None:
    holder = cluster.wait_holder()
    with cluster.told(f"kubectl delete pod {' '.join(how)}", figures):
        kubectl("delete", "pod", cluster.pods()[holder].name, *how)
        cluster.wait_holder(*cluster.others(holder))
        cluster.wait_all_ready()


def test_roll_out_leaves_a_node_that_may_take_over(cluster: Cluster, figures: list[str]) -> None:
    count = len(cluster.pods())
    with cluster.told("roll-out of a changed variable", figures):
        cluster.apply(KA_CHECK_FALL="3")

        def is_over() -> bool:
            ready = [pod for pod in cluster.pods().values() if pod.is_ready]
            assert len(ready) >= count - 1
            now = cluster.daemon_set
            said = [now["status"].get(name) for name in ("updatedNumberScheduled", "numberAvailable")]
            return now["status"]["observedGeneration"] == now["metadata"]["generation"] and said == [count, count]

        soon(is_over, "the end of the roll-out")
    cluster.wait_all_ready()


def test_roll_out_of_a_wrong_url_stops_at_the_first_node(cluster: Cluster, figures: list[str]) -> None:
    nodes = cluster.pods().keys()
    before = {pod.name for pod in cluster.pods().values()}
    with cluster.told("roll-out of a wrong health URL, and back", figures):
        cluster.apply(KA_ENABLE_CHECK="http://127.0.0.1:9/")

        def out() -> list[str]:
            fresh = [pod for pod in cluster.pods().values() if pod.name not in before and not pod.is_ready]
            return [pod.node for pod in fresh if "all others know of this node by now" in cluster.log(pod.name)]

        (stopped,) = wait_until(out, "a node with a wrong URL that would take part", CLUSTER_LIMIT, pause=0.5)
        assert cluster.wait_holder() != stopped
        assert {node for node, pod in cluster.pods().items() if pod.name in before} == nodes - {stopped}
        cluster.apply()
        cluster.wait_all_ready()


def test_node_whose_service_is_down_is_not_ready(cluster: Cluster, figures: list[str]) -> None:
    holder = cluster.wait_holder()
    service = cluster.pods("app=service")[holder].name
    with cluster.told("service down", figures):
        cluster.execute(service, "touch", str(DOWN), container="service")
        try:
            cluster.wait_holder(*cluster.others(holder))
            soon(lambda: not cluster.pods()[holder].is_ready, f"{holder} not ready")
            assert cluster.execute(cluster.pods()[holder].name, "ka", "health").startswith("main is FAULT")
        finally:
            cluster.execute(service, "rm", str(DOWN), container="service")
    soon(lambda: cluster.pods()[holder].is_ready, f"{holder} ready again")


def test_drained_node_gives_the_vip_away_by_its_label(cluster: Cluster, figures: list[str]) -> None:
    """kubectl drain passes DaemonSets over, so the label goes first."""
    holder = cluster.wait_holder()
    pod = cluster.pods()[holder].name
    # Of all pods on the node only ours are looked at: the cluster may be in use.
    drain = ("drain", holder, "--ignore-daemonsets", f"--pod-selector={APP}")
    with cluster.cordoned(holder):
        with cluster.told("kubectl drain --ignore-daemonsets", figures):
            kubectl(*drain)
            assert cluster.wait_holder() == holder
        with cluster.labelled(holder, OFF, "off"):
            with cluster.told("kubectl label node … keepalived=off", figures):
                cluster.wait_gone(pod)
                cluster.wait_holder(*cluster.others(holder))
            kubectl(*drain)
            assert holder not in cluster.pods()
            # One that is alone says nothing that a firewall refuses.
            for other in cluster.pods().values():
                assert "not permitted" not in cluster.log(other.name)
    with cluster.told("kubectl label node … keepalived-", figures):
        soon(lambda: holder in cluster.pods() and cluster.pods()[holder].is_ready, f"{holder} back")
    assert cluster.wait_holder() != holder


def test_taint_gives_the_vip_away(cluster: Cluster, figures: list[str]) -> None:
    holder = cluster.wait_holder()
    pod = cluster.pods()[holder].name
    kubectl("taint", "node", holder, "keepalived-test=out:NoExecute")
    try:
        with cluster.told("taint NoExecute", figures):
            cluster.wait_gone(pod)
            cluster.wait_holder(*cluster.others(holder))
    finally:
        kubectl("taint", "node", holder, "keepalived-test-")
    cluster.wait_all_ready()


def test_ka_drain_keeps_a_node_out_until_its_next_start(cluster: Cluster, figures: list[str]) -> None:
    holder = cluster.wait_holder()
    pod = cluster.pods()[holder].name
    with cluster.told("ka drain", figures):
        assert cluster.execute(pod, "ka", "drain").startswith("drained: ")
        cluster.wait_holder(*cluster.others(holder))
    soon(lambda: not cluster.pods()[holder].is_ready, f"{holder} not ready")
    cluster.execute(pod, "ka", "undrain")
    soon(lambda: cluster.pods()[holder].is_ready, f"{holder} ready again")


def test_added_node_selector_leaves_one_holder(cluster: Cluster, figures: list[str]) -> None:
    """The pod of a node that falls out ends at once, while the others are updated: it takes a while but ends well."""
    holder = cluster.wait_holder()
    stays = cluster.others(holder)[0]
    with cluster.labelled(stays, "keepalived-test", "stays"):
        selector = {"kubernetes.io/os": "linux", "keepalived-test": "stays"}
        spec = {"template": {"spec": {"nodeSelector": selector}}}
        patch = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "keepalived"}, "spec": spec}
        with cluster.told("a nodeSelector that is added, without the holder", figures):
            cluster.apply(patch)
            cluster.wait_holder(stays)
            cluster.wait_all_ready()
            assert cluster.pods().keys() == {stays}
        cluster.apply()
        cluster.wait_all_ready()


def test_no_pod_was_started_again(cluster: Cluster) -> None:
    """The kubelet would, if `ka health` had failed or taken too long in any of the above."""
    for item in asked("pods", "--selector", APP)["items"]:
        assert [entry["restartCount"] for entry in item["status"]["containerStatuses"]] == [0]

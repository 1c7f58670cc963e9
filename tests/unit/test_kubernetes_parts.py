"""What a cluster's objects come to: copies, a route in force, a lease, a first model."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kubernetes.config import kube_config

from k8s.bootstrap import FirstModel, Gate, assign, make_secrets, wait
from k8s.local.gateway_manifests import GATEWAY, read
from k8s.rollout.errors import HeldError, LostError, NotRunningError, RefusedError
from k8s.rollout.fleets import Copies, FleetError
from k8s.rollout.kubernetes_api import ClusterError, Kind, connect
from k8s.rollout.kubernetes_fleet import TAG, KubernetesFleet, copies
from k8s.rollout.kubernetes_lease import SECONDS, KubernetesLease
from k8s.rollout.kubernetes_router import FOLLOW_SECONDS, TRACE, KubernetesRouter
from k8s.rollout.memory_fleet import MemoryFleet
from k8s.rollout.routers import NotInForceError, RouterError, Split
from monitoring.migrations import USERS
from tests.doubles.memory_cluster import MemoryCluster

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ONE, OTHER = "risk_scorer:aaaaaaaaaaaa", "risk_scorer:bbbbbbbbbbbb"
TEMPLATE = read(GATEWAY / "httproute.yaml")


def _deployment(tag: str | None = ONE, wanted: int = 1):
    annotations = {TAG: tag} if tag else {}
    return {"spec": {"replicas": wanted, "template": {"metadata": {"annotations": annotations}}}}


def _pod(tag: str = ONE, ready_for: float | None = 60, **status):
    condition = {"type": "Ready", "status": "False" if ready_for is None else "True"}
    condition["lastTransitionTime"] = (NOW - timedelta(seconds=ready_for or 0)).isoformat()
    return {"metadata": {"annotations": {TAG: tag}}, "status": {"conditions": [condition], **status}}


def test_a_copy_counts_when_the_gateway_has_had_time_to_hear_of_it() -> None:
    assert copies(_deployment(), [_pod(ready_for=1)], NOW).ready == 0
    assert copies(_deployment(), [_pod(ready_for=6)], NOW) == Copies(ONE, 1, 1)


def test_in_the_middle_of_a_roll_both_versions_are_seen() -> None:
    assert copies(_deployment(OTHER), [_pod(), _pod(OTHER)], NOW) == Copies(OTHER, 1, 1, 1, settled=False)


def test_a_copy_that_ends_does_not_serve_and_is_not_settled() -> None:
    ending = _pod()
    ending["metadata"]["deletionTimestamp"] = NOW.isoformat()
    assert copies(_deployment(wanted=0), [ending], NOW) == Copies(ONE, 0, 0, settled=False)


def test_without_a_tag_no_version_is_assigned() -> None:
    assert copies(_deployment(None), [], NOW).problem == "no version assigned"


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (
            {
                "initContainerStatuses": [
                    {
                        "lastState": {
                            "terminated": {"exitCode": 4, "message": "Traceback:\n  at its start\naltered\n"}
                        },
                        "state": {},
                    }
                ]
            },
            "altered",
        ),
        (
            {
                "containerStatuses": [
                    {"restartCount": 3, "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}
                ]
            },
            "ErrImagePull: no",
        ),
        (
            {
                "containerStatuses": [
                    {"restartCount": 3, "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
                ]
            },
            "OOMKilled",
        ),
        ({"initContainerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]}, ""),
    ],
)
def test_why_a_copy_is_not_ready_is_said(status, problem: str) -> None:
    seen = copies(_deployment(), [_pod(ready_for=None, **status)], NOW)
    assert (seen.ready, seen.problem) == (0, problem)


def test_a_pod_without_a_node_says_why() -> None:
    pod = _pod(ready_for=None)
    pod["status"]["conditions"].append({"type": "PodScheduled", "status": "False", "message": "Insufficient cpu"})
    assert copies(_deployment(), [pod], NOW).problem == "Insufficient cpu"


def test_without_the_deployments_the_fleet_says_what_to_do() -> None:
    with pytest.raises(FleetError, match="apply an overlay"):
        KubernetesFleet(MemoryCluster()).look()  # type: ignore[arg-type]


def test_a_cluster_that_is_away_is_an_error_of_each_part() -> None:
    cluster = MemoryCluster(failure=ClusterError("no answer"))
    with pytest.raises(FleetError, match="no answer"):
        KubernetesFleet(cluster).scale("canary", 1)  # type: ignore[arg-type]
    with pytest.raises(RouterError, match="no answer"):
        KubernetesRouter(cluster, TEMPLATE).current()  # type: ignore[arg-type]
    with pytest.raises(NotRunningError, match="no answer"):
        KubernetesLease(cluster).holder()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content", [b"", b"clusters: [", b"words", b"clusters: 3\ncurrent-context: x", b"\xff\xfe\x00"]
)
def test_a_kubeconfig_that_can_not_be_used_is_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_bytes(content)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    with pytest.raises(ClusterError, match="no cluster"):
        connect()


def test_a_route_that_no_gateway_accepts_is_not_in_force() -> None:
    clock, cluster = iter([0.0, 1.0, 100.0]), MemoryCluster(accepts=False)
    KubernetesRouter(cluster, TEMPLATE, wait=False).apply(Split(95, 5))  # type: ignore[arg-type]
    router = KubernetesRouter(cluster, TEMPLATE, clock=lambda: next(clock))  # type: ignore[arg-type]
    with pytest.raises(NotInForceError, match="no gateway has looked"):
        router.apply(Split(90, 10))
    assert router.current() == Split(90, 10)


class _DiedError(Exception):
    pass


def _weights(cluster: MemoryCluster) -> list[int]:
    route = cluster.get(Kind.ROUTES, "scorer")
    return [each["weight"] for each in route["spec"]["rules"][0]["backendRefs"]]


@pytest.mark.parametrize(
    ("before", "after", "on_the_way"),
    [
        (Split(50, 50), Split(100, 0), [[9_999, 1]]),
        (Split(50, 50), Split(0, 100), [[1, 9_999]]),
        (Split(100, 0), Split(95, 5), [[9_999, 1]]),
        (Split(100, 0), Split(0, 100), [[9_999, 1], [1, 9_999]]),
        (Split(0, 100), Split(100, 0), [[1, 9_999], [9_999, 1]]),
        (Split(95, 5), Split(75, 25), []),
        (Split(100, 0), Split(100, 0, 50), []),
    ],
)
def test_who_comes_from_no_weight_and_who_loses_all_has_a_trace_until_the_proxies_follow(
    before: Split, after: Split, on_the_way: list[list[int]]
) -> None:
    cluster, slept = MemoryCluster(), list[tuple[float, list[int]]]()
    router = KubernetesRouter(cluster, TEMPLATE, sleep=lambda seconds: slept.append((seconds, _weights(cluster))))  # type: ignore[arg-type]
    router.apply(before)
    slept.clear()
    router.apply(after)
    assert slept == [(FOLLOW_SECONDS, each) for each in on_the_way]
    assert _weights(cluster) == [after.stable, after.canary]


def test_a_controller_that_dies_while_a_trace_is_left_leaves_the_split_before() -> None:
    def dies(_: float) -> None:
        raise _DiedError

    cluster = MemoryCluster()
    KubernetesRouter(cluster, TEMPLATE, sleep=lambda _: None).apply(Split(75, 25))  # type: ignore[arg-type]
    router = KubernetesRouter(cluster, TEMPLATE, sleep=dies)  # type: ignore[arg-type]
    with pytest.raises(_DiedError):
        router.apply(Split(100, 0))
    assert _weights(cluster) == list(TRACE)
    assert KubernetesRouter(cluster, TEMPLATE).current() == Split(75, 25)  # type: ignore[arg-type]


def test_a_lease_is_one_controllers_until_it_is_given_back_or_runs_out() -> None:
    cluster, now = MemoryCluster(), [NOW]
    one, other = (KubernetesLease(cluster, lambda: now[0]) for _ in range(2))  # type: ignore[arg-type]
    assert one.holder() is None
    one.take("one", NOW)
    with pytest.raises(HeldError, match="one, since 2026-11-01"):
        other.take("other", NOW)
    now[0] += timedelta(seconds=SECONDS - 1)
    one.renew(now[0])
    now[0] += timedelta(seconds=SECONDS + 1)
    assert other.holder() is None
    other.take("other", now[0])
    with pytest.raises(LostError, match="other"):
        one.renew(now[0])
    one.release()
    assert str(other.holder()).startswith("other")
    other.release()
    assert other.holder() is None


def test_a_lease_that_ran_out_and_that_nobody_took_is_still_its_holders() -> None:
    cluster, now = MemoryCluster(), [NOW]
    one, other = (KubernetesLease(cluster, lambda: now[0]) for _ in range(2))  # type: ignore[arg-type]
    one.take("one", NOW)
    now[0] += timedelta(hours=1)
    assert other.holder() is None
    one.renew(now[0])
    assert str(other.holder()).startswith("one, since 2026-11-01")


def test_of_two_that_take_a_lease_at_once_one_gets_it() -> None:
    cluster = MemoryCluster()
    slow = KubernetesLease(cluster)  # type: ignore[arg-type]
    read = slow._read

    def overtaken():
        found = read()
        KubernetesLease(cluster).take("quick", NOW)  # type: ignore[arg-type]
        return found

    slow._read = overtaken  # type: ignore[method-assign]
    with pytest.raises(HeldError, match="at this moment"):
        slow.take("slow", NOW)


def test_every_database_user_gets_a_secret_once_and_all_differ() -> None:
    cluster = MemoryCluster()
    assert make_secrets(cluster, "store", "vigil") == ["owner", *USERS]  # type: ignore[arg-type]
    found = [cluster.get(Kind.SECRETS, f"prediction-store-{user}") for user in ("owner", *USERS)]
    assert len({each["stringData"]["password"] for each in found}) == len(USERS) + 1
    assert make_secrets(cluster, "store", "vigil") == []  # type: ignore[arg-type]
    assert found == [cluster.get(Kind.SECRETS, f"prediction-store-{user}") for user in ("owner", *USERS)]


MODEL = FirstModel(tag=ONE, forced=False, gates=(Gate(name="calibrated", verdict="passed"),))


def test_the_first_model_becomes_stable_and_the_others_rest() -> None:
    fleet = MemoryFleet(instant=True)
    for role in ("canary", "shadow"):
        fleet.scale(role, 1)
    assign(fleet, MODEL, 2)
    assert wait(fleet, 1) == Copies(ONE, 2, 2)
    assert [fleet.look()[role].wanted for role in ("canary", "shadow")] == [0, 0]


def test_a_model_that_failed_a_gate_becomes_stable_only_by_force() -> None:
    failed = replace_gates(MODEL, "failed")
    fleet = MemoryFleet(instant=True)
    with pytest.raises(RefusedError, match="calibrated"):
        assign(fleet, failed, 1)
    assert fleet.look()["stable"] == Copies()
    assign(fleet, failed.model_copy(update={"forced": True}), 1)
    assert fleet.look()["stable"].tag == ONE


def test_a_gate_that_could_not_be_evaluated_does_not_stop_it() -> None:
    fleet = MemoryFleet(instant=True)
    assign(fleet, replace_gates(MODEL, "not evaluated"), 1)
    assert fleet.look()["stable"].tag == ONE


def test_a_first_model_that_is_not_ready_in_time_is_an_error_with_the_reason() -> None:
    fleet, clock = MemoryFleet(tags=(OTHER,)), iter([0.0, 100.0])
    assign(fleet, MODEL, 1)
    with pytest.raises(NotRunningError, match="no such artifact"):
        wait(fleet, 10, clock=lambda: next(clock))


def replace_gates(model: FirstModel, verdict: str) -> FirstModel:
    return model.model_copy(update={"gates": (Gate(name="calibrated", verdict=verdict),)})  # type: ignore[arg-type]

"""Whoever waits for changes of a cluster's objects is woken by them, and not by what the controller itself writes."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from k8s.local.gateway_manifests import GATEWAY, read
from k8s.rollout.changes import NoChanges
from k8s.rollout.custom_resource import NAME
from k8s.rollout.kubernetes_api import Cluster, Kind
from k8s.rollout.kubernetes_changes import KubernetesChanges
from k8s.rollout.kubernetes_router import KubernetesRouter
from k8s.rollout.kubernetes_store import KubernetesStore
from k8s.rollout.model_rollout import Spec, Status
from k8s.rollout.routers import Split
from tests.waiting import wait_for

TAG = "risk_scorer:aaaaaaaaaaaa"


def test_without_changes_a_wait_lasts_its_time() -> None:
    began = time.monotonic()
    assert not NoChanges().wait(0.05)
    assert time.monotonic() - began >= 0.05


def test_a_call_wakes_the_next_wait_and_several_are_one() -> None:
    changes = NoChanges()
    changes.wake()
    changes.wake()
    assert changes.wait(60)
    assert not changes.wait(0)


@pytest.fixture
def changes(real_cluster: Cluster, namespace: Any) -> Iterator[KubernetesChanges]:
    namespace("delete", "httproutes,deployments,modelrollouts", "--all", "--wait")
    names = [(Kind.ROLLOUTS, NAME), (Kind.ROUTES, "scorer"), (Kind.DEPLOYMENTS, "scorer-canary")]
    made = KubernetesChanges(real_cluster, names)
    KubernetesStore(real_cluster).change_spec(lambda _: Spec())
    assert made.wait(10)  # the first state of what is there
    wait_for(lambda: not made.wait(0.5))
    yield made
    made.close()
    assert not any(thread.is_alive() for thread in made._threads)


@pytest.mark.cluster
def test_a_wish_wakes_within_a_second_and_a_status_does_not(changes: KubernetesChanges, real_cluster: Cluster) -> None:
    store = KubernetesStore(real_cluster)
    began = time.monotonic()
    store.change_spec(lambda spec: spec.model_copy(update={"candidate": TAG}))
    assert changes.wait(10)
    assert time.monotonic() - began < 1
    store.write_status(Status(message="a tick"), store.read().version)
    assert not changes.wait(1)


@pytest.mark.cluster
def test_a_route_that_is_made_changed_and_deleted_wakes(
    changes: KubernetesChanges, real_cluster: Cluster, namespace: Any
) -> None:
    router = KubernetesRouter(real_cluster, read(GATEWAY / "httproute.yaml"), wait=False)
    for split in (Split(100, 0), Split(75, 25)):
        router.apply(split)
        assert changes.wait(10)
    namespace("delete", "httproute", "scorer")
    assert changes.wait(10)


@pytest.mark.cluster
def test_a_stream_that_breaks_is_made_again(changes: KubernetesChanges, real_cluster: Cluster) -> None:
    before = dict(changes._streams)
    for stream in before.values():
        stream.end()
    wait_for(lambda: all(changes._streams[key] is not stream for key, stream in before.items()))
    changes.wait(0)
    KubernetesStore(real_cluster).change_spec(lambda spec: spec.model_copy(update={"candidate": TAG}))
    assert changes.wait(10)

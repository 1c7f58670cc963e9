"""A rollout in a real cluster, by the controller and its own rights, with pods that do nothing and gates that pass.

Each tick is a new controller's, as if the one before had been killed.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from kubernetes import client

from k8s.local.gateway_manifests import GATEWAY, read
from k8s.rollout import wishes
from k8s.rollout.answers import Decision
from k8s.rollout.backend import Backend
from k8s.rollout.blocks import Arm, CanaryBlock, PairSums, ShadowBlock
from k8s.rollout.controller import Controller, TickReport
from k8s.rollout.custom_resource import NAME
from k8s.rollout.gates import Gates
from k8s.rollout.history import MemoryHistory
from k8s.rollout.kubernetes_api import Cluster, Kind, Object
from k8s.rollout.kubernetes_events import KubernetesEvents, ToldHistory
from k8s.rollout.kubernetes_fleet import KubernetesFleet
from k8s.rollout.kubernetes_lease import KubernetesLease
from k8s.rollout.kubernetes_router import KubernetesRouter
from k8s.rollout.kubernetes_store import KubernetesStore
from k8s.rollout.memory_evidence import MemoryEvidence
from k8s.rollout.model_rollout import ModelRollout
from k8s.rollout.plan import CanaryPlan, Plan, ShadowPlan, Step
from k8s.rollout.routers import SERVICES, Split
from k8s.rollout.wishes import Asker
from tests.doubles.small_deployment import small_deployment
from tests.e2e.kubectl import Kubectl, RefusedError
from tests.e2e.kubectl import rendered as kustomized

pytestmark = pytest.mark.cluster

STABLE, NEW, BAD = (f"risk_scorer:{letter * 12}" for letter in "abc")
TEMPLATE = read(GATEWAY / "httproute.yaml")
PLAN = Plan(
    block_seconds=0.5,
    shadow=ShadowPlan(min_blocks=1, deadline_blocks=1000),
    canary=CanaryPlan(
        steps=tuple(Step(weight=each, errors=0.1, over_slo=0.1, flagged=0.1) for each in (5, 50)),
        step_blocks=1,
        min_blocks=2,
        deadline_blocks=1000,
        extended_blocks=1000,
    ),
    progress_blocks=1000,
    unavailable_blocks=1000,
)
SECONDS = 120


def _shadow(state: Any, blocks: Any, *_: Any, **__: Any) -> Decision[Any]:
    return Decision("pass" if blocks else "hold", None, "all is well", (), _read(state, blocks))


def _read(state: Any, blocks: Any) -> Any:
    return replace(state, block=blocks[-1].number) if blocks else state


@dataclass
class Rollout:
    """The controller at work, and what is seen of it from outside."""

    kubectl: Kubectl
    admin: Cluster
    cluster: Cluster
    history: MemoryHistory = field(default_factory=MemoryHistory)
    harm: bool = False
    hold: bool = False
    reports: list[TickReport] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)

    def tick(self) -> TickReport:
        evidence = MemoryEvidence(
            lambda _, number: CanaryBlock(number, 0.5, 0.5, Arm(), Arm()),
            lambda _, number: ShadowBlock(number, 0.5, PairSums(), PairSums(), Arm(), Arm()),
            self.history,
        )
        backend = Backend(
            router=KubernetesRouter(self.cluster, TEMPLATE, wait=False),
            fleet=KubernetesFleet(self.cluster),
            evidence=evidence,
            store=KubernetesStore(self.cluster),
            history=ToldHistory(self.history, KubernetesEvents(self.cluster)),
            comparisons=lambda *_: None,
            lease=KubernetesLease(self.cluster),
        )
        gates = Gates(_shadow, self._canary, _shadow, lambda *_: None)
        report = Controller(backend, lambda: datetime.now(UTC), gates).tick()
        assert report.problems == ()
        self.reports.append(report)
        if report.rollout is not None:
            self.versions.add(report.rollout.version)
        return report

    def until(self, true: Callable[[ModelRollout], Any]) -> "Rollout":
        deadline = time.monotonic() + SECONDS
        while not true(self.object()):
            assert time.monotonic() < deadline, self.object().status
            self.tick()
            time.sleep(0.2)
        return self

    def object(self) -> ModelRollout:
        return KubernetesStore(self.admin).read()

    def start(self, tag: str) -> None:
        store = KubernetesStore(self.admin)
        store.change_spec(wishes.start(store.read(), tag, self.asker(), PLAN, forced=False))

    def asker(self) -> Asker:
        return Asker("ann", "a test", datetime.now(UTC))

    def conditions(self) -> dict[str, Object]:
        shown = self.kubectl.get("modelrollout", NAME)["status"]["conditions"]
        return {each["type"]: each for each in shown}

    def kinds(self) -> Counter[str]:
        return Counter(event.kind for event in self.history.events())

    def _canary(self, state: Any, blocks: Any, plan: Plan, *, step: int | None, **_: Any) -> Decision[Any]:
        state = _read(state, blocks)
        if self.harm and blocks:
            return Decision("rollback", "errors", "too many errors", (), replace(state, failed="errors"))
        last = step == len(plan.canary.steps) - 1
        return Decision(
            "hold" if self.hold or not blocks else "promote" if last else "advance", None, "all is well", (), state
        )


def rights(namespace: str) -> list[Object]:
    """The controller's own, as they are shipped."""
    made = kustomized(str(GATEWAY.parent / "rollout-controller"))
    kept = [each for each in made if each["kind"] in ("ServiceAccount", "Role", "RoleBinding")]
    for each in kept:
        each["metadata"].pop("namespace", None)
        for subject in each.get("subjects", ()):
            subject["namespace"] = namespace
    return kept


@pytest.fixture
def rollout(namespace: Kubectl, real_cluster: Cluster) -> Rollout:
    namespace("delete", "deployments", "--all", "--wait", "--cascade=foreground")
    namespace("delete", "httproutes,modelrollouts,leases,events", "--all", "--wait")
    namespace.apply(rights(namespace.namespace))
    namespace.apply([small_deployment(role, (STABLE, NEW, BAD)) for role in SERVICES])
    fleet = KubernetesFleet(real_cluster)
    for role in SERVICES:
        fleet.scale(role, int(role == "stable"))
    fleet.assign("stable", STABLE)
    KubernetesRouter(real_cluster, TEMPLATE, wait=False).apply(Split(100, 0))
    api = client.ApiClient()
    api.set_default_header("Impersonate-User", f"system:serviceaccount:{namespace.namespace}:rollout-controller")  # type: ignore[no-untyped-call]
    return Rollout(namespace, real_cluster, Cluster(api, namespace.namespace))


@pytest.mark.timeout(400)
def test_a_good_model_is_promoted_and_kubectl_alone_tells_the_story(rollout: Rollout) -> None:
    rollout.until(lambda it: it.status.stable == STABLE)
    assert rollout.conditions()["Ready"]["status"] == "True"
    rollout.start(NEW)
    rollout.until(lambda it: it.status.attempt)
    waited = rollout.conditions()
    assert (waited["Progressing"]["status"], waited["Promoted"]["status"]) == ("True", "Unknown")
    rollout.until(lambda it: it.status.attempt and it.status.attempt.step == 1)
    head, row = rollout.kubectl("get", "modelrollouts").splitlines()
    assert dict(zip(head.split(), row.split(), strict=False))["WEIGHT"] == "50"
    rollout.until(lambda it: it.status.stable == NEW)
    rollout.kubectl("wait", "--for=condition=Promoted", "modelrollout", NAME, "--timeout=5s")
    rollout.kubectl("wait", "--for=condition=Progressing=False", "modelrollout", NAME, "--timeout=5s")
    described = rollout.kubectl("describe", "modelrollout", NAME)
    for words in ("Started", "Shadow", "ShadowPassed", "Step", "Verdict", "Promoting", "Promoted", "Ended"):
        assert f" {words} " in described, described
    told = rollout.kubectl.get("events", "--field-selector", f"involvedObject.name={NAME}")["items"]
    kinds = rollout.kinds()
    assert len(told) == sum(kinds.values()) - kinds["rollout.decision"]
    assert len(json.dumps(rollout.kubectl.get("modelrollout", NAME, "--show-managed-fields"))) < 200_000


@pytest.mark.timeout(400)
def test_a_bad_model_is_rolled_back_and_banned_and_its_condition_says_by_what(rollout: Rollout) -> None:
    rollout.harm = True
    rollout.until(lambda it: it.status.stable == STABLE)
    rollout.start(BAD)
    rollout.until(lambda it: it.status.last)
    rollout.kubectl("wait", "--for=condition=RolledBack", "modelrollout", NAME, "--timeout=5s")
    found = rollout.conditions()["RolledBack"]
    assert "errors" in found["message"]
    assert KubernetesRouter(rollout.admin, TEMPLATE).current() == Split(100, 0)
    row = rollout.kubectl("get", "modelrollouts", "-o", "jsonpath={.items[0].status.verdict}")
    assert row == "rolled back (errors)"


@pytest.mark.timeout(400)
def test_an_object_that_is_deleted_in_a_canary_is_made_again_from_what_runs(rollout: Rollout) -> None:
    rollout.until(lambda it: it.status.stable == STABLE)
    rollout.start(NEW)
    rollout.until(lambda it: it.status.attempt and it.status.attempt.step == 0)
    rollout.kubectl("delete", "modelrollout", NAME)
    rollout.until(lambda it: it.status.stable == STABLE)
    assert rollout.object().status.attempt is None
    assert KubernetesRouter(rollout.admin, TEMPLATE).current() == Split(100, 0)
    rollout.until(lambda _: rollout.reports[-1].copies and rollout.reports[-1].copies["canary"].wanted == 0)
    rollout.start(NEW)
    rollout.until(lambda it: it.status.attempt and it.status.attempt.shadow_since)


@pytest.mark.timeout(400)
def test_what_is_edited_by_hand_in_a_canary_is_put_right_and_told(rollout: Rollout) -> None:
    rollout.until(lambda it: it.status.stable == STABLE)
    rollout.start(NEW)
    rollout.until(lambda it: it.status.attempt and it.status.attempt.step == 0)
    rollout.hold = True
    # As `kubectl edit` does: rules that hold no split.
    route = rollout.kubectl.get("httproute", "scorer")
    route["spec"]["rules"][0]["backendRefs"].pop(0)
    rollout.kubectl("replace", "-f", "-", given=yaml.safe_dump(route).encode())
    rollout.tick()
    assert KubernetesRouter(rollout.admin, TEMPLATE).current() == Split(95, 5)
    rollout.kubectl("scale", "deployment", "scorer-canary", "--replicas=0")
    rollout.until(lambda _: rollout.kinds()["rollout.corrected"] == 2)
    rollout.until(lambda it: it.status.attempt and it.status.attempt.suspended is None)
    rollout.tick()
    assert rollout.reports[-1].split == Split(95, 5)
    assert rollout.reports[-1].copies["canary"].wanted == 1  # type: ignore[index]
    assert rollout.object().status.attempt is not None
    assert rollout.object().status.last is None


@pytest.mark.timeout(400)
def test_while_nothing_happens_hardly_anything_is_written(rollout: Rollout) -> None:
    rollout.until(lambda it: it.status.stable == STABLE)
    rollout.tick()
    rollout.versions.clear()
    began = datetime.now(UTC)
    while datetime.now(UTC) - began < timedelta(seconds=20):
        rollout.tick()
    assert len(rollout.reports) > 20
    assert len(rollout.versions) <= 2


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("patch", "modelrollouts/scorer"),
        ("update", "modelrollouts/scorer"),
        ("delete", "modelrollouts/scorer"),
        ("get", "secrets/prediction-store-owner"),
        ("list", "secrets"),
        ("list", "deployments"),
        ("patch", "deployments/another"),
        ("delete", "deployments/scorer-stable"),
        ("create", "deployments"),
        ("patch", "httproutes/another"),
        ("delete", "httproutes/scorer"),
        ("delete", "pods"),
        ("create", "pods"),
        ("get", "configmaps/another"),
        ("update", "leases/another"),
        ("delete", "events"),
        ("create", "jobs"),
        ("list", "nodes"),
    ],
)
def test_what_is_not_in_the_list_of_its_rights_is_denied(namespace: Kubectl, verb: str, what: str) -> None:
    namespace.apply(rights(namespace.namespace))
    account = f"system:serviceaccount:{namespace.namespace}:rollout-controller"
    assert namespace("auth", "can-i", "get", f"modelrollouts/{NAME}", "--as", account).strip() == "yes"
    with pytest.raises(RefusedError):
        namespace("auth", "can-i", verb, what, "--as", account)


def test_every_kind_of_ours_is_in_the_api(real_cluster: Cluster) -> None:
    for kind in Kind:
        assert isinstance(real_cluster.with_fields(kind, {"metadata.name": "none"}), list)

"""What somebody else changes in a cluster by hand is seen, and applying again puts it right."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from k8s.local.gateway_manifests import GATEWAY, read
from k8s.rollout.kubernetes_api import Cluster, Kind, Object
from k8s.rollout.kubernetes_fleet import ROLE, TAG, KubernetesFleet
from k8s.rollout.kubernetes_router import KubernetesRouter
from k8s.rollout.routers import SERVICES, Role, Split
from tests.doubles.memory_cluster import MemoryCluster
from tests.e2e.kubectl import Kubectl

TEMPLATE = read(GATEWAY / "httproute.yaml")
ONE, OTHER = "risk_scorer:aaaaaaaaaaaa", "risk_scorer:bbbbbbbbbbbb"


@dataclass(frozen=True)
class Place:
    """A namespace with the three Deployments, as `kubectl apply` makes them, and whatever else a test needs of it."""

    cluster: Cluster
    delete: Callable[[str, str], Any]

    def router(self, template: Object = TEMPLATE) -> KubernetesRouter:
        return KubernetesRouter(self.cluster, template, wait=False)

    def fleet(self) -> KubernetesFleet:
        return KubernetesFleet(self.cluster)

    def route(self) -> Object:
        return self.cluster.get(Kind.ROUTES, "scorer")

    def edit_route(self, **spec: Any) -> None:
        """As somebody does who takes the field for their own."""
        content = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "scorer"},
            "spec": spec,
        }
        self.cluster.apply(Kind.ROUTES, content, "somebody")

    def edit_deployment(self, role: Role, spec: Object) -> None:
        content = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": SERVICES[role]}, "spec": spec}
        self.cluster.apply(Kind.DEPLOYMENTS, content, "somebody")


def deployment(role: Role) -> Object:
    """As `k8s/base` has it, without a number of copies; and no node has room for them: nothing of it ever runs."""
    labels = {ROLE: role}
    container = {"name": "scorer", "image": "none:none"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": SERVICES[role], "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "nodeSelector": {"vigil.dev/none": "none"}},
            },
        },
    }


@pytest.fixture(params=["kubernetes objects", pytest.param("cluster", marks=pytest.mark.cluster)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "cluster":
        kubectl, cluster = request.getfixturevalue("namespace"), request.getfixturevalue("real_cluster")
        kubectl("delete", "httproutes,deployments", "--all", "--wait")
        made = Place(cluster, lambda kind, name: kubectl("delete", kind, name))
    else:
        memory: Any = MemoryCluster()
        made = Place(memory, lambda _, name: memory.delete(Kind.ROUTES, name))
    for role in SERVICES:
        made.cluster.create(Kind.DEPLOYMENTS, deployment(role))
        made.fleet().scale(role, 0)  # as bootstrap does: whoever makes a Deployment owns its default number of copies
    return made


def rules(stable: int, canary: int) -> list[Any]:
    backends = [{"name": SERVICES["stable"], "port": 3000, "weight": stable}]
    return [{"backendRefs": [*backends, {"name": SERVICES["canary"], "port": 3000, "weight": canary}]}]


def test_what_we_applied_is_as_it_was(place: Place) -> None:
    place.router().apply(Split(75, 25))
    place.router().apply(Split(50, 50))
    assert place.router().altered() == ""


def test_weights_by_hand_are_seen_and_put_right(place: Place) -> None:
    place.router().apply(Split(75, 25))
    before = place.route()["spec"]
    place.edit_route(rules=rules(40, 60))
    assert place.router().current() == Split(40, 60)
    assert "somebody else changed" in place.router().altered()
    place.router().apply(Split(75, 25))
    assert (place.router().altered(), place.route()["spec"]) == ("", before)


@pytest.mark.parametrize("foreign", [rules(70, 20), [*rules(50, 50), *rules(100, 0)]])
def test_rules_that_hold_no_split_count_as_the_one_that_was_applied(place: Place, foreign: list[Any]) -> None:
    place.router().apply(Split(75, 25))
    place.edit_route(rules=foreign)
    assert place.router().current() == Split(75, 25)
    assert place.router().altered()
    place.router().apply(Split(75, 25))
    assert place.router().altered() == ""


def test_a_route_that_is_gone_has_the_templates_split_and_is_made_again(place: Place) -> None:
    place.router().apply(Split(75, 25))
    place.delete("httproute", "scorer")
    assert place.router().current() == Split(100, 0)
    assert "is not there" in place.router().altered()
    place.router().apply(Split(100, 0))
    assert place.router().altered() == ""


def test_a_new_template_is_to_be_applied(place: Place) -> None:
    place.router().apply(Split(75, 25))
    rule = {**TEMPLATE["spec"]["rules"][0], "timeouts": {"request": "7s"}}
    newer = {**TEMPLATE, "spec": {**TEMPLATE["spec"], "rules": [rule]}}
    assert "template" in place.router(newer).altered()
    place.router(newer).apply(Split(75, 25))
    assert place.router(newer).altered() == ""
    assert place.route()["spec"]["rules"][0]["timeouts"] == {"request": "7s"}


def test_what_nobody_but_us_wrote_is_not_altered(place: Place) -> None:
    fleet = place.fleet()
    fleet.assign("canary", ONE)
    fleet.scale("canary", 0)
    assert not any(copies.altered for copies in fleet.look().values())


def test_copies_by_hand_are_seen_until_we_want_a_number_again(place: Place) -> None:
    fleet = place.fleet()
    fleet.assign("canary", ONE)
    fleet.scale("canary", 1)
    place.edit_deployment("canary", {"replicas": 3})
    assert (fleet.look()["canary"].wanted, fleet.look()["canary"].altered) == (3, {"copies"})
    fleet.scale("canary", 3)
    assert fleet.look()["canary"].altered == set()
    place.edit_deployment("canary", {"replicas": 0})
    fleet.scale("canary", 1)
    assert (fleet.look()["canary"].wanted, fleet.look()["canary"].altered) == (1, set())


@pytest.mark.cluster
@pytest.mark.parametrize("place", ["cluster"], indirect=True)
@pytest.mark.parametrize("copies", [0, 3])
def test_copies_by_kubectl_scale_are_seen(place: Place, namespace: Kubectl, copies: int) -> None:
    fleet = place.fleet()
    fleet.scale("canary", 1)
    namespace("scale", "deployment", "scorer-canary", f"--replicas={copies}")
    assert (fleet.look()["canary"].wanted, fleet.look()["canary"].altered) == (copies, {"copies"})
    fleet.scale("canary", 1)
    assert fleet.look()["canary"].altered == set()


def test_a_model_by_hand_is_seen_and_put_right_or_taken_away(place: Place) -> None:
    fleet = place.fleet()
    fleet.assign("canary", ONE)
    for ended in (ONE, None):
        place.edit_deployment("canary", {"template": {"metadata": {"annotations": {TAG: OTHER}}}})
        assert (fleet.look()["canary"].tag, fleet.look()["canary"].altered) == (OTHER, {"tag"})
        fleet.assign("canary", ended)
        assert (fleet.look()["canary"].tag, fleet.look()["canary"].altered) == (ended, set())

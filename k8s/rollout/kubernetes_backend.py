"""The rollout's world of a cluster: its Deployments, its HTTPRoute, its Lease.

Weights are set in it by hand, with `vigil rollout split`. The rollout's object, its evidence and its history are kept
for a controller, and no controller runs in clusters yet: what asks for them is told so.
"""

from typing import Any, Final, NoReturn

import yaml

from k8s.rollout.backend import Backend
from k8s.rollout.errors import FileError, NotRunningError
from k8s.rollout.kubernetes_api import AbsentError, Cluster, ClusterError, Kind, connect
from k8s.rollout.kubernetes_fleet import KubernetesFleet
from k8s.rollout.kubernetes_lease import KubernetesLease
from k8s.rollout.kubernetes_router import KubernetesRouter
from k8s.rollout.routers import Route, RouterError, split_of

TEMPLATE: Final = "route-template"
"""The ConfigMap that holds `k8s/base/gateway/httproute.yaml`."""


class _Absent:
    """A part that a cluster does not have: every use of it raises NotRunningError."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __getattr__(self, name: str) -> NoReturn:
        raise NotRunningError(f"no controller runs in {self._place} yet: set weights with `vigil rollout split`")

    def __call__(self, *_: object) -> NoReturn:
        raise NotRunningError(f"no controller runs in {self._place} yet: set weights with `vigil rollout split`")


def backend(namespace: str) -> Backend:
    """The world of a namespace of the cluster that KUBECONFIG, or the pod, names. Raises RolloutError."""
    try:
        cluster = connect(namespace)
        router = KubernetesRouter(cluster, template(cluster))
    except ClusterError as error:
        raise NotRunningError(str(error)) from error
    place = f"namespace {cluster.namespace} of {cluster.api.configuration.host}"
    absent: Any = _Absent(place)
    return Backend(
        router=router,
        fleet=KubernetesFleet(cluster),
        evidence=absent,
        store=absent,
        history=absent,
        comparisons=absent,
        lease=KubernetesLease(cluster),
        place=place,
    )


def template(cluster: Cluster) -> Route:
    """The template of the route, as it was deployed. Raises ClusterError, FileError."""
    try:
        content = cluster.get(Kind.CONFIG_MAPS, TEMPLATE)["data"]["httproute.yaml"]
    except AbsentError as error:
        raise AbsentError(f"Vigil is not in namespace {cluster.namespace}: apply an overlay first ({error})") from error
    try:
        route: Route = yaml.safe_load(content)
        split_of(route)
    except (yaml.YAMLError, RouterError) as error:
        raise FileError(f"ConfigMap {TEMPLATE} of namespace {cluster.namespace} holds no route: {error}") from error
    return route

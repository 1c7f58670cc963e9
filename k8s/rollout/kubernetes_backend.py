"""The rollout's world of a cluster: its ModelRollout, Deployments, HTTPRoute, Lease, prediction store and proxies.

A person who has a KUBECONFIG can see and ask for everything without the prediction store: what happened lately is
told by the cluster's Events. The whole history, and a controller, need the store (ROLLOUT_DATABASE_DSN).
"""

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import yaml

from k8s.rollout.backend import Backend
from k8s.rollout.custom_resource import NAME
from k8s.rollout.envoy_stats import EnvoyGateway, by_name
from k8s.rollout.errors import FileError, NotRunningError
from k8s.rollout.history import HistoryError, PostgresHistory
from k8s.rollout.kubernetes_api import AbsentError, Cluster, ClusterError, Kind, connect
from k8s.rollout.kubernetes_changes import KubernetesChanges
from k8s.rollout.kubernetes_events import KubernetesEvents, ToldHistory
from k8s.rollout.kubernetes_fleet import KubernetesFleet
from k8s.rollout.kubernetes_lease import KubernetesLease
from k8s.rollout.kubernetes_router import KubernetesRouter
from k8s.rollout.kubernetes_store import KubernetesStore
from k8s.rollout.model_rollout import Event
from k8s.rollout.routers import SERVICES, Role, Route, RouterError, split_of
from k8s.rollout.settings import Settings
from k8s.rollout.store_comparisons import store_comparisons
from k8s.rollout.store_evidence import StoreEvidence
from k8s.rollout.store_session import StoreSession

TEMPLATE: Final = "route-template"
"""The ConfigMap that holds `k8s/base/gateway/httproute.yaml`."""


class _Missing:
    """A part that was not named: every use of it raises `error`."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> NoReturn:
        raise self._error

    def __call__(self, *_: object) -> NoReturn:
        raise self._error


def backend(settings: Settings) -> Backend:
    """The world of a namespace of the cluster that KUBECONFIG, or the pod, names. Raises RolloutError."""
    try:
        cluster = connect(settings.namespace)
        route = template(cluster)
    except ClusterError as error:
        raise NotRunningError(str(error)) from error
    events, changes = KubernetesEvents(cluster), KubernetesChanges(cluster, watched(route))
    lacks = _lacks(cluster.namespace)
    absent: Any = _Missing(NotRunningError(lacks))
    history: Any = _Missing(HistoryError(lacks))
    found = Backend(
        router=KubernetesRouter(cluster, route),
        fleet=KubernetesFleet(cluster),
        evidence=absent,
        store=KubernetesStore(cluster),
        history=history,
        comparisons=absent,
        lease=KubernetesLease(cluster),
        changes=changes,
        recent=lambda most: _newest(events, most),
        lacks=lacks,
        place=f"namespace {cluster.namespace} of {cluster.api.configuration.host}",
        close=changes.close,
    )
    if settings.database_dsn is None:
        return found
    return _with_store(found, settings.database_dsn.get_secret_value(), settings, events, route)


def watched(route: Route) -> list[tuple[Kind, str]]:
    """What a controller is woken by."""
    deployments = [(Kind.DEPLOYMENTS, name) for name in SERVICES.values()]
    return [(Kind.ROLLOUTS, NAME), (Kind.ROUTES, route["metadata"]["name"]), *deployments]


def proxied(namespace: str, route: str) -> dict[str, Role]:
    """What Envoy Gateway calls the clusters of the route's one rule, each with its role."""
    rule = f"httproute/{namespace}/{route}/rule/0"
    return {f"{rule}/backend/0": "stable", f"{rule}/backend/1": "canary", f"{rule}-mirror-0": "shadow"}


def _with_store(found: Backend, dsn: str, settings: Settings, events: KubernetesEvents, route: Route) -> Backend:
    """The same with the history and the comparisons; with the evidence, too, when the proxies were named."""
    with ExitStack() as opened:
        opened.callback(found.close)
        history, session = PostgresHistory(dsn), StoreSession(dsn)
        opened.callback(history.close)
        opened.callback(session.close)
        parts: dict[str, Any] = {
            "history": ToldHistory(history, events),
            "comparisons": store_comparisons(session),
            "recent": None,
            "lacks": "a controller reads the gateway's counters: set ROLLOUT_GATEWAY_STATS to their name:port",
        }
        if settings.gateway_stats is not None:
            host, _, port = settings.gateway_stats.rpartition(":")
            clusters = proxied(settings.namespace, route["metadata"]["name"])
            gateway = EnvoyGateway(by_name(host, int(port)), clusters, _now)
            evidence = StoreEvidence(dsn, gateway, _now)
            opened.callback(gateway.close)
            opened.callback(evidence.close)
            parts |= {"evidence": evidence, "lacks": ""}
        return replace(found, **parts, close=opened.pop_all().close)


def _newest(events: KubernetesEvents, most: int) -> list[Event]:
    try:
        return events.newest(most)
    except ClusterError as error:
        raise HistoryError(str(error)) from error


def _lacks(namespace: str) -> str:
    return (
        f"this needs the prediction store: `kubectl -n {namespace} port-forward service/prediction-store 15432:5432`, "
        "and ROLLOUT_DATABASE_DSN=postgresql://rollout:PASSWORD@127.0.0.1:15432/vigil with the password of the Secret "
        "prediction-store-rollout"
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


def _now() -> datetime:
    return datetime.now(UTC)

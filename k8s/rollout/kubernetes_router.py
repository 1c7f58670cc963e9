"""The router of a cluster: one HTTPRoute, applied whole from the template of `k8s/base/gateway`.

Rules and backendRefs are atomic lists, so the object has one owner: whoever holds the rollout's lease.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from k8s.rollout.kubernetes_api import AbsentError, Cluster, ClusterError, Kind
from k8s.rollout.routers import NotInForceError, Route, RouteError, RouterError, Split, split_of, with_split

APPLY_SECONDS: Final = 20.0
"""Envoy Gateway accepts a route within a second or two; a cluster that is busy with something else may take longer."""

_MANAGER: Final = "vigil-router"
_POLL_SECONDS: Final = 0.2


class KubernetesRouter:
    """A Router whose object is the HTTPRoute that `template` names.

    `apply` returns once the gateway has accepted the route; with `wait=False`, once it is written (where there is no
    gateway). Envoy itself follows within about three seconds.
    """

    def __init__(
        self,
        cluster: Cluster,
        template: Route,
        *,
        wait: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._template = template
        self._name: str = template["metadata"]["name"]
        self._wait = wait
        self._clock = clock

    def apply(self, split: Split) -> None:
        """Raises RouterError when the API server refuses, NotInForceError when no gateway accepts it in time."""
        try:
            written = self._cluster.apply(Kind.ROUTES, with_split(self._template, split), _MANAGER)
            if self._wait:
                self._wait_for(written["metadata"]["generation"])
        except ClusterError as error:
            raise RouterError(str(error)) from error

    def current(self) -> Split:
        """The split in the HTTPRoute; the template's while there is none."""
        try:
            return split_of(self._cluster.get(Kind.ROUTES, self._name))
        except AbsentError:
            return split_of(self._template)
        except ClusterError as error:
            raise RouterError(str(error)) from error

    def exists(self) -> bool:
        """Whether there is a route at all. Raises RouterError."""
        try:
            self._cluster.get(Kind.ROUTES, self._name)
        except AbsentError:
            return False
        except ClusterError as error:
            raise RouterError(str(error)) from error
        return True

    def _wait_for(self, generation: int) -> None:
        deadline = self._clock() + APPLY_SECONDS
        while problem := _refused(self._cluster.get(Kind.ROUTES, self._name), generation):
            if self._clock() > deadline:
                raise NotInForceError(
                    f"the gateway did not accept HTTPRoute {self._name} within {APPLY_SECONDS:g} s: {problem}"
                )
            time.sleep(_POLL_SECONDS)


def template(file: Path) -> Route:
    """The template of the route, as `k8s/base/gateway/httproute.yaml` is. Raises RouteError."""
    try:
        parsed: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise RouteError(f"the template of the HTTPRoute can't be read from {file}: {error}") from error
    if not isinstance(parsed, dict) or "metadata" not in parsed:
        raise RouteError(f"{file} holds no HTTPRoute")
    split_of(parsed)
    return parsed


def _refused(route: Route, generation: int) -> str:
    """Why this generation of the route is not in force; '' when every gateway of it has accepted it."""
    parents = route.get("status", {}).get("parents", [])
    if not parents:
        return "no gateway has looked at it: is Envoy Gateway running, and is there a Gateway of that name?"
    for parent in parents:
        for condition in parent.get("conditions", []):
            if condition.get("observedGeneration", 0) < generation:
                return "the gateway has not looked at it yet"
            if condition["status"] != "True":
                return f"{condition['type']} is {condition['status']}: {condition.get('message', '')}"
    return ""

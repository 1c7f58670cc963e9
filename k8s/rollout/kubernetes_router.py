"""The router of a cluster: one HTTPRoute, applied whole from the template of `k8s/base/gateway`.

Rules and backendRefs are atomic lists, so the object has one owner: whoever holds the rollout's lease. It bears two
annotations: the split that was applied, which counts where somebody else made the rules into something that holds none,
and the template's hash, so that a new template is applied without waiting for the next change of a weight.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from k8s.rollout.kubernetes_api import AbsentError, Cluster, ClusterError, Kind, owners
from k8s.rollout.routers import NotInForceError, Route, RouteError, RouterError, Split, split_of, with_split

APPLY_SECONDS: Final = 20.0
"""Envoy Gateway accepts a route within a second or two; a cluster that is busy with something else may take longer."""

FOLLOW_SECONDS: Final = 2.0
"""Proxies have what was accepted within this time; three seconds at the very most."""

TRACE: Final = (9_999, 1)
"""Weights of who has the traffic and of who comes or goes: one entity in 10,000 for `FOLLOW_SECONDS`."""

_MANAGER: Final = "vigil-router"
_SPLIT: Final = "vigil.dev/split"
_TEMPLATE: Final = "vigil.dev/template"
_POLL_SECONDS: Final = 0.2


class KubernetesRouter:
    """A Router whose object is the HTTPRoute that `template` names.

    `apply` returns once the gateway has accepted the route; with `wait=False`, once it is written (where there is no
    gateway). Envoy itself follows within about three seconds.

    Envoy Gateway takes the cluster of a backend without weight away before its proxies have the route that no longer
    names it, and may give them a route before the cluster that it names: what they send there in that moment is
    answered 500. So whoever comes from no weight at all begins with a trace of it, and whoever loses all of it keeps
    a trace, until the proxies have followed.
    """

    def __init__(
        self,
        cluster: Cluster,
        template: Route,
        *,
        wait: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._cluster = cluster
        self._template = template
        self._name: str = template["metadata"]["name"]
        self._hash = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16]
        self._wait = wait
        self._clock = clock
        self._sleep = sleep

    def apply(self, split: Split) -> None:
        """Raises RouterError when the API server refuses, NotInForceError when no gateway accepts it in time."""
        before = self.current()
        for weights in _between(before, split) if self._wait else ():
            self._write(_on_the_way(self._annotated(split), weights, before))
            self._sleep(FOLLOW_SECONDS)
        self._write(self._annotated(split))

    def _write(self, route: Route) -> None:
        try:
            written = self._cluster.apply(Kind.ROUTES, route, _MANAGER)
            if self._wait:
                self._wait_for(written["metadata"]["generation"])
        except ClusterError as error:
            raise RouterError(str(error)) from error

    def current(self) -> Split:
        """The split in the HTTPRoute; the template's while there is none, or none that could be read or remembered."""
        found = self._get()
        if found is None:
            return split_of(self._template)
        try:
            return split_of(found)
        except RouterError:
            return _remembered(found) or split_of(self._template)

    def altered(self) -> str:
        found = self._get()
        if found is None:
            return f"HTTPRoute {self._name} is not there"
        if any(_MANAGER not in owners(found, "spec", field) for field in self._template["spec"]):
            return f"somebody else changed HTTPRoute {self._name}"
        if found["metadata"].get("annotations", {}).get(_TEMPLATE) != self._hash:
            return f"HTTPRoute {self._name} is not of the template that is deployed now"
        return ""

    def exists(self) -> bool:
        """Whether there is a route at all. Raises RouterError."""
        return self._get() is not None

    def _get(self) -> Route | None:
        try:
            return self._cluster.get(Kind.ROUTES, self._name)
        except AbsentError:
            return None
        except ClusterError as error:
            raise RouterError(str(error)) from error

    def _annotated(self, split: Split) -> Route:
        route = with_split(self._template, split)
        metadata = route["metadata"]
        words = {_SPLIT: _told(split), _TEMPLATE: self._hash}
        return {**route, "metadata": {**metadata, "annotations": metadata.get("annotations", {}) | words}}

    def _wait_for(self, generation: int) -> None:
        deadline = self._clock() + APPLY_SECONDS
        while problem := _refused(self._cluster.get(Kind.ROUTES, self._name), generation):
            if self._clock() > deadline:
                raise NotInForceError(
                    f"the gateway did not accept HTTPRoute {self._name} within {APPLY_SECONDS:g} s: {problem}"
                )
            self._sleep(_POLL_SECONDS)


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


def _between(before: Split, after: Split) -> Iterator[tuple[int, int]]:
    """Weights of stable and canary on the way: a trace first for who had none, a trace last for who will have none."""
    most, least = TRACE
    if after.canary and not before.canary:
        yield most, least
    if after.stable and not before.stable:
        yield least, most
    if before.stable and not after.stable:
        yield least, most
    if before.canary and not after.canary:
        yield most, least


def _on_the_way(route: Route, weights: tuple[int, int], before: Split) -> Route:
    """The route with these weights. As long as the next one is not in force, what was before is the split."""
    for reference, weight in zip(route["spec"]["rules"][0]["backendRefs"], weights, strict=True):
        reference["weight"] = weight
    route["metadata"]["annotations"][_SPLIT] = _told(before)
    return route


def _told(split: Split) -> str:
    return f"{split.stable},{split.canary},{split.mirror}"


def _remembered(route: Route) -> Split | None:
    """The split that was applied last, as the route's annotation says; None: it says none."""
    words = route["metadata"].get("annotations", {}).get(_SPLIT, "")
    try:
        return Split(*map(int, words.split(",")))
    except (TypeError, ValueError):
        return None


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

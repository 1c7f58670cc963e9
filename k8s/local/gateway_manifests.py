"""The part of the gateway's manifests that the local Envoy honours, read strictly.

The local stack takes its routes from `k8s/base/gateway`, the files that a cluster gets. Whatever these say and this
module does not know is an error: a route that works here and means something else in the cluster is worse than none.

    ManifestError   a file is missing, no YAML, or says something that the local Envoy would not do
"""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

GATEWAY: Final = Path(__file__).parents[1] / "base" / "gateway"

_DURATION: Final = re.compile(r"(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}")
_DURATION_PART: Final = re.compile(r"([0-9]+)(ms|h|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class ManifestError(Exception):
    """A manifest is missing, no YAML, or says something that the local Envoy would not do."""


def seconds(duration: str) -> float:
    """A Gateway API duration ("5s", "1m30s", "250ms") in seconds. Raises ValueError for anything else."""
    if not _DURATION.fullmatch(duration):
        raise ValueError(f"{duration!r} is no duration of the Gateway API, such as 5s or 250ms")
    return sum(int(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(duration))


def _checked(duration: str) -> str:
    seconds(duration)
    return duration


Duration = Annotated[str, AfterValidator(_checked)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Metadata(BaseModel):
    """Names, labels and annotations say nothing about the traffic: only the name is kept."""

    name: str


class HeaderValue(_Strict):
    name: str
    value: str


class HeaderModifier(_Strict):
    set: list[HeaderValue]


class BackendFilter(_Strict):
    type: Literal["RequestHeaderModifier"]
    requestHeaderModifier: HeaderModifier  # noqa: N815 - the API's own name


class ServiceReference(_Strict):
    group: Literal[""] = ""
    kind: Literal["Service"] = "Service"
    name: str
    port: int


class WeightedBackend(ServiceReference):
    weight: int = 1
    # One at least: without it, Envoy Gateway's hash ignores the weights, which the local Envoy would not show.
    filters: list[BackendFilter] = Field(min_length=1)


class PathMatch(_Strict):
    type: Literal["PathPrefix", "Exact"]
    value: str = Field(pattern="^/")


class Match(_Strict):
    path: PathMatch


class Mirror(_Strict):
    backendRef: ServiceReference  # noqa: N815 - the API's own name
    percent: int = 100


class RuleFilter(_Strict):
    type: Literal["RequestMirror"]
    requestMirror: Mirror  # noqa: N815 - the API's own name


class RuleTimeouts(_Strict):
    request: Duration


class Rule(_Strict):
    matches: list[Match] = Field(min_length=1)
    filters: list[RuleFilter] = []
    timeouts: RuleTimeouts
    backendRefs: list[WeightedBackend] = Field(min_length=1)  # noqa: N815 - the API's own name


class ParentReference(_Strict):
    name: str


class RouteSpec(_Strict):
    parentRefs: list[ParentReference]  # noqa: N815 - the API's own name
    rules: list[Rule] = Field(min_length=1, max_length=1)


class HTTPRoute(_Strict):
    apiVersion: Literal["gateway.networking.k8s.io/v1"]  # noqa: N815 - the API's own name
    kind: Literal["HTTPRoute"]
    metadata: Metadata
    spec: RouteSpec

    @property
    def rule(self) -> Rule:
        """The one rule."""
        return self.spec.rules[0]


class HashHeader(_Strict):
    name: str


class ConsistentHash(_Strict):
    type: Literal["Header"]
    header: HashHeader


class LoadBalancer(_Strict):
    type: Literal["ConsistentHash"]
    consistentHash: ConsistentHash  # noqa: N815 - the API's own name


class TCPTimeout(_Strict):
    connectTimeout: Duration  # noqa: N815 - the API's own name


class HTTPTimeout(_Strict):
    connectionIdleTimeout: Duration  # noqa: N815 - the API's own name


class PolicyTimeouts(_Strict):
    tcp: TCPTimeout
    http: HTTPTimeout


class CircuitBreaker(_Strict):
    maxConnections: int  # noqa: N815 - the API's own name
    maxParallelRequests: int  # noqa: N815 - the API's own name
    maxPendingRequests: int  # noqa: N815 - the API's own name


class TargetReference(_Strict):
    group: Literal["gateway.networking.k8s.io"]
    kind: Literal["HTTPRoute"]
    name: str


class PolicySpec(_Strict):
    targetRefs: list[TargetReference] = Field(min_length=1, max_length=1)  # noqa: N815 - the API's own name
    loadBalancer: LoadBalancer  # noqa: N815 - the API's own name
    timeout: PolicyTimeouts
    circuitBreaker: CircuitBreaker  # noqa: N815 - the API's own name


class BackendTrafficPolicy(_Strict):
    apiVersion: Literal["gateway.envoyproxy.io/v1alpha1"]  # noqa: N815 - the API's own name
    kind: Literal["BackendTrafficPolicy"]
    metadata: Metadata
    spec: PolicySpec

    @property
    def hash_header(self) -> str:
        """The header whose value keeps an entity with its backend."""
        return self.spec.loadBalancer.consistentHash.header.name


def read(path: Path) -> dict[str, Any]:
    """A manifest as the API would give it. Raises ManifestError."""
    try:
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise ManifestError(f"{path} can't be read: {problem}") from problem
    if not isinstance(manifest, dict):
        raise ManifestError(f"{path} holds {type(manifest).__name__}; expected one Kubernetes object")
    return manifest


def http_route(manifest: dict[str, Any]) -> HTTPRoute:
    """The route, with nothing in it that would be ignored here. Raises ManifestError naming what is unknown."""
    try:
        return HTTPRoute.model_validate(manifest)
    except ValidationError as problem:
        raise ManifestError(_explain("HTTPRoute", problem)) from problem


def traffic_policy(manifest: dict[str, Any], route: HTTPRoute) -> BackendTrafficPolicy:
    """The policy of `route`, with nothing in it that would be ignored here. Raises ManifestError."""
    try:
        policy = BackendTrafficPolicy.model_validate(manifest)
    except ValidationError as problem:
        raise ManifestError(_explain("BackendTrafficPolicy", problem)) from problem
    target = policy.spec.targetRefs[0].name
    if target != route.metadata.name:
        raise ManifestError(
            f"the BackendTrafficPolicy is for HTTPRoute {target!r}, the route is {route.metadata.name!r}"
        )
    return policy


def _explain(kind: str, problem: ValidationError) -> str:
    places = [f"{'.'.join(str(step) for step in each['loc'])}: {each['msg']}" for each in problem.errors()]
    return f"the local Envoy can't do what this {kind} says: {'; '.join(places)}"

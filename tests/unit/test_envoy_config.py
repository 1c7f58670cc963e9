"""Manifests to Envoy's configuration: what is there is honoured, what is unknown is refused."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.local import envoy
from k8s.local.gateway_manifests import GATEWAY, ManifestError, http_route, read, seconds, traffic_policy
from k8s.rollout.routers import ENTITY_HEADER, SERVICES, Split, with_split

TEMPLATE = read(GATEWAY / "httproute.yaml")
POLICY_TEMPLATE = read(GATEWAY / "backendtrafficpolicy.yaml")
POLICY = traffic_policy(POLICY_TEMPLATE, http_route(TEMPLATE))


def _routes(split: Split) -> list[dict[str, Any]]:
    discovery = envoy.route_discovery(http_route(with_split(TEMPLATE, split)), POLICY)
    routes: list[dict[str, Any]] = discovery["resources"][0]["virtual_hosts"][0]["routes"]
    return routes


def test_the_paths_are_those_of_the_manifest() -> None:
    assert [each["match"] for each in _routes(Split(100, 0))] == [
        {"path_separated_prefix": "/score"},
        {"path": "/openapi.json"},
    ]


def test_both_weights_are_written_stable_first_and_the_hash_decides() -> None:
    for each in _routes(Split(75, 25)):
        weighted = each["route"]["weighted_clusters"]
        assert [(cluster["name"], cluster["weight"]) for cluster in weighted["clusters"]] == [
            ("scorer-stable", 75),
            ("scorer-canary", 25),
        ]
        assert weighted["use_hash_policy"] is True
        assert each["route"]["hash_policy"] == [{"header": {"header_name": "x-entity-id"}}]


def test_the_split_is_by_the_header_that_clients_send() -> None:
    assert POLICY.hash_header == ENTITY_HEADER


def test_each_backend_sets_its_own_header() -> None:
    clusters = _routes(Split(75, 25))[0]["route"]["weighted_clusters"]["clusters"]
    added = [each["request_headers_to_add"][0]["header"] for each in clusters]
    assert added == [{"key": "x-vigil-backend", "value": "stable"}, {"key": "x-vigil-backend", "value": "canary"}]


def test_nothing_is_ever_retried() -> None:
    assert "retry" not in str(_routes(Split(50, 50, 100)))


def test_the_timeout_is_the_manifests() -> None:
    route = copy.deepcopy(TEMPLATE)
    route["spec"]["rules"][0]["timeouts"]["request"] = "1m250ms"
    discovery = envoy.route_discovery(http_route(route), POLICY)
    assert discovery["resources"][0]["virtual_hosts"][0]["routes"][0]["route"]["timeout"] == "60.250s"


def test_the_version_follows_the_content() -> None:
    def version(split: Split) -> str:
        return str(envoy.route_discovery(http_route(with_split(TEMPLATE, split)), POLICY)["version_info"])

    assert version(Split(50, 50)) == version(Split(50, 50)) != version(Split(50, 50, 1))


def test_clusters_follow_the_policy(tmp_path: Path) -> None:
    watched = envoy.Watched(tmp_path / "routes.json", {name: tmp_path / name for name in SERVICES.values()})
    built = envoy.bootstrap(envoy.Ports(1, 2), watched, POLICY)
    clusters = built["static_resources"]["clusters"]
    assert [each["name"] for each in clusters] == list(SERVICES.values())
    assert {each["connect_timeout"] for each in clusters} == {"1.000s"}
    assert "'idle_timeout': '3.000s'" in str(clusters)
    assert clusters[0]["circuit_breakers"]["thresholds"][0]["max_requests"] == 10000


def test_everything_listens_on_the_loopback_interface_only(tmp_path: Path) -> None:
    built = envoy.bootstrap(envoy.Ports(1, 2), envoy.Watched(tmp_path / "routes.json", {}), POLICY)
    listener = built["static_resources"]["listeners"][0]["address"]["socket_address"]
    assert (listener, built["admin"]["address"]["socket_address"]) == (
        {"address": "127.0.0.1", "port_value": 1},
        {"address": "127.0.0.1", "port_value": 2},
    )


RULE = ("spec", "rules", 0)


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("spec", "hostnames"), ["a.example"], "hostnames"),
        ((*RULE, "sessionPersistence"), {"type": "Cookie"}, "sessionPersistence"),
        ((*RULE, "retry"), {"attempts": 2}, "retry"),
        ((*RULE, "timeouts", "backendRequest"), "1s", "backendRequest"),
        ((*RULE, "timeouts", "request"), "5 seconds", "timeouts.request"),
        ((*RULE, "matches", 0, "method"), "POST", "method"),
        ((*RULE, "matches", 0, "path", "type"), "RegularExpression", "path.type"),
        ((*RULE, "backendRefs", 0, "namespace"), "other", "namespace"),
        ((*RULE, "backendRefs", 0, "filters"), [], "filters"),
        ((*RULE, "backendRefs", 0, "filters", 0, "requestHeaderModifier", "remove"), ["x"], "remove"),
        ((*RULE, "backendRefs", 0, "filters", 0, "type"), "RequestRedirect", "type"),
        ((*RULE, "filters"), [{"type": "CORS", "cors": {}}], "filters.0"),
        (("apiVersion",), "gateway.networking.k8s.io/v1beta1", "apiVersion"),
    ],
)
def test_what_the_local_envoy_would_not_do_is_refused_by_name(
    place: tuple[str | int, ...], value: object, named: str
) -> None:
    route = copy.deepcopy(TEMPLATE)
    _put(route, place, value)
    with pytest.raises(ManifestError, match=named):
        http_route(route)


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("spec", "retry"), {"numRetries": 1}, "retry"),
        (("spec", "loadBalancer", "type"), "RoundRobin", "loadBalancer.type"),
        (("spec", "timeout", "http", "requestTimeout"), "1s", "requestTimeout"),
        (("spec", "targetRefs", 0, "name"), "another", "another"),
    ],
)
def test_a_policy_that_says_more_is_refused(place: tuple[str | int, ...], value: object, named: str) -> None:
    policy = copy.deepcopy(POLICY_TEMPLATE)
    _put(policy, place, value)
    with pytest.raises(ManifestError, match=named):
        traffic_policy(policy, http_route(TEMPLATE))


@pytest.mark.parametrize("content", [": :", "- a list", ""])
def test_a_file_that_holds_no_object_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "route.yaml").write_text(content)
    with pytest.raises(ManifestError, match=r"route\.yaml"):
        read(tmp_path / "route.yaml")
    with pytest.raises(ManifestError, match=r"missing\.yaml"):
        read(tmp_path / "missing.yaml")


@pytest.mark.parametrize(("text", "value"), [("5s", 5), ("250ms", 0.25), ("1h2m3s4ms", 3723.004), ("0s", 0)])
def test_durations_of_the_gateway_api(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "5", "1.5s", "-1s", "5s ", "1d"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds(text)


def test_every_manifest_of_the_gateway_is_one_object_and_the_template_is_not_applied_by_kustomize() -> None:
    kustomization = yaml.safe_load((GATEWAY / "kustomization.yaml").read_text())
    listed = set(kustomization["resources"])
    assert listed | {"httproute.yaml", "kustomization.yaml"} == {each.name for each in GATEWAY.iterdir()}
    assert "httproute.yaml" not in listed


def _put(manifest: Any, place: tuple[str | int, ...], value: object) -> None:
    for step in place[:-1]:
        manifest = manifest[step]
    manifest[place[-1]] = value

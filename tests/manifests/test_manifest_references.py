"""What one object says about another is so: names, keys, ports, labels, rights."""

import pytest
import yaml

from k8s.bootstrap import OWNER
from k8s.rollout.custom_resource import KIND
from k8s.rollout.custom_resource import NAME as ROLLOUT
from k8s.rollout.kubernetes_backend import TEMPLATE
from k8s.rollout.kubernetes_fleet import ROLE
from k8s.rollout.kubernetes_lease import NAME as LEASE
from k8s.rollout.routers import SERVICES, Split, split_of
from monitoring.migrations import USERS
from tests.manifests.rendering import (
    K8S,
    OVERLAYS,
    PLURALS,
    Object,
    application,
    containers,
    named,
    of_kind,
    pods,
    rendered,
    title,
)

MADE_INSIDE = {f"prediction-store-{user}" for user in (OWNER, *USERS)}
"""Secrets that the bootstrap makes, or that a person brings to a production cluster."""

UNNAMED = {
    ("", "events", "create"),
    ("", "pods", "list"),
    ("", "secrets", "create"),
    ("coordination.k8s.io", "leases", "create"),
    ("gateway.networking.k8s.io", "httproutes", "create"),
    ("vigil.dev", "modelrollouts", "create"),
}
"""Rights that Kubernetes can't limit to names."""


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> tuple[Object, ...]:
    return application(request.param)


def _route() -> Object:
    return yaml.safe_load((K8S / "base/gateway/httproute.yaml").read_text())


def test_the_template_of_the_route_has_stable_first_and_a_hundred_per_cent() -> None:
    assert split_of(_route()) == Split(100, 0)
    for backend in _route()["spec"]["rules"][0]["backendRefs"]:
        assert backend["filters"], "without a filter of its own, the hash ignores the weights"


def test_the_route_is_given_out_as_it_is(objects) -> None:
    assert yaml.safe_load(named(objects, "ConfigMap", TEMPLATE)["data"]["httproute.yaml"]) == _route()
    assert not of_kind(objects, "HTTPRoute"), "the route belongs to whoever applies the splits"


def test_the_routes_services_and_ports_exist_and_meet_their_pods(objects) -> None:
    for backend in _route()["spec"]["rules"][0]["backendRefs"]:
        service = named(objects, "Service", backend["name"])
        assert backend["port"] in {port["port"] for port in service["spec"]["ports"]}
    for role, name in SERVICES.items():
        service, deployment = named(objects, "Service", name), named(objects, "Deployment", name)
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert service["spec"]["selector"][ROLE] == role
        opened = {port["name"] for port in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= opened


def test_the_gateways_class_is_the_platforms(objects) -> None:
    gateway = of_kind(objects, "Gateway")[0]
    assert (
        gateway["spec"]["gatewayClassName"]
        == of_kind(rendered("platform/gateway"), "GatewayClass")[0]["metadata"]["name"]
    )
    assert gateway["metadata"]["name"] == _route()["spec"]["parentRefs"][0]["name"]


def test_policies_of_the_gateway_aim_at_what_is_there(objects) -> None:
    there = {(each["kind"], each["metadata"]["name"]) for each in objects} | {
        ("HTTPRoute", _route()["metadata"]["name"])
    }
    for policy in of_kind(objects, "BackendTrafficPolicy", "SecurityPolicy"):
        for target in policy["spec"]["targetRefs"]:
            assert (target["kind"], target["name"]) in there, title(policy)


def test_a_scorer_is_not_asked_twice(objects) -> None:
    for policy in of_kind(objects, "BackendTrafficPolicy"):
        assert "retry" not in policy["spec"]
    assert "retry" not in _route()["spec"]["rules"][0]


def test_keys_of_config_maps_and_secrets_exist(objects) -> None:
    maps = {each["metadata"]["name"]: set(each["data"]) for each in of_kind(objects, "ConfigMap")}
    for each in containers(objects):
        for variable in each.content.get("env", []):
            source = variable.get("valueFrom", {})
            if (wanted := source.get("configMapKeyRef")) is not None:
                assert wanted["key"] in maps[wanted["name"]], each
            wanted = source.get("secretKeyRef")
            if wanted is not None and not wanted.get("optional"):
                assert wanted["name"] in MADE_INSIDE, each
                assert wanted["key"] in {"username", "password", "dsn"}, each
    for owner, template in pods(objects):
        for volume in template["spec"].get("volumes", []):
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps, title(owner)


def test_claims_and_mounts_exist(objects) -> None:
    claims = {each["metadata"]["name"] for each in of_kind(objects, "PersistentVolumeClaim")}
    for owner, template in pods(objects):
        volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", [])}
        made = {each["metadata"]["name"] for each in owner["spec"].get("volumeClaimTemplates", [])}
        for part in (*template["spec"]["containers"], *template["spec"].get("initContainers", [])):
            assert {mount["name"] for mount in part.get("volumeMounts", [])} <= set(volumes) | made, title(owner)
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims, title(owner)


def test_priority_classes_and_namespaces_exist(objects) -> None:
    classes = {each["metadata"]["name"] for each in of_kind(objects, "PriorityClass")}
    for owner, template in pods(objects):
        assert template["spec"].get("priorityClassName", "vigil-stable") in classes, title(owner)
    spaces = {each["metadata"]["name"] for each in of_kind(objects, "Namespace")}
    assert {each["metadata"]["namespace"] for each in objects if "namespace" in each["metadata"]} == spaces == {"vigil"}


def test_the_namespace_allows_nothing_but_restricted_pods(objects) -> None:
    labels = of_kind(objects, "Namespace")[0]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_right_names_its_objects_and_they_exist(objects) -> None:
    there = {(each["kind"], each["metadata"]["name"]) for each in objects}
    there |= {("HTTPRoute", _route()["metadata"]["name"]), ("Lease", LEASE), (KIND, ROLLOUT)}
    assert not of_kind(objects, "ClusterRole", "ClusterRoleBinding")
    for role in of_kind(objects, "Role"):
        for rule in role["rules"]:
            assert "*" not in (*rule["verbs"], *rule["resources"], *rule["apiGroups"]), title(role)
            kinds = [kind.removesuffix("/status") for kind in rule["resources"]]
            asked = {
                (group, kind, verb)
                for group in rule["apiGroups"]
                for kind in rule["resources"]
                for verb in rule["verbs"]
            }
            if "resourceNames" not in rule:
                assert asked <= UNNAMED, title(role)
                continue
            for kind in kinds:
                assert {(PLURALS[kind], name) for name in rule["resourceNames"]} <= there, title(role)


def test_bindings_bind_roles_and_accounts_that_exist(objects) -> None:
    there = {(each["kind"], each["metadata"]["name"]) for each in objects}
    for binding in of_kind(objects, "RoleBinding"):
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in there, title(binding)
        for subject in binding["subjects"]:
            assert (subject["kind"], subject["name"]) in there, title(binding)


def test_nobody_speaks_to_anybody_unless_it_is_said(objects) -> None:
    deny = named(objects, "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    scorer = named(objects, "NetworkPolicy", "scorer")["spec"]
    assert all(rule["from"] and rule["ports"] for rule in scorer["ingress"])
    assert all(rule["to"] and rule["ports"] for rule in scorer["egress"])


def test_the_controller_finds_the_counters_of_the_platforms_proxies_and_may_ask_them(objects) -> None:
    controller = named(objects, "Deployment", "rollout-controller")["spec"]["template"]["spec"]["containers"][0]
    settings = {each["name"]: each.get("value") for each in controller["env"]}
    host, _, port = settings["ROLLOUT_GATEWAY_STATS"].partition(":")
    name, space, _ = host.split(".")
    service = named(rendered("platform/gateway"), "Service", name)
    assert service["metadata"]["namespace"] == space
    assert service["spec"]["clusterIP"] == "None", "one address for each proxy"
    assert int(port) in {each["port"] for each in service["spec"]["ports"]}
    way = named(objects, "NetworkPolicy", "rollout-controller")["spec"]["egress"][-1]
    assert way["ports"] == [{"protocol": "TCP", "port": int(port)}]
    assert way["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == space
    assert way["to"][0]["podSelector"]["matchLabels"] == service["spec"]["selector"]


def test_nobody_but_the_controller_may_write_what_became_of_a_rollout(objects) -> None:
    writers = {
        role["metadata"]["name"]
        for role in of_kind(objects, "Role")
        for rule in role["rules"]
        if any(kind.startswith("modelrollouts") for kind in rule["resources"])
    }
    assert writers == {"rollout-controller"}
    rules = named(objects, "Role", "rollout-controller")["rules"]
    wanted = {verb for rule in rules if "modelrollouts" in rule["resources"] for verb in rule["verbs"]}
    assert wanted == {"get", "watch", "create"}, "what people want is theirs"
    assert not any("secrets" in rule["resources"] for rule in rules)


def test_network_policies_and_budgets_choose_pods_that_exist(objects) -> None:
    labels = [template["metadata"]["labels"] for _, template in pods(objects)]
    selectors = [(title(each), each["spec"]["podSelector"]) for each in of_kind(objects, "NetworkPolicy")]
    selectors += [
        (title(each), each["spec"]["selector"]) for each in of_kind(objects, "PodDisruptionBudget", "PodMonitor")
    ]
    external = {"NetworkPolicy prediction-store"} if not of_kind(objects, "StatefulSet") else set()
    for name, selector in selectors:
        if name not in external:
            assert any(_chosen(selector, each) for each in labels), name


def test_the_autoscaler_scales_stable_and_never_below_two() -> None:
    scaler = of_kind(application("overlays/production"), "HorizontalPodAutoscaler")[0]["spec"]
    assert scaler["scaleTargetRef"]["name"] == SERVICES["stable"]
    assert scaler["minReplicas"] >= 2


def test_in_production_the_door_is_closed_to_plain_http_and_to_those_without_a_key() -> None:
    objects = application("overlays/production")
    listeners = of_kind(objects, "Gateway")[0]["spec"]["listeners"]
    assert [each["protocol"] for each in listeners] == ["HTTPS"]
    assert listeners[0]["tls"]["certificateRefs"]
    policy = of_kind(objects, "SecurityPolicy")[0]["spec"]
    assert policy["targetRefs"][0]["kind"] == "Gateway"
    assert policy["apiKeyAuth"]["credentialRefs"]


def test_in_production_nothing_is_kept_in_the_cluster() -> None:
    objects = application("overlays/production")
    assert not of_kind(objects, "StatefulSet", "PersistentVolumeClaim")
    assert named(objects, "ConfigMap", "artifact-store")["data"]["url"].startswith("s3://")


def test_what_outlives_a_development_session_is_not_deployed_by_it() -> None:
    deployed = {(each["kind"], each["metadata"]["name"]) for each in rendered("overlays/kind")}
    kept = {(each["kind"], each["metadata"]["name"]) for each in rendered("overlays/kind/kept")}
    assert not deployed & kept
    assert {("Namespace", "vigil"), ("PersistentVolumeClaim", "artifact-store")} <= kept


def _chosen(selector: Object, labels: dict[str, str]) -> bool:
    exact = selector.get("matchLabels", {}).items() <= labels.items()
    return exact and all(labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", []))

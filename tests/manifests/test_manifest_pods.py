"""What every pod of ours keeps to: little power, known needs, health that can be asked, images that are pinned."""

import re

import pytest

from bentos.assigned import Assignment
from bentos.risk_scorer.settings import Settings
from k8s.bootstrap import OWNER
from k8s.rollout.kubernetes_api import SECONDS
from k8s.rollout.kubernetes_router import APPLY_SECONDS
from k8s.rollout.settings import Settings as RolloutSettings
from monitoring.migrations import USERS
from monitoring.settings import Settings as MonitoringSettings
from tests.manifests.rendering import OVERLAYS, Object, application, containers, named, of_kind, pods, title

LEAST = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def objects(overlay: str) -> tuple[Object, ...]:
    return application(overlay)


def test_containers_have_requests_and_limits_of_cpu_and_memory(objects) -> None:
    for each in containers(objects):
        resources = each.content["resources"]
        assert set(resources["requests"]) >= {"cpu", "memory"}, each
        assert set(resources["limits"]) >= {"cpu", "memory"}, each


def test_containers_have_the_least_power_and_a_root_that_they_cannot_write(objects) -> None:
    for each in containers(objects):
        assert each.content["securityContext"] == LEAST, each
        pod = each.pod["spec"]["securityContext"]
        assert pod["runAsNonRoot"] is True, each
        assert pod["runAsUser"] >= 100, each
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, each


def test_nothing_of_the_host_is_used(objects) -> None:
    for owner, template in pods(objects):
        spec = template["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), title(owner)
        assert not any("hostPath" in volume for volume in spec.get("volumes", [])), title(owner)


def test_a_server_has_three_probes_on_ports_that_it_opens_and_time_to_end(objects) -> None:
    servers = [
        each for each in containers(objects) if each.owner.startswith(("Deployment", "StatefulSet")) and not each.init
    ]
    assert len(servers) >= 3
    for each in servers:
        ports = {port["name"] for port in each.content["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = each.content[probe]
            assert "exec" in asked or asked["httpGet"]["port"] in ports, f"{each} {probe}"
        assert each.pod["spec"]["terminationGracePeriodSeconds"] >= 30, each


def test_a_scorer_is_replaced_without_a_gap(objects) -> None:
    for role in ("stable", "canary", "shadow"):
        spec = named(objects, "Deployment", f"scorer-{role}")["spec"]
        assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        pod, scorer = spec["template"]["spec"], spec["template"]["spec"]["containers"][0]
        pause = scorer["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["terminationGracePeriodSeconds"] > pause + 2 * Settings().drain_seconds


def test_a_scorers_tag_and_number_are_not_in_the_manifests(objects) -> None:
    for role in ("stable", "canary", "shadow"):
        each = named(objects, "Deployment", f"scorer-{role}")
        assert "replicas" not in each["spec"], title(each)
        assert "vigil.dev/tag" not in each["spec"]["template"]["metadata"].get("annotations", {}), title(each)


def test_only_what_speaks_to_the_api_has_a_token(objects) -> None:
    for owner, template in pods(objects):
        calls = {module for each in template["spec"]["containers"] for module in each.get("command", ())[2:3]}
        speaks = bool(calls & {"k8s.bootstrap", "k8s.rollout"})
        mounted = any("projected" in volume for volume in template["spec"].get("volumes", []))
        automatic = template["spec"]["automountServiceAccountToken"]
        assert (automatic or mounted) == speaks, title(owner)
    for each in of_kind(objects, "ServiceAccount"):
        assert each["automountServiceAccountToken"] is False, title(each)


def test_every_service_account_that_is_used_is_there_and_none_is_idle(objects) -> None:
    used = {template["spec"]["serviceAccountName"] for _, template in pods(objects)}
    assert used == {each["metadata"]["name"] for each in of_kind(objects, "ServiceAccount")}


def test_images_are_pinned(overlay, objects) -> None:
    for each in containers(objects):
        image = each.content["image"]
        if overlay == "overlays/production":
            assert re.fullmatch(r"[a-z0-9./-]+@sha256:[0-9a-f]{64}", image), each
        else:
            assert re.fullmatch(r"[a-z0-9./-]+:[a-z0-9][a-z0-9._-]*", image), each
            assert not image.endswith(":latest"), each


def test_what_a_container_says_at_its_end_is_kept(objects) -> None:
    assert {each.content["terminationMessagePolicy"] for each in containers(objects)} == {"FallbackToLogsOnError"}


def test_variables_are_settings_that_exist(objects) -> None:
    known = {f"SCORER_{name.upper()}" for name in Settings.model_fields}
    known |= {f"ASSIGNED_{name.upper()}" for name in Assignment.model_fields}
    known |= {f"ROLLOUT_{name.upper()}" for name in RolloutSettings.model_fields}
    known |= {f"MONITORING_{name.upper()}" for name in MonitoringSettings.model_fields}
    given = {
        variable["name"]
        for each in containers(objects)
        if each.owner.startswith("Deployment")
        for variable in each.content["env"]
    }
    assert given <= known | {"PYTHONPATH", "SYNCED_FILES"}


def test_one_controller_acts_at_a_time_and_has_the_time_to_end_a_tick(objects) -> None:
    spec = named(objects, "Deployment", "rollout-controller")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod, controller = spec["template"]["spec"], spec["template"]["spec"]["containers"][0]
    assert pod["terminationGracePeriodSeconds"] > APPLY_SECONDS + 2 * sum(SECONDS)
    settings = {each["name"]: each.get("value") for each in controller["env"]}
    assert settings["ROLLOUT_STANDBY"] == "true", "a second one waits instead of being restarted over and over"
    assert int(settings["ROLLOUT_METRICS_PORT"]) == controller["ports"][0]["containerPort"]


def test_the_migration_sets_the_password_of_every_user(objects) -> None:
    migrate = named(objects, "Job", "prediction-store-migration")["spec"]["template"]["spec"]["initContainers"][0]
    secrets = {each["name"]: each["valueFrom"]["secretKeyRef"]["name"] for each in migrate["env"]}
    assert secrets.pop("MONITORING_DSN") == f"prediction-store-{OWNER}"
    assert secrets == {f"MONITORING_PASSWORD_{user.upper()}": f"prediction-store-{user}" for user in USERS}


def test_each_role_writes_as_the_database_user_of_its_name(objects) -> None:
    for role in ("stable", "canary", "shadow"):
        template = named(objects, "Deployment", f"scorer-{role}")["spec"]["template"]
        environment = {each["name"]: each.get("valueFrom") for each in template["spec"]["containers"][0]["env"]}
        assert environment["SCORER_LOG_DSN"]["secretKeyRef"]["name"] == f"prediction-store-{role}"
        assert template["metadata"]["labels"]["vigil.dev/role"] == role


def test_stable_comes_first_then_the_controller_then_canary_and_shadow(objects) -> None:
    order = ("stable", "controller", "canary", "shadow")
    priorities = [named(objects, "PriorityClass", f"vigil-{each}")["value"] for each in order]
    assert priorities == sorted(priorities, reverse=True)
    assert len(set(priorities)) == 4
    controller = named(objects, "Deployment", "rollout-controller")["spec"]["template"]["spec"]
    assert controller["priorityClassName"] == "vigil-controller"
    for role in ("stable", "canary", "shadow"):
        pod = named(objects, "Deployment", f"scorer-{role}")["spec"]["template"]["spec"]
        assert pod["priorityClassName"] == f"vigil-{role}"


def test_requests_of_a_small_cluster_fit_on_two_cores() -> None:
    def cores(text: str) -> float:
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)

    def asked(template: Object, part: str) -> list[float]:
        return [cores(each["resources"]["requests"]["cpu"]) for each in template["spec"].get(part, [])]

    needs = [
        max(sum(asked(template, "containers")), *asked(template, "initContainers"), 0)
        for _, template in pods(application("overlays/kind"))
    ]
    assert sum(needs) <= 1.5

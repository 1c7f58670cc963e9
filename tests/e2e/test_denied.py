"""Every way that is closed is tried, beside one that is open, so that a closed door is not a broken road."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.doors import may, tried
from tests.e2e.kubectl import Kubectl, Object, RefusedError
from tests.e2e.place import Place, bystander, is_gone


@pytest.fixture(scope="module")
def outside(bare: Place, models: dict[str, str]) -> Iterator[Kubectl]:
    """A namespace without policies, with a pod in it that calls itself a scraper."""
    kubectl = Kubectl(f"{bare.namespace}-outside")
    image = bare.kubectl.get("pod", "publisher")["spec"]["containers"][0]["image"]
    if is_gone(kubectl, "namespace", kubectl.namespace):
        kubectl("create", "namespace", kubectl.namespace)
    kubectl.apply([bystander("stranger", image, {"app.kubernetes.io/name": "prometheus"})])
    kubectl("wait", "--for=condition=Ready", "pod/stranger", "--timeout=60s")
    yield kubectl
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


@pytest.fixture
def targets(vigil: Place) -> dict[str, tuple[str, int]]:
    """What there is to connect to, by address: names would not resolve everywhere."""

    def ip(selector: str) -> str:
        found: str = vigil.kubectl.pods(selector)[-1]["status"]["podIP"]
        return found

    api = Kubectl("default").get("service", "kubernetes")["spec"]["clusterIP"]
    gateway = Kubectl("envoy-gateway-system").pods("control-plane=envoy-gateway")[0]["status"]["podIP"]
    return {
        "scorer": (ip("vigil.dev/role=stable"), 3000),
        "prediction store": (ip("app.kubernetes.io/name=postgres"), 5432),
        "API server": (api, 443),
        "gateway's controller": (gateway, 18000),
    }


def test_a_stranger_reaches_neither_scorer_nor_store(
    outside: Kubectl, targets: dict[str, tuple[str, int]], measured: list[str]
) -> None:
    found = tried(outside, "stranger", targets)
    assert found == {"scorer": False, "prediction store": False, "API server": True, "gateway's controller": True}
    measured.append(f"from another namespace: {_words(found)}")


def test_a_pod_without_a_role_reaches_nothing(
    vigil: Place, targets: dict[str, tuple[str, int]], measured: list[str]
) -> None:
    found = tried(vigil.kubectl, "publisher", targets)
    assert not any(found.values()), found
    measured.append(f"from the namespace itself: {_words(found)}")


def test_a_scorer_reaches_its_store_and_nothing_else(
    vigil: Place, targets: dict[str, tuple[str, int]], models: dict[str, str], measured: list[str]
) -> None:
    vigil.run("canary", models["other"])
    targets["scorer"] = (vigil.kubectl.get("pod", vigil.pod("canary"))["status"]["podIP"], 3000)
    found = tried(vigil.kubectl, vigil.pod("stable"), targets, container="scorer")
    assert found == {"scorer": False, "prediction store": True, "API server": False, "gateway's controller": False}
    measured.append(f"from a scorer: {_words(found)}")


def test_the_store_reaches_nothing(vigil: Place, measured: list[str]) -> None:
    api = Kubectl("default").get("service", "kubernetes")["spec"]["clusterIP"]
    script = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{api}/443' && echo open || echo closed"
    said = vigil.kubectl("exec", "prediction-store-0", "--", "bash", "-c", script)
    assert said.strip() == "closed"
    measured.append("from the prediction store to the API server: closed")


def test_a_scorer_has_no_token_no_root_and_no_writable_root(vigil: Place, measured: list[str]) -> None:
    code = """
import os, pathlib
print(os.getuid(), pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount").exists())
for place in ("/opt/vigil/x", "/bento/x", "/x"):
    try:
        open(place, "w").close(); print("written")
    except OSError as error:
        print(error.strerror)
"""
    said = vigil.kubectl.python(vigil.pod("stable"), code, container="scorer").splitlines()
    assert said[0] == "10001 False"
    assert "written" not in said
    measured.append(
        f"uid and token: {said[0]}; writing to the root and to the Bento: {', '.join(sorted(set(said[1:])))}"
    )


_RIGHTS = [
    # account, verb, resource, allowed
    ("scorer", "get", "secrets/prediction-store-owner", False),
    ("scorer", "list", "pods", False),
    ("prediction-store", "get", "secrets/prediction-store-owner", False),
    ("retention", "get", "secrets/prediction-store-owner", False),
    ("default", "list", "pods", False),
    ("rollout-controller", "patch", "deployments.apps/scorer-stable", True),
    ("rollout-controller", "update", "modelrollouts.vigil.dev:status/scorer", True),
    ("rollout-controller", "update", "modelrollouts.vigil.dev/scorer", False),
    ("rollout-controller", "delete", "deployments.apps/scorer-stable", False),
    ("rollout-controller", "get", "secrets/prediction-store-owner", False),
    ("rollout-controller", "create", "pods:exec", False),
    ("secrets", "create", "secrets", True),
    ("secrets", "get", "secrets/prediction-store-owner", False),
    ("secrets", "list", "secrets", False),
    ("secrets", "patch", "secrets/prediction-store-owner", False),
    ("secrets", "delete", "secrets/prediction-store-owner", False),
    ("secrets", "create", "pods", False),
    ("first-model", "get", "deployments.apps/scorer-stable", True),
    ("first-model", "patch", "deployments.apps/scorer-stable", True),
    ("first-model", "patch", "deployments.apps/another", False),
    ("first-model", "delete", "deployments.apps/scorer-stable", False),
    ("first-model", "create", "deployments.apps", False),
    ("first-model", "patch", "httproutes.gateway.networking.k8s.io/scorer", True),
    ("first-model", "patch", "httproutes.gateway.networking.k8s.io/another", False),
    ("first-model", "get", "secrets/prediction-store-owner", False),
    ("first-model", "create", "pods", False),
    ("first-model", "create", "pods:exec", False),
    ("first-model", "create", "rolebindings.rbac.authorization.k8s.io", False),
]


def test_each_account_may_do_what_it_needs_and_no_more(vigil: Place, measured: list[str]) -> None:
    wrong = [
        each for each in _RIGHTS if may(vigil.kubectl, each[0], each[1], each[2]) is not each[3]
    ]  # fmt: skip
    assert wrong == []
    for account in {account for account, *_ in _RIGHTS}:
        assert not may(vigil.kubectl, account, "list", "secrets", namespace="kube-system")
        assert not may(vigil.kubectl, account, "*", "*")
    measured.append(f"{len(_RIGHTS)} rights asked of 7 accounts, {sum(not each[3] for each in _RIGHTS)} of them denied")


_INSERT = "insert into predictions (request_id, event_id, scored_at, tag"

_STATEMENTS = [
    (f"{_INSERT}, status, latency_us) values ('d', 'd', now(), 't', 200, 1)", True),
    ("select count(*) from predictions", False),
    ("select count(*) from labels", False),
    (f"{_INSERT}, role) values ('d', 'd', now(), 't', 'stable')", False),
    ("update predictions set status = 500", False),
    ("delete from predictions", False),
    ("truncate predictions", False),
    ("drop table predictions", False),
    ("create table mine (x int)", False),
    ("insert into labels (event_id, label, known_at) values ('e', 1, now())", False),
    ("set role stable", False),
    ("set session authorization vigil", False),
    ("alter role canary superuser", False),
    ("copy predictions to program 'cat'", False),
]


def test_a_scorers_database_user_inserts_and_nothing_else(
    vigil: Place, models: dict[str, str], measured: list[str]
) -> None:
    """As the canary's pod has it: with its DSN, from its own network."""
    vigil.run("canary", models["other"])
    code = f"""
import os, psycopg
for statement, _ in {_STATEMENTS!r}:
    with psycopg.connect(os.environ["SCORER_LOG_DSN"]) as connection:
        try:
            connection.execute(statement); print("done")
        except psycopg.errors.InsufficientPrivilege as error:
            print("denied")
        except psycopg.Error as error:
            print("other:", str(error).splitlines()[0])
        connection.rollback()
"""
    said = vigil.kubectl.python(vigil.pod("canary"), code, container="scorer").splitlines()
    expected = ["done" if allowed else "denied" for _, allowed in _STATEMENTS]
    assert [(s, got) for (s, _), got, want in zip(_STATEMENTS, said, expected, strict=True) if got != want] == []
    measured.append(f"{len(said)} statements, {said.count('denied')} denied")


_BREACHES: dict[str, Object] = {
    "root": {"securityContext": {"runAsNonRoot": False, "runAsUser": 0}},
    "privileged": {"containers": {"securityContext": {"privileged": True}}},
    "capabilities": {"containers": {"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}},
    "host network": {"hostNetwork": True},
    "host path": {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]},
    "no seccomp": {"securityContext": {"runAsNonRoot": True, "runAsUser": 1}},
}


@pytest.mark.parametrize("breach", _BREACHES)
def test_a_pod_that_asks_for_too_much_is_refused(vigil: Place, breach: str, measured: list[str]) -> None:
    pod = bystander("too-much", "vigil/rollout:0.1.0")
    vigil.kubectl.apply([pod], "--dry-run=server")  # as it is, it would be taken
    changes = dict(_BREACHES[breach])
    pod["spec"]["containers"][0].update(changes.pop("containers", {}))
    pod["spec"].update(changes)
    with pytest.raises(RefusedError, match="violates PodSecurity") as refused:
        vigil.kubectl.apply([pod], "--dry-run=server")
    measured.append(str(refused.value).split("violates ")[-1][:110])


def test_a_service_that_opens_a_port_of_the_nodes_is_refused(vigil: Place, measured: list[str]) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "open"},
        "spec": {"type": "NodePort", "ports": [{"port": 3000}], "selector": {"app.kubernetes.io/name": "scorer"}},
    }
    with pytest.raises(RefusedError, match="exceeded quota"):
        vigil.kubectl.apply([service], "--dry-run=server")
    measured.append("by the quota")


def _words(found: dict[str, bool]) -> str:
    return json.dumps({name: "open" if is_open else "closed" for name, is_open in found.items()})

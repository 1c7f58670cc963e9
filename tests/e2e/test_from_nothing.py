"""From an empty namespace to a scored event, and once more without changing anything."""

import httpx
import pytest

from tests.e2e.conftest import Arrival
from tests.e2e.kubectl import Object, until
from tests.e2e.place import Place


def test_an_empty_namespace_becomes_a_scored_event(bare: Place, arrival: Arrival, measured: list[str]) -> None:
    body = {"amount": 249.9, "hour": 2, "device_risk": 2, "velocity_5m": 7}
    answer = httpx.post(f"{bare.url}/score", json=body, headers={"x-entity-id": "somebody"}, timeout=5).json()
    assert answer["model_version"] == bare.first
    assert 0 <= answer["score"] <= 1
    until(lambda: bare.rows_of({answer["request_id"]}, "stable"), "the event's row")
    took = "it was there already" if arrival.seconds is None else f"{arrival.seconds:.0f} s from the empty namespace"
    measured.append(f"{took} to a score of {answer['score']:.3f} by {answer['model_version']}, and its row")


def test_bootstrapping_again_changes_nothing(
    vigil: Place, arrival: Arrival, objects: list[Object], measured: list[str]
) -> None:
    """A Job can't be changed, so again means: deleted, and applied once more."""
    vigil.rest("canary")  # the controller, which comes back with the rest, would end what no rollout asks for
    vigil.rest("shadow")
    before = _state(vigil)
    jobs = ["secrets", "first-model", "prediction-store-migration"]
    vigil.kubectl("delete", "job", *jobs)
    vigil.kubectl.apply(objects)
    for job in jobs:
        vigil.kubectl("wait", "--for=condition=Complete", f"job/{job}", "--timeout=120s", seconds=130)
    assert _state(vigil) == before
    passwords = {name: vigil.secret(name)["password"] for name in arrival.secrets}
    assert passwords == arrival.secrets
    assert len(set(passwords.values())) == len(passwords) >= 8
    measured.append(f"3 Jobs ran again: {len(passwords)} passwords, the tag, the copies and the route stayed")


def _state(place: Place) -> tuple[object, ...]:
    stable = place.kubectl.get("deployment", "scorer-stable")
    route = place.kubectl.get("httproute", "scorer")
    pods = {pod["metadata"]["uid"] for pod in place.kubectl.pods("app.kubernetes.io/name=scorer")}
    return place.look("stable").tag, stable["spec"], route["metadata"]["generation"], pods


@pytest.mark.parametrize(
    ("body", "status"),
    [({"amount": 1.0, "hour": 24, "device_risk": 0, "velocity_5m": 0}, 422), ({"amount": 1.0}, 422)],
)
def test_a_wrong_event_is_refused_through_the_gateway(
    bare: Place, arrival: Arrival, body: dict[str, float], status: int
) -> None:
    answer = httpx.post(f"{bare.url}/score", json=body, timeout=5)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"

"""Whatever becomes of the shadow, those who get stable's answers don't notice."""

import json
from pathlib import Path

import pytest

from tests.e2e.kubectl import Object, until
from tests.e2e.load import Measured, Running
from tests.e2e.place import Place, answers

_REQUESTS = 2_500
_SLOW_SECONDS = 2.0
"""What the slow shadow takes for each request, one after the other. Whoever waits for a shadow is slower than this."""


def test_a_shadow_that_is_deleted(
    vigil: Place, models: dict[str, str], objects: list[Object], measured: list[str]
) -> None:
    _mirror(vigil, models["other"])
    with Running(vigil.url, "deleted", at_least=_REQUESTS) as load:
        until(load.after(3), "3 s of load before")
        vigil.kubectl("delete", "pod", vigil.pod("shadow"), "--grace-period=0", "--force")
        until(load.after(3), "3 s of load after the pod is killed")
        vigil.kubectl("delete", "deployment", "scorer-shadow")
        until(load.after(5), "5 s of load without the Deployment")
        came = load.measured()
    vigil.kubectl.apply([each for each in objects if each["metadata"]["name"] == "scorer-shadow"])
    _unharmed(vigil, "deleted", came)
    measured.append(f"pod killed, then the Deployment deleted: {came}")


def test_a_shadow_that_is_slow(vigil: Place, models: dict[str, str], measured: list[str]) -> None:
    """Two seconds for each request, one after the other: most of what is mirrored waits, and is given up."""
    _mirror(vigil, models["other"])
    vigil.run("shadow", models["slow"])
    came = _load(vigil, "slow")
    _unharmed(vigil, "slow", came)
    shadow = vigil.rows_once_whole("slow", 1, "shadow")
    assert {row.tag for row in shadow} == {models["slow"]}
    assert len(shadow) < len(came.entries) / 2
    measured.append(f"2 s a request: {came}; the shadow has rows of {len(shadow)}")


def test_a_shadow_that_answers_garbage(
    vigil: Place, models: dict[str, str], objects: list[Object], measured: list[str]
) -> None:
    _mirror(vigil, models["other"])
    server = Path(__file__).with_name("garbage.py").read_text(encoding="utf-8")
    command = {
        "spec": {"template": {"spec": {"containers": [{"name": "scorer", "command": ["python", "-c", server]}]}}}
    }
    deployment = next(
        each for each in objects if (each["kind"], each["metadata"]["name"]) == ("Deployment", "scorer-shadow")
    )
    _patch(vigil, command)
    vigil.settled("shadow", models["other"])
    came = _load(vigil, "garbage")
    rows = vigil.rows("garbage")
    vigil.split(100, 0, 0)
    vigil.kubectl.apply([deployment])
    _unharmed(vigil, "garbage", came)
    assert {row.role for row in rows} == {"stable"}
    measured.append(f"no HTTP at all: {came}")


@pytest.mark.xfail(
    reason="Envoy Gateway 1.9 answers 500 to all of a route's requests while its mirror names no Service", strict=True
)
def test_a_shadow_whose_service_is_deleted(
    vigil: Place, models: dict[str, str], objects: list[Object], measured: list[str]
) -> None:
    """A Service is never deleted by Vigil's own commands. Whoever does it must take the mirror off first."""
    _mirror(vigil, models["other"])
    with Running(vigil.url, "serviceless", at_least=_REQUESTS) as load:
        until(load.after(3), "3 s of load before")
        vigil.kubectl("delete", "service", "scorer-shadow")
        until(load.after(5), "5 s of load without the Service")
        came = load.measured()
    vigil.kubectl.apply([each for each in objects if each["metadata"]["name"] == "scorer-shadow"])
    until(lambda: answers(vigil.url), "the route answers again")
    _unharmed(vigil, "serviceless", came)
    measured.append(f"Service deleted: {came}")


def _mirror(place: Place, tag: str) -> None:
    place.run("shadow", tag)
    place.split(100, 0, 100)
    place.until_mirrored(is_mirrored=True)


def _load(place: Place, prefix: str) -> Measured:
    with Running(place.url, prefix, at_least=_REQUESTS) as load:
        return load.measured()


def _patch(place: Place, change: Object) -> None:
    place.kubectl("patch", "deployment", "scorer-shadow", "--patch", json.dumps(change))


def _unharmed(place: Place, prefix: str, came: Measured) -> None:
    assert not came.failed, (str(came), came.failed[:3])
    assert came.quantile(0.5) < _SLOW_SECONDS / 10, str(came)
    assert came.quantile(0.999) < _SLOW_SECONDS, str(came)
    stable = place.rows_once_whole(prefix, len(came.entries), "stable")
    assert {row.request_id for row in stable} == came.request_ids

"""What changes under load loses no request, and no row: each with 10,000 requests at the least."""

from tests.e2e.kubectl import Object, until
from tests.e2e.load import AT_LEAST, Measured, Running
from tests.e2e.place import READY_SECONDS, Place

_AWAY_SECONDS = 60.0
"""How long the prediction store is gone."""

_LOST_AT_ZERO = 0.001
"""Share of the requests that may meet a backend in the moment when it is taken away."""


def test_changes_of_weight(vigil: Place, models: dict[str, str], measured: list[str]) -> None:
    """Between weights above 0, and of the mirror. Nothing at all may fail."""
    vigil.run("canary", models["other"])
    vigil.run("shadow", models["other"])
    vigil.split(95, 5)
    vigil.until_answered_by(models["first"], models["other"])
    steps = [(75, 25, 100), (50, 50, 25), (95, 5, 0), (1, 99, 100), (50, 50, 0), (99, 1, 0)]
    with Running(vigil.url, "weight") as load:
        for step in steps:
            vigil.split(*step)
            until(load.after(5), f"5 s of load at {step}")
        came = load.measured()
    _whole(vigil, "weight", came)
    tags = {each.model_version for each in came.entries}
    assert tags == {models["first"], models["other"]}
    measured.append(f"{len(steps)} changes of weight and mirror; {came}; every one has its row")


def test_weights_that_come_from_zero_and_go_there(vigil: Place, models: dict[str, str], measured: list[str]) -> None:
    """Envoy Gateway takes a backend of weight 0 away before its proxies have the route that no longer names it.

    For some milliseconds a request of that backend's share may then be answered 500 by the proxy, with an empty body.
    """
    vigil.run("canary", models["other"])
    steps = [(50, 50), (100, 0), (50, 50), (0, 100), (100, 0), (95, 5), (100, 0)]
    with Running(vigil.url, "zero") as load:
        for step in steps:
            vigil.split(*step)
            until(load.after(4), f"4 s of load at {step}")
        came = load.measured()
    assert {(each.status, each.error) for each in came.failed} <= {(500, "500: ")}, came.failed[:3]
    assert len(came.failed) <= _LOST_AT_ZERO * len(came.entries), str(came)
    rows = vigil.rows_once_whole("zero", len(came.entries) - len(came.failed), "stable", "canary")
    assert {row.request_id for row in rows} == came.request_ids
    measured.append(f"{len(steps)} changes from and to 0; {came}; all that was answered has its row")


def test_rolling_updates_copies_and_a_deleted_pod(vigil: Place, models: dict[str, str], measured: list[str]) -> None:
    """To another model and back in one copy each: the new one is ready before the old one ends. Then with two."""
    with Running(vigil.url, "rolling") as load:
        for name in ("other", "first"):
            vigil.run("stable", models[name])
            until(load.after(5), f"5 s of load with {name}")
        vigil.run("stable", models["first"], 2)
        until(load.after(5), "5 s of load on two copies")
        vigil.kubectl("delete", "pod", vigil.pod("stable"), "--wait=false")
        until(load.after(5), "5 s of load after a deleted pod")
        vigil.run("stable", models["first"], 1)
        until(load.after(5), "5 s of load on one copy")
        came = load.measured()
    _whole(vigil, "rolling", came)
    assert {each.model_version for each in came.entries} == {models["first"], models["other"]}
    measured.append(f"2 rolling updates, 2 copies, a pod deleted, 1 copy; {came}; every one has its row")


def test_the_prediction_store_is_gone_for_a_minute(vigil: Place, measured: list[str]) -> None:
    restarts = _restarts(vigil)
    with Running(vigil.url, "storeless") as load:
        until(load.after(3), "3 s of load before")
        vigil.kubectl("scale", "statefulset", "prediction-store", "--replicas=0")
        until(lambda: not vigil.kubectl.pods("app.kubernetes.io/name=postgres"), "the store is gone")
        gone = load.answered
        until(load.after(_AWAY_SECONDS), "a minute of load without the store", 2 * _AWAY_SECONDS)
        gone = load.answered - gone
        vigil.kubectl("scale", "statefulset", "prediction-store", "--replicas=1")
        vigil.kubectl("rollout", "status", "statefulset/prediction-store", "--timeout=120s", seconds=130)
        until(load.after(3), "3 s of load afterwards")
        came = load.measured()
    _whole(vigil, "storeless", came)
    assert _restarts(vigil) == restarts
    measured.append(f"{gone:,} requests answered in a minute without a store; {came}; every one has its row")


def _whole(place: Place, prefix: str, came: Measured) -> None:
    """No request failed, and the store has a row of stable or canary for each of them, once."""
    assert not came.failed, (str(came), came.failed[:3])
    assert len(came.entries) >= AT_LEAST
    assert came.per_second >= 50
    assert len(came.request_ids) == len(came.entries)
    rows = place.rows_once_whole(prefix, len(came.entries), "stable", "canary", seconds=READY_SECONDS)
    assert len(rows) == len(came.entries)
    assert {row.request_id for row in rows} == came.request_ids
    assert {row.status for row in rows} == {200}


def _restarts(place: Place) -> int:
    """Containers of scorers that were started again."""
    pods: list[Object] = place.kubectl.pods("app.kubernetes.io/name=scorer")
    return sum(each["restartCount"] for pod in pods for each in pod["status"].get("containerStatuses", []))

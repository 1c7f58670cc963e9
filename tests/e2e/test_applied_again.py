"""A deploy in the middle of a split changes nothing of it, whichever way it is applied."""

import pytest

from tests.e2e.kubectl import Object, until
from tests.e2e.load import Running
from tests.e2e.place import CONTROLLER, Place


@pytest.mark.parametrize(
    "flags",
    [(), ("--server-side", "--force-conflicts", "--field-manager", "gitops")],
    ids=["kubectl apply", "server-side, by force"],
)
def test_applying_everything_again_during_a_split_resets_nothing(
    vigil: Place, models: dict[str, str], objects: list[Object], flags: tuple[str, ...], measured: list[str]
) -> None:
    vigil.run("canary", models["other"])
    vigil.run("shadow", models["other"])
    vigil.split(80, 20, 50)
    vigil.until_answered_by(models["first"], models["other"])
    before = _state(vigil)
    name = f"again{len(flags)}"
    by_hand = [each for each in objects if each["metadata"]["name"] != CONTROLLER]  # which would take the split over
    with Running(vigil.url, name, at_least=1_000) as load:
        vigil.kubectl.apply(by_hand, *flags)
        until(load.after(3), "3 s of load afterwards")
        came = load.measured()
    assert _state(vigil) == before
    assert not came.failed
    assert {each.model_version for each in came.entries} == {models["first"], models["other"]}
    measured.append(f"split {before[0]}, tags, copies and pods stayed; meanwhile {came}")


def _state(place: Place) -> tuple[object, ...]:
    """The split, each role's copies, and the pods that are there."""
    pods = {pod["metadata"]["uid"] for pod in place.kubectl.pods("app.kubernetes.io/name=scorer")}
    return place.current, {role: place.look(role) for role in ("stable", "canary", "shadow")}, pods

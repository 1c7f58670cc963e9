"""A Bento that is not there, or not what its tag says, never gets to serve, and the pod says why."""

import pytest

from tests.e2e.conftest import version
from tests.e2e.kubectl import Object, until
from tests.e2e.load import Running
from tests.e2e.place import Place

_ABSENT = "risk_scorer:000000000000"
_ALTERED = "risk_scorer:aaaaaaaaaaaa"
_CUT = "risk_scorer:bbbbbbbbbbbb"


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        (_ABSENT, "is not in the store"),
        (_ALTERED, "is risk_scorer:"),
        (_CUT, "publish it again"),
    ],
    ids=["absent", "altered", "cut"],
)
def test_a_bad_artifact_is_never_ready_and_says_why(
    vigil: Place, archives: dict[str, tuple[str, bytes]], tag: str, reason: str, measured: list[str]
) -> None:
    _, archive = archives["other"]
    if tag == _ALTERED:
        vigil.put(archive, version(_ALTERED))  # a good archive, of another version than its name says
    if tag == _CUT:
        vigil.put(archive[: len(archive) // 2], version(_CUT))
    vigil.rest("canary")
    vigil.fleet.assign("canary", tag)
    vigil.fleet.scale("canary", 1)
    message = until(lambda: _ended(vigil, "canary", tag), "the termination message of a second try", 90)
    assert reason in message
    found = vigil.look("canary")
    assert (found.tag, found.ready, found.serving) == (tag, 0, 0)
    assert found.problem == message
    refused = vigil.vigil("split", "--weights", "80,20")
    assert refused.returncode != 0
    assert message.splitlines()[-1][:60] in refused.stderr
    vigil.fleet.scale("canary", 0)
    measured.append(message)


def test_a_rolling_update_to_a_bad_artifact_leaves_the_old_copy_to_answer(
    vigil: Place, models: dict[str, str], measured: list[str]
) -> None:
    with Running(vigil.url, "stuck", at_least=1_000) as load:
        vigil.fleet.assign("stable", _ABSENT)
        until(lambda: _ended(vigil, "stable", _ABSENT), "the termination message", 90)
        found = vigil.look("stable")
        assert (found.ready, found.serving) == (0, 1)
        vigil.run("stable", models["first"])
        came = load.measured()
    assert not came.failed
    assert {each.model_version for each in came.entries} == {models["first"]}
    measured.append(f"meanwhile {came}, all by the old model")


def _ended(place: Place, role: str, tag: str) -> str:
    """What the init container of the pod with this tag said at its end, once it has been tried twice; else ''."""
    for pod in place.kubectl.pods(f"vigil.dev/role={role}"):
        if pod["metadata"]["annotations"].get("vigil.dev/tag") == tag:
            for each in pod["status"].get("initContainerStatuses", []):
                if each["restartCount"] >= 1:
                    return _message(each)
    return ""


def _message(status: Object) -> str:
    ended = status["state"].get("terminated") or status["lastState"].get("terminated") or {}
    return str(ended.get("message", "")).strip()

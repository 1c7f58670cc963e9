"""What becomes of a candidate in a cluster: each ends as it deserves, under load, and `kubectl` alone tells why."""

import pytest

from k8s.rollout.model_rollout import Outcome
from k8s.rollout.plan import Plan
from k8s.rollout.routers import Split
from tests.e2e import candidates
from tests.e2e.candidates import CAREFUL, LEAKING, NEVER_READY, PLAN, SKEWED, SLOW_TAIL, SOUND, WITHOUT_SHADOW
from tests.e2e.load import AT_LEAST
from tests.e2e.rollout_stage import DEPLOYMENT, Stage, rises

IMPATIENT = PLAN.model_copy(update={"progress_blocks": 45})
"""Copies that are not ready after 45 s are not waited for any longer."""


@pytest.mark.parametrize(
    ("name", "plan", "gates"),
    [
        (LEAKING, CAREFUL, {"errors", "crash"}),
        (SLOW_TAIL, WITHOUT_SHADOW, {"over_slo"}),
        (SKEWED, PLAN, {"flips", "score"}),
    ],
)
def test_a_candidate_that_is_ready_and_wrong_is_stopped_by_its_own_gate(
    stage: Stage, name: str, plan: Plan, gates: set[str], measured: list[str]
) -> None:
    stage.stands(candidates.BASE)
    stage.predict(name)
    with stage.load() as traffic:
        tag = stage.propose(name, plan)
        verdict = stage.until_over(tag)
        came = traffic.ended()
    measured.append(f"{verdict.outcome} by '{verdict.gate}' ({verdict.reason}); {traffic.weights.canary} %; {came}")
    assert (verdict.outcome, verdict.gate in gates) == (Outcome.ROLLED_BACK, True)
    last = stage.last()
    assert last.shadow_since or last.canary_since, "its copies were ready, and were asked"
    assert tag in stage.read().status.banned
    assert stage.place.current == Split(100, 0, 0)
    assert not _failed_of_stable(stage, traffic.prefix)
    assert len(came.failed) <= 0.1 * len(came.entries)
    stage.place.kubectl("wait", "--for=condition=RolledBack", stage.name, "--timeout=10s")
    assert verdict.gate in stage.place.kubectl("get", "modelrollouts")
    assert stage.history_is_whole(last.id)
    refused = stage.place.vigil("start", tag, "--reason", "once more")
    assert (refused.returncode, "was rolled back" in refused.stderr) == (14, True), refused.stderr


@pytest.mark.parametrize("name", [NEVER_READY, SOUND[4]], ids=["a broken start", "deleted from the store"])
def test_a_candidate_that_never_becomes_ready_gets_no_request(stage: Stage, name: str, measured: list[str]) -> None:
    stage.stands(candidates.BASE)
    stage.predict(name)
    if name != NEVER_READY:
        stage.place.take(stage.models[name].split(":")[1])
    with stage.load(per_second=20) as traffic:
        verdict = stage.until_over(stage.propose(name, IMPATIENT))
        came = traffic.ended()
    measured.append(f"{verdict.outcome} by '{verdict.gate}' ({verdict.reason}); {came}")
    assert verdict.outcome in (Outcome.ROLLED_BACK, Outcome.INCONCLUSIVE)
    assert "ready" in verdict.reason
    assert traffic.weights.canary == [0]
    assert not came.failed
    assert {each.model_version for each in came.entries} == {stage.models[candidates.BASE]}
    assert stage.place.look("stable").ready == 1


def test_people_supersede_pause_approve_undo_and_abort(stage: Stage, measured: list[str]) -> None:
    stage.stands(candidates.BASE)
    base, by = stage.models[candidates.BASE], ("--by", "ann", "--reason", "a test")
    stage.predict(*SOUND[1:4])
    with stage.load() as traffic:
        first = stage.propose(SOUND[1], PLAN)
        stage.until_so(lambda now: now.status.attempt and now.status.attempt.shadow_since, "the first is in shadow")
        second = stage.propose(SOUND[2], PLAN.model_copy(update={"approval": "manual"}))
        superseded = stage.until_over(first, going_on=True)
        assert superseded.outcome is Outcome.SUPERSEDED
        stage.until_weight(5)
        stage.vigil("pause", *by)
        stage.place.kubectl("wait", "--for=condition=Held", stage.name, "--timeout=20s")
        assert "ann" in stage.vigil("status")
        stage.vigil("resume")
        stage.until_so(lambda now: "approve" in now.status.message or "promote" in now.status.message, "it waits")
        stage.place.kubectl("wait", "--for=condition=Held", stage.name, "--timeout=20s")
        assert stage.place.current.canary == 50
        stage.vigil("promote", *by)
        assert stage.until_over(second).outcome is Outcome.PROMOTED
        stage.vigil("undo", *by)
        stage.until_so(lambda now: now.status.stable == base and now.status.attempt is None, "stable is as before")
        third = stage.propose(SOUND[3], PLAN)
        stage.until_so(lambda now: now.status.attempt and now.status.attempt.candidate == third, "it is on its way")
        stage.vigil("abort", *by)
        assert stage.until_over(third).outcome is Outcome.ABORTED
        came = traffic.ended()
    measured.append(f"{traffic.weights.canary} %; {came}")
    assert not came.failed
    assert (stage.place.current, stage.place.look("stable").tag) == (Split(100, 0, 0), base)
    assert third not in stage.read().status.banned
    words = ("python", "-m", "k8s.rollout", "history", "--last", "200")
    told = stage.place.kubectl("exec", DEPLOYMENT, "--", *words)
    assert "port-forward" in stage.place.vigil("history").stderr, "the way to the database from outside"
    for words in ("ann", "superseded", "promoted", "aborted"):
        assert words in told, told


def test_a_good_candidate_is_promoted_and_no_request_fails(stage: Stage, measured: list[str]) -> None:
    stage.stands(candidates.BASE)
    stage.predict(SOUND[0])
    with stage.load(at_least=AT_LEAST) as traffic:
        tag = stage.propose(SOUND[0], PLAN)
        verdict = stage.until_over(tag)
        came = traffic.ended()
    last, shown = stage.last(), stage.place.kubectl("get", "modelrollouts")
    measured.append(f"{verdict.reason}; {traffic.weights.canary} %; {came}\n{shown}")
    assert verdict.outcome is Outcome.PROMOTED
    assert not came.failed
    assert len(came.entries) >= AT_LEAST
    assert came.per_second >= 50
    assert {each.model_version for each in came.entries} == {stage.models[candidates.BASE], tag}
    assert rises(traffic.weights.canary) == [5, 25, 50, 100]
    assert (stage.place.current, stage.place.look("stable").tag) == (Split(100, 0, 0), tag)
    stage.place.kubectl("wait", "--for=condition=Promoted", stage.name, "--timeout=10s")
    assert stage.history_is_whole(last.id) > PLAN.canary.min_blocks
    described = stage.place.kubectl("describe", stage.name)
    for words in ("ShadowPassed", "Step", "Verdict", "Promoted", "Ended"):
        assert f" {words} " in described, described
    assert not stage.place.kubectl.get("pods", "--selector", "app.kubernetes.io/name=prometheus")["items"]


def _failed_of_stable(stage: Stage, prefix: str) -> list[str]:
    return [row.request_id for row in stage.place.rows(prefix) if row.role == "stable" and row.status >= 500]

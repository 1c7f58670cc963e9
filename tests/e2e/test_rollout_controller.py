"""The controller in its Deployment: killed, doubled, cut off, contradicted by hand, and among pods that come and go."""

import json
import os
import shlex
import subprocess
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from k8s.rollout.kubernetes_fleet import TAG
from k8s.rollout.model_rollout import ModelRollout, Outcome, Phase
from k8s.rollout.routers import Split
from tests.e2e import candidates
from tests.e2e.candidates import PLAN, SOUND
from tests.e2e.doors import tried
from tests.e2e.kubectl import Kubectl, Object, until
from tests.e2e.place import GATEWAY, is_gone
from tests.e2e.rollout_stage import DEPLOYMENT, Stage, Traffic, rises

HELD = PLAN.model_copy(
    update={"approval": "manual", "canary": PLAN.canary.model_copy(update={"steps": PLAN.canary.steps[:1]})}
)
"""The canary stays at 5 % until somebody approves."""

BY = ("--by", "ann", "--reason", "a test")

PHASES: dict[str, Callable[[ModelRollout], Any]] = {
    "its copies start": lambda now: now.status.attempt,
    "it is a shadow": lambda now: now.status.attempt and now.status.attempt.shadow_since,
    "it has 5 %": lambda now: now.status.attempt and now.status.attempt.step == 0,
    "it has 50 %": lambda now: now.status.attempt and now.status.attempt.step == 2,
    "it is promoted": lambda now: now.status.phase is Phase.PROMOTING,
    "it is watched": lambda now: now.status.watch and now.status.attempt is None,
}


@pytest.fixture
def two(stage: Stage) -> Iterator[Stage]:
    """A stage with two controllers."""
    stage.stands(candidates.BASE)
    stage.scale(2)
    until(lambda: len(stage.running()) == 2 and stage.leader(), "two controllers run, and one leads")
    yield stage
    stage.scale(1)


@pytest.mark.timeout(900)
def test_of_two_controllers_the_leader_is_killed_in_every_phase_and_the_other_goes_on(
    two: Stage, measured: list[str]
) -> None:
    two.predict(SOUND[5])
    gaps = list[float]()
    with two.load() as traffic:
        tag = two.propose(SOUND[5], PLAN)
        for what, reached in PHASES.items():
            two.until_so(reached, what)
            gaps.append(_killed(two))
        verdict = two.until_over(tag)
        came = traffic.ended()
    last = two.last()
    took = ", ".join(f"{gap:.0f}" for gap in gaps)
    measured.append(f"{verdict.outcome}; nobody led for {took} s; {traffic.weights.canary} %; {came}")
    assert verdict.outcome is Outcome.PROMOTED
    assert not came.failed
    assert rises(traffic.weights.canary) == [5, 25, 50, 100]
    kinds = two.kinds(last.id)
    assert {kinds.count(f"rollout.{each}") for each in ("started", "verdict", "promoted", "ended")} == {1}
    assert two.history_is_whole(last.id)
    assert two.read().status.watch, "the watch of the new stable goes on"


def _killed(stage: Stage) -> float:
    """Ends the leader at once; the seconds until another one led."""
    leader, began = stage.leader(), time.monotonic()
    stage.kill(leader)
    until(lambda: stage.leader() not in ("", leader), "another controller leads", 90)
    return time.monotonic() - began


@pytest.mark.timeout(900)
def test_what_happens_around_a_canary_resets_nothing_and_what_is_done_to_it_by_hand_is_put_right(
    stage: Stage, objects: list[Object], measured: list[str]
) -> None:
    stage.stands(candidates.BASE)
    stage.predict(SOUND[0])
    with stage.load() as traffic:
        tag = stage.propose(SOUND[0], HELD)
        stage.until_weight(5)
        attempt = stage.attempt()
        _by_hand(stage, tag, attempt.id)
        _deployed_again(stage, objects)
        assert stage.attempt().id == attempt.id
        _without_the_api_server(stage, traffic, measured)
        assert stage.attempt().id == attempt.id
        _forgotten(stage)
        came = traffic.ended()
    measured.append(f"{traffic.weights.canary} %; {came}")
    rows = stage.place.rows(traffic.prefix)
    assert not [row for row in rows if row.role == "stable" and row.status >= 500]
    assert len(came.failed) <= 0.005 * len(came.entries), "those of a canary whose copies were taken away by hand"
    assert stage.place.look("stable").tag == stage.models[candidates.BASE]


def _by_hand(stage: Stage, tag: str, attempt: str) -> None:
    kubectl, split = stage.place.kubectl, stage.place.current

    def corrected(times: int) -> Callable[[], bool]:
        return lambda: stage.kinds(attempt).count("rollout.corrected") >= times

    weights = [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 5}]
    kubectl("patch", "httproute", "scorer", "--type=json", "--patch", json.dumps(weights))
    until(corrected(1), "an Event about the weights")
    until(lambda: stage.place.current == split, "the weights are as before")
    other = {"spec": {"template": {"metadata": {"annotations": {TAG: stage.models[candidates.BASE]}}}}}
    kubectl("patch", "deployment", "scorer-canary", "--patch", json.dumps(other))
    until(corrected(2), "an Event about the model")
    stage.place.settled("canary", tag)
    kubectl("scale", "deployment", "scorer-canary", "--replicas=0")
    until(corrected(3), "an Event about the copies")
    stage.place.settled("canary", tag)
    stage.until_so(lambda now: now.status.attempt and now.status.attempt.suspended is None, "the canary is back")
    until(lambda: stage.place.current == split, "the weights are as before")
    assert "Corrected" in kubectl("describe", stage.name)


def _deployed_again(stage: Stage, objects: list[Object]) -> None:
    before = _state(stage)
    stage.place.kubectl.apply(objects)
    stage.place.kubectl("rollout", "restart", DEPLOYMENT)
    stage.until_led()
    assert _state(stage) == before


def _state(stage: Stage) -> tuple[object, ...]:
    pods = {pod["metadata"]["uid"] for pod in stage.place.kubectl.pods("app.kubernetes.io/name=scorer")}
    return stage.place.current, {role: stage.place.look(role) for role in ("stable", "canary", "shadow")}, pods


def _without_the_api_server(stage: Stage, traffic: Traffic, measured: list[str]) -> None:
    command = shlex.split(os.environ.get("VIGIL_E2E_RESTART_API", ""))
    if not command:
        assert os.environ.get("CI") != "true", "VIGIL_E2E_RESTART_API says how"
        measured.append("the API server was not restarted: VIGIL_E2E_RESTART_API is not set")
        return
    before, answered, began = stage.place.current, traffic.running.answered, time.monotonic()
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    away, meanwhile = time.monotonic() - began, traffic.running.answered - answered
    assert stage.place.current == before
    ticked = stage.read().status.ticked_at
    stage.until_so(lambda now: now.status.ticked_at != ticked, "the controller ticks")
    stage.until_led()
    measured.append(f"the API server was killed and back after {away:.0f} s; {meanwhile} requests answered meanwhile")


def _forgotten(stage: Stage) -> None:
    """The object is deleted in a canary: stable is known again from what runs, and the candidate starts at shadow."""
    spec = stage.raw()["spec"]
    stage.place.kubectl("delete", stage.name)
    until(lambda: not is_gone(stage.place.kubectl, *stage.name.split("/")), "the object is there again")
    base = stage.models[candidates.BASE]
    stage.until_so(lambda now: now.status.stable == base and now.status.attempt is None, "stable is known again")
    until(lambda: stage.place.current == Split(100, 0, 0), "all traffic is stable's")
    stage.give(spec)
    stage.until_so(lambda now: now.status.attempt and now.status.attempt.shadow_since, "it starts at shadow")
    assert stage.attempt().canary_since is None
    stage.vigil("abort", *BY)
    stage.until_so(lambda now: now.status.attempt is None, "it is aborted")


@pytest.fixture
def two_proxies(stage: Stage) -> Iterator[None]:
    """The gateway has two of them."""
    _proxies(stage, 2)
    yield
    _proxies(stage, 1)


def _proxies(stage: Stage, count: int) -> None:
    wanted = {"spec": {"provider": {"kubernetes": {"envoyDeployment": {"replicas": count}}}}}
    stage.place.kubectl("patch", "envoyproxy", "e2e", "--type=merge", "--patch", json.dumps(wanted))
    owned = f"gateway.envoyproxy.io/owning-gateway-namespace={stage.place.namespace}"
    name = Kubectl(GATEWAY).get("deployment", "--selector", owned)["items"][0]["metadata"]["name"]
    until(lambda: Kubectl(GATEWAY).get("deployment", name)["status"].get("replicas") == count, f"{count} proxies")
    Kubectl(GATEWAY)("rollout", "status", f"deployment/{name}", "--timeout=90s", seconds=100)


@pytest.mark.timeout(900)
def test_counts_of_several_proxies_add_up_while_scorers_come_and_go(
    stage: Stage, two_proxies: None, measured: list[str]
) -> None:
    stage.stands(candidates.BASE)
    stage.predict(SOUND[1])
    with stage.load() as traffic:
        tag = stage.propose(SOUND[1], PLAN)
        stage.until_weight(5)
        stage.place.kubectl("scale", "deployment", "scorer-stable", "--replicas=2")
        stage.until_weight(25)
        stage.place.kubectl("delete", "pod", stage.place.pod("canary"), "--wait=false")
        verdict = stage.until_over(tag)
        came = traffic.ended()
    attempt = stage.last().id
    blocks, proxies = _counted(stage, attempt)
    counted, seen = (sum(each) for each in zip(*blocks, strict=True))
    measured.append(f"{verdict.outcome}; {proxies} proxies counted {counted}, rows were {seen}; {came}")
    assert verdict.outcome is Outcome.PROMOTED
    assert not [each for each in came.failed if each.status is None]
    assert len(came.failed) <= 0.005 * len(came.entries)
    assert proxies == 2
    missed = sorted(rows - answers for answers, rows in blocks)
    assert missed[0] >= -3  # answered on one side of a snapshot, and logged on the other
    # Envoy drops the counters of a backend that has no weight any more, and what they counted since the last look:
    # of stable's at 100 %, and of the canary's when stable has taken over.
    assert sum(missed[:-2]) <= 0.01 * seen
    assert sum(missed) <= 0.05 * seen
    stage.place.kubectl("scale", "deployment", "scorer-stable", "--replicas=1")


def _counted(stage: Stage, attempt: str) -> tuple[list[tuple[int, int]], int]:
    """Of each block of a canary its answers, as the proxies counted them and as the store has them; and the proxies."""
    query = f"select gateway from rollout_evidence where attempt = '{attempt}' and phase = 'canary'"  # noqa: S608
    marks = [json.loads(gateway) for (gateway,) in stage.place.sql(query)]
    times = "select extract(epoch from scored_at) from predictions where role <> 'shadow' order by 1"
    scored = [float(moment) for (moment,) in stage.place.sql(times)]
    blocks = []
    for each in marks:
        since, until_ = (datetime.fromisoformat(each[end]).timestamp() for end in ("since", "until"))
        answered = each["answered"]["stable"] + each["answered"]["canary"]
        blocks.append((answered, bisect_left(scored, until_) - bisect_left(scored, since)))
    return blocks, len({name for each in marks for name in each["mark"]["snapshot"]["instances"]})


def test_the_controller_reaches_what_it_needs_and_nothing_else(stage: Stage) -> None:
    stage.stands(candidates.BASE)

    def ip(selector: str, kubectl: Kubectl = stage.place.kubectl) -> str:
        found: str = kubectl.pods(selector)[-1]["status"]["podIP"]
        return found

    owned = f"gateway.envoyproxy.io/owning-gateway-namespace={stage.place.namespace}"
    api = Kubectl("default").get("service", "kubernetes")["spec"]["clusterIP"]
    targets = {
        "API server": (api, 443),
        "prediction store": (ip("app.kubernetes.io/name=postgres"), 5432),
        "counters": (ip(owned, Kubectl(GATEWAY)), 19001),
        "scorer": (ip("vigil.dev/role=stable"), 3000),
        "gateway": (ip(owned, Kubectl(GATEWAY)), 10080),
        "gateway's controller": (ip("control-plane=envoy-gateway", Kubectl(GATEWAY)), 18000),
    }
    found = tried(stage.place.kubectl, stage.controllers()[-1]["metadata"]["name"], targets)
    assert [name for name, is_open in found.items() if is_open] == ["API server", "prediction store", "counters"]

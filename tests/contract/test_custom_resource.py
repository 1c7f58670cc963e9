"""What the API server itself refuses of a ModelRollout, in which words; and that what it takes, the models take."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from k8s.rollout.custom_resource import GROUP, KIND, NAME, VERSION
from k8s.rollout.model_rollout import Request, Spec
from k8s.rollout.plan import Plan, Step
from tests.e2e.kubectl import Kubectl, RefusedError

pytestmark = pytest.mark.cluster

ONE, OTHER = "risk_scorer:aaaaaaaaaaaa", "risk_scorer:bbbbbbbbbbbb"
ASKED = {"tag": ONE, "by": "ann", "reason": "it is better", "at": "2026-11-23T21:00:00Z"}


def rollout(name: str = NAME, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": {"name": name}, "spec": spec}


def made(namespace: Kubectl, content: dict[str, Any]) -> str:
    """What the API server says to a new object, which it does not keep."""
    return namespace("create", "--dry-run=server", "-f", "-", given=json.dumps(content).encode())


def steps(*weights: int) -> list[dict[str, Any]]:
    return [{"weight": each, "errors": 0.1, "over_slo": 0.1, "flagged": 0.1} for each in weights]


@pytest.fixture
def empty(namespace: Kubectl) -> Kubectl:
    namespace("delete", "modelrollouts", "--all")
    return namespace


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"candidate": "nothing"}, "spec.candidate in body should match"),
        ({"candidate": ONE, "colour": "blue"}, 'unknown field "spec.colour"'),
        ({"plan": {"alhpa": 0.1}}, 'unknown field "spec.plan.alhpa"'),
        ({"plan": {"alpha": 0}}, "spec.plan.alpha in body should be greater than 0"),
        ({"plan": {"alpha": 0.3}}, "spec.plan.alpha in body should be less than or equal to 0.2"),
        ({"plan": {"approval": "perhaps"}}, 'supported values: "auto", "manual"'),
        ({"plan": {"block_seconds": "30"}}, "must be of type number"),
        ({"plan": {"canary": {"steps": steps(25, 5)}}}, "the steps' weights must rise"),
        ({"plan": {"canary": {"steps": steps(5, 5)}}}, "the steps' weights must rise"),
        ({"plan": {"canary": {"steps": steps(60)}}}, "should be less than or equal to 50"),
        ({"plan": {"canary": {"steps": []}}}, "should have at least 1 items"),
        ({"plan": {"canary": {"steps": [{"weight": 5}]}}}, "spec.plan.canary.steps[0].errors: Required value"),
        ({"plan": {"canary": {"deadline_blocks": 300}}}, "extended_blocks is before deadline_blocks"),
        ({"plan": {"canary": {"deadline_blocks": 30}}}, "it could never be promoted"),
        ({"plan": {"canary": {"step_blocks": 40}}}, "it could never be promoted"),
        ({"plan": {"labels": {"looks": [1000, 300]}}}, "the looks' positives must rise"),
        ({"plan": {"labels": {"looks": [100]}}}, "should be greater than or equal to 300"),
        ({"plan": {"windows": [{"start": "24:00"}]}}, "spec.plan.windows[0].start in body should match"),
        ({"plan": {"windows": [{"start": "22:00Z"}]}}, "spec.plan.windows[0].start in body should match"),
        ({"plan": {"windows": [{"days": ["someday"]}]}}, "spec.plan.windows[0].days[0]: Unsupported value"),
        ({"candidate": OTHER, "promotion": ASKED}, "promotion.tag is not the candidate"),
        ({"promotion": ASKED}, "promotion.tag is not the candidate"),
        ({"candidate": OTHER, "asked": ASKED}, "asked.tag is not the candidate"),
        ({"candidate": OTHER, "forced": ASKED}, "forced.tag is not the candidate"),
        (
            {"candidate": ONE, "promotion": ASKED | {"skip_gates": True, "reason": ""}},
            "should be at least 1 chars long",
        ),
        ({"candidate": ONE, "promotion": ASKED | {"reason": " "}}, "spec.promotion.reason in body should match"),
        ({"paused": {"by": "ann", "at": "2026-11-23T21:00:00Z"}}, "spec.paused.reason: Required value"),
        ({"paused": {"by": "ann", "reason": "x" * 501, "at": "2026-11-23T21:00:00Z"}}, "may not be more than 500"),
        ({"abort": ASKED | {"at": "yesterday"}}, "must be of type date-time"),
    ],
)
def test_a_mistake_is_refused_where_it_is_made(empty: Kubectl, spec: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        made(empty, rollout(**spec))
    assert words in str(refused.value)


def test_another_name_is_refused(empty: Kubectl) -> None:
    with pytest.raises(RefusedError, match=f"a namespace has one rollout, and its name is {NAME}"):
        made(empty, rollout("another"))


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"candidate": ONE, "promotion": ASKED | {"skip_gates": True}, "asked": ASKED, "forced": ASKED},
        {"candidate": None, "paused": None, "promotion": None, "plan": {"shadow": None}},
        {"candidate": OTHER, "abort": ASKED},
        {"plan": {"canary": {"steps": steps(1, 2, 50), "deadline_blocks": 40, "extended_blocks": 40}}},
        {"plan": {"labels": None, "shadow": None}},
        {"plan": {"labels": {"looks": [300], "required": True}}},
        {"plan": {"labels": {"required": True}, "shadow": {}}},
        {"plan": {"windows": [{"days": ["mon"], "start": "22:00", "end": "06:30:15.5"}]}},
        {"plan": Plan(slo_ms=1, canary={"steps": tuple(Step(**each) for each in steps(50))}).model_dump(mode="json")},  # type: ignore[arg-type]
        yaml.safe_load(Spec(candidate=ONE, asked=Request(**ASKED)).model_dump_json()),  # type: ignore[arg-type]
    ],
)
def test_what_is_right_is_taken(empty: Kubectl, spec: dict[str, Any]) -> None:
    made(empty, rollout(**spec))
    Spec.model_validate(spec)


def test_an_old_request_stays_when_the_candidate_changes_and_a_new_one_must_fit(empty: Kubectl) -> None:
    empty.apply([rollout(candidate=ONE, promotion=ASKED, asked=ASKED)])
    # As the retraining does, which may write this one field only.
    empty("patch", "modelrollout", NAME, "--type=merge", "-p", json.dumps({"spec": {"candidate": OTHER}}))
    wrong = {"spec": {"promotion": ASKED | {"reason": "another"}}}
    with pytest.raises(RefusedError, match=r"promotion\.tag is not the candidate"):
        empty("patch", "modelrollout", NAME, "--type=merge", "-p", json.dumps(wrong))
    right = {"spec": {"promotion": ASKED | {"tag": OTHER}}}
    empty("patch", "modelrollout", NAME, "--type=merge", "-p", json.dumps(right))


def test_a_status_is_written_by_itself_only(empty: Kubectl) -> None:
    empty.apply([{**rollout(candidate=ONE), "status": {"stable": OTHER}}])
    assert "status" not in empty.get("modelrollout", NAME)
    status = json.dumps({"status": {"stable": OTHER, "weight": 25, "phase": "Canary"}, "spec": {"candidate": OTHER}})
    empty("patch", "modelrollout", NAME, "--subresource=status", "--type=merge", "-p", status)
    found = empty.get("modelrollout", NAME)
    assert (found["spec"]["candidate"], found["status"]["stable"]) == (ONE, OTHER)


def test_kubectl_shows_the_columns_and_explains_the_fields(empty: Kubectl) -> None:
    empty.apply([rollout(candidate=ONE)])
    status = json.dumps({"status": {"stable": OTHER, "candidate": ONE, "weight": 25, "phase": "Canary"}})
    empty("patch", "modelrollout", NAME, "--subresource=status", "--type=merge", "-p", status)
    head, row = empty("get", "mr").splitlines()
    assert head.split() == ["NAME", "STABLE", "CANDIDATE", "PHASE", "WEIGHT", "VERDICT", "AGE"]
    assert row.split()[:5] == [NAME, OTHER, ONE, "Canary", "25"]
    explained = empty("explain", "modelrollout.spec.plan.canary.deadline_blocks")
    assert "Default: 120" in " ".join(explained.split())


numbers = st.integers(1, 60)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    weights=st.lists(st.integers(1, 52), min_size=1, max_size=4),
    canary=st.fixed_dictionaries(
        {}, optional={f"{each}_blocks": numbers for each in ("step", "min", "deadline", "extended")}
    ),
)
def test_a_plan_is_right_for_the_api_server_when_it_is_for_us(
    empty: Kubectl, weights: list[int], canary: dict[str, int]
) -> None:
    plan = {"canary": {**canary, "steps": steps(*weights)}}

    def taken(ask: Any, refusal: type[Exception]) -> bool:
        try:
            ask()
        except refusal:
            return False
        return True

    ours = taken(lambda: Plan.model_validate(plan), ValidationError)
    assert taken(lambda: made(empty, rollout(plan=plan)), RefusedError) == ours

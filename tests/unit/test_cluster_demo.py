"""The cluster's demo, without a cluster: what it promises, and what it makes a pod of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from k8s.demo import stories
from k8s.demo.cluster import Cluster, Pipeline
from k8s.demo.errors import BrokenPromiseError, CommandError
from k8s.local.ledger import Entry, Ledger
from k8s.local.story import Story
from k8s.rollout import plan_file

GOOD, LEAKING = "risk_scorer:aaaaaaaaaaaa", "risk_scorer:bbbbbbbbbbbb"


@dataclass(frozen=True)
class Ended(Cluster):
    """A cluster in which both rollouts have ended."""

    status: dict[str, Any]

    def get(self, *words: str) -> dict[str, Any]:
        assert words == ("modelrollout", "scorer")
        return {"status": self.status}


def _judged(folder: Path, entries: list[Entry], stable: str = GOOD, banned: tuple[str, ...] = (LEAKING,)) -> None:
    cluster = Ended("vigil", folder, {"stable": stable, "banned": {tag: {} for tag in banned}})
    with Ledger(folder / "ledger") as book:
        for entry in entries:
            book.add(entry)
    stories.judge(cluster, folder / "ledger", GOOD, LEAKING, Story(Console(quiet=True)))


SCORED = Entry("a", "e", 0.01, 200, "r1", GOOD, 0.5)
RAN_DRY = Entry("b", "e", 0.01, 500, "r2", error='500: {"title": "internal error"}')
GATEWAYS = Entry("c", "e", 0.01, 500, error="500: ")
NOBODY = Entry("d", "e", 0.01, 503, error="503: no healthy upstream")


def test_failures_of_the_bad_candidate_are_part_of_its_story(tmp_path: Path) -> None:
    _judged(tmp_path, [SCORED, RAN_DRY])


@pytest.mark.parametrize("other", [GATEWAYS, NOBODY])
def test_nobody_elses_request_may_fail(tmp_path: Path, other: Entry) -> None:
    with pytest.raises(BrokenPromiseError, match="1 requests failed that were not"):
        _judged(tmp_path, [SCORED, other, RAN_DRY])


@pytest.mark.parametrize(("stable", "banned"), [(LEAKING, (LEAKING,)), (GOOD, ())])
def test_the_good_one_is_stable_and_the_bad_one_banned(tmp_path: Path, stable: str, banned: tuple[str, ...]) -> None:
    with pytest.raises(BrokenPromiseError, match="stable"):
        _judged(tmp_path, [SCORED], stable, banned)


def test_the_plans_differ_in_their_shadow_phase_only(tmp_path: Path) -> None:
    plan, careful = plan_file.read(stories.PLAN), plan_file.read(stories.careful(tmp_path))
    assert careful.shadow is not None
    assert careful.shadow.mirror / 100 * stories.PER_SECOND < stories.POOL_PER_SECOND
    assert plan.canary.steps[1].weight / 100 * stories.PER_SECOND > stories.POOL_PER_SECOND
    assert careful.model_copy(update={"shadow": plan.shadow}) == plan


def test_the_pod_may_do_no_more_than_a_job_of_the_pipeline() -> None:
    pod, *policies = yaml.safe_load_all(stories.PLAN.with_name("pod.yaml").read_text(encoding="utf-8"))
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "vigil/pipeline"
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert [each["kind"] for each in policies] == ["NetworkPolicy", "NetworkPolicy"]


def test_a_command_that_can_not_be_run_says_which(tmp_path: Path) -> None:
    cluster = Cluster("vigil", tmp_path)
    with pytest.raises(CommandError, match="no-such-program --version"):
        cluster.command(["no-such-program", "--version"], "", 5)


class Trained(Pipeline):
    """A pipeline whose first challenger is what the last demo made stable."""

    def __init__(self) -> None: ...

    def invent(self) -> None: ...

    def pull(self, tag: str) -> None: ...

    def train(self, seed: int) -> str:  # noqa: ARG002 - the pipeline's signature
        return GOOD


def test_a_story_that_was_told_before_says_how_to_begin_again(tmp_path: Path) -> None:
    cluster = Ended("vigil", tmp_path, {"stable": GOOD})
    with pytest.raises(BrokenPromiseError, match="kubectl delete namespace vigil"):
        stories._challenger(cluster, Trained(), Story(Console(quiet=True)))

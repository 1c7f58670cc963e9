"""What a cluster shows of a rollout: columns, conditions, Events; and objects that the store refuses."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from k8s.rollout.canary_phase import WAITS_FOR_APPROVAL
from k8s.rollout.conditions import columns, conditions
from k8s.rollout.custom_resource import NAME
from k8s.rollout.history import DECISION, HistoryError, MemoryHistory
from k8s.rollout.kubernetes_api import ClusterError, Kind, UnknownKindError
from k8s.rollout.kubernetes_events import AT_ONCE, KubernetesEvents, ToldHistory
from k8s.rollout.kubernetes_store import MOST_BYTES, KubernetesStore
from k8s.rollout.model_rollout import (
    OUTBOX,
    Attempt,
    Ban,
    Event,
    Outcome,
    Pause,
    Phase,
    Request,
    Spec,
    Status,
    Suspension,
    Verdict,
)
from k8s.rollout.plan import Plan
from k8s.rollout.stores import ConflictError, StoreError, UnreadableError
from k8s.rollout.turn import FIRST_COPIES
from tests.doubles.memory_cluster import MemoryCluster

NOW = datetime(2026, 11, 23, 21, 30, tzinfo=UTC)
OLD, NEW = "risk_scorer:aaaaaaaaaaaa", "risk_scorer:bbbbbbbbbbbb"
IDLE = Status(phase=Phase.IDLE, stable=OLD)


def attempt(outcome: Outcome | None = None, **fields: Any) -> Attempt:
    verdict = outcome and Verdict(outcome=outcome, gate="errors", reason="too many", at=NOW)
    return Attempt(id="one", candidate=NEW, stable=OLD, started_at=NOW, plan=Plan(), verdict=verdict, **fields)


def status(**fields: Any) -> Status:
    return IDLE.model_copy(update=fields)


def truths(spec: Spec, now: Status) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in conditions(spec, now, (), 1, NOW)}


WANTED = Spec(candidate=NEW)
ON_ITS_WAY = status(attempt=attempt(weights=((NOW, 0.05), (NOW, 0.25))), phase=Phase.CANARY)


@pytest.mark.parametrize(
    ("spec", "now", "expected"),
    [
        (Spec(), Status(), {"Ready": "False", "Progressing": "False", "Promoted": "False", "Held": "False"}),
        (Spec(), IDLE, {"Ready": "True", "Promoted": "False", "RolledBack": "False"}),
        (Spec(candidate=OLD), IDLE, {"Promoted": "True", "RolledBack": "False", "Progressing": "False"}),
        (WANTED, IDLE, {"Promoted": "Unknown", "RolledBack": "Unknown"}),
        (WANTED, ON_ITS_WAY, {"Progressing": "True", "Promoted": "Unknown", "RolledBack": "Unknown", "Held": "False"}),
        (WANTED, status(attempt=attempt(Outcome.PROMOTED)), {"Progressing": "True", "Promoted": "Unknown"}),
        (WANTED, status(stable=NEW, last=attempt(Outcome.PROMOTED)), {"Promoted": "True", "RolledBack": "False"}),
        (WANTED, status(attempt=attempt(Outcome.ROLLED_BACK)), {"RolledBack": "True", "Promoted": "False"}),
        (WANTED, status(last=attempt(Outcome.ROLLED_BACK)), {"RolledBack": "True", "Progressing": "False"}),
        (WANTED, status(last=attempt(Outcome.INCONCLUSIVE)), {"RolledBack": "False", "Promoted": "False"}),
        (WANTED, status(banned={NEW: Ban(at=NOW, gate="crash", reason="it died")}), {"RolledBack": "True"}),
        (Spec(candidate="risk_scorer:cc"), status(last=attempt(Outcome.ROLLED_BACK)), {"RolledBack": "Unknown"}),
        (WANTED, status(phase=Phase.WAITING, message="no copy of stable is ready"), {"Held": "True"}),
        (WANTED, ON_ITS_WAY.model_copy(update={"message": WAITS_FOR_APPROVAL}), {"Held": "True"}),
        (Spec(paused=Pause(by="ann", reason="lunch", at=NOW)), IDLE, {"Held": "True"}),
        (WANTED, status(attempt=attempt(suspended=Suspension(since=NOW, reason=FIRST_COPIES))), {"Held": "False"}),
        (WANTED, status(attempt=attempt(suspended=Suspension(since=NOW, reason="none is ready"))), {"Held": "True"}),
    ],
)
def test_a_condition_says_where_the_candidate_is(spec: Spec, now: Status, expected: dict[str, str]) -> None:
    found = truths(spec, now)
    assert {kind: found[kind][0] for kind in expected} == expected
    assert set(found) == {"Ready", "Progressing", "Promoted", "RolledBack", "Held"}


def test_a_model_that_is_asked_for_again_has_not_failed_yet() -> None:
    before = status(last=attempt(Outcome.INCONCLUSIVE))
    asked = Request(tag=NEW, by="ann", reason="again", at=NOW + timedelta(seconds=1))
    assert truths(WANTED, before)["Promoted"] == ("False", "Inconclusive")
    assert truths(WANTED.model_copy(update={"asked": asked}), before)["Promoted"][0] == "Unknown"


def test_the_time_of_a_transition_is_that_of_the_status_only() -> None:
    first = conditions(WANTED, IDLE, (), 1, NOW)
    later = conditions(WANTED, ON_ITS_WAY, first, 2, NOW + timedelta(minutes=5))
    since = {each["type"]: each["lastTransitionTime"] for each in later}
    assert since["Progressing"] == "2026-11-23T21:35:00Z"
    assert since["Ready"] == since["Promoted"] == "2026-11-23T21:30:00Z"
    assert {each["observedGeneration"] for each in later} == {2}


def test_columns_show_what_is_known() -> None:
    assert columns(WANTED, ON_ITS_WAY) == {"candidate": NEW, "weight": 25}
    assert columns(WANTED, status(last=attempt(Outcome.ROLLED_BACK))) == {
        "candidate": NEW,
        "weight": 0,
        "verdict": "rolled back (errors)",
    }
    assert columns(Spec(candidate=NEW), status(stable=NEW, last=attempt(Outcome.PROMOTED))) == {
        "weight": 0,
        "verdict": "promoted",
    }


def store() -> tuple[KubernetesStore, MemoryCluster]:
    cluster = MemoryCluster()
    return KubernetesStore(cluster, lambda: NOW), cluster  # type: ignore[arg-type]


def test_conditions_follow_what_is_written_and_the_spec_that_it_follows() -> None:
    kept, cluster = store()
    kept.change_spec(lambda spec: spec.model_copy(update={"candidate": NEW}))
    kept.change_spec(lambda spec: spec.model_copy(update={"candidate": OLD}))
    read = kept.read()
    assert read.generation == 2
    written = kept.write_status(status(observed_generation=2), read.version)
    assert (written.status.observed_generation, written.generation) == (2, 2)
    shown = cluster.get(Kind.ROLLOUTS, NAME)["status"]
    assert shown["observedGeneration"] == 2
    assert {each["type"]: each["status"] for each in shown["conditions"]}["Promoted"] == "True"


@pytest.mark.parametrize(
    ("part", "content", "words"),
    [
        ("status", {"colour": "blue"}, r"does not know, status\.colour.*newer version.*--subresource=status"),
        ("spec", {"colour": "blue"}, r"does not know, spec\.colour"),
        ("spec", {"candidate": "x"}, r"a mistake at spec\.candidate.*delete the object"),
        ("status", {"phase": "Melting"}, r"a mistake at status\.phase"),
    ],
)
def test_what_this_program_does_not_know_is_refused(part: str, content: dict[str, Any], words: str) -> None:
    kept, cluster = store()
    cluster.create(Kind.ROLLOUTS, {"metadata": {"name": NAME}, "spec": content if part == "spec" else {}})
    if part == "status":
        cluster.replace_status(Kind.ROLLOUTS, {**cluster.get(Kind.ROLLOUTS, NAME), "status": content})
    for use in (kept.read, lambda: kept.change_spec(lambda spec: spec)):
        with pytest.raises(UnreadableError, match=words):
            use()


class Pruning(MemoryCluster):
    """A cluster whose definition knows no `message`."""

    def replace_status(self, kind: Kind, content: Any) -> Any:
        cut = {key: value for key, value in content["status"].items() if key != "message"}
        return super().replace_status(kind, {**content, "status": cut})


def test_an_older_definition_that_drops_a_field_is_noticed() -> None:
    kept = KubernetesStore(Pruning())  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"dropped status\.message: kubectl apply"):
        kept.write_status(IDLE, "")


def test_a_cluster_without_the_kind_says_what_to_apply() -> None:
    kept = KubernetesStore(MemoryCluster(failure=UnknownKindError("404 page not found")))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="k8s/platform/crds"):
        kept.read()


def test_a_cluster_that_is_away_is_an_error_of_the_store() -> None:
    kept, cluster = store()
    kept.change_spec(lambda spec: spec)
    cluster.failure = ClusterError("no answer")
    for use in (kept.read, lambda: kept.change_spec(lambda spec: spec), lambda: kept.write_status(IDLE, "1")):
        with pytest.raises(StoreError, match="no answer"):
            use()


def test_a_status_of_an_object_that_is_gone_is_a_conflict() -> None:
    kept, cluster = store()
    version = kept.change_spec(lambda spec: spec).version
    cluster.delete(Kind.ROLLOUTS, NAME)
    with pytest.raises(ConflictError):
        kept.write_status(IDLE, version)
    assert kept.write_status(IDLE, "").status.stable == OLD


def test_a_change_that_is_overtaken_every_time_ends() -> None:
    kept, cluster = store()
    kept.change_spec(lambda spec: spec)

    def overtaken(spec: Spec) -> Spec:
        found = cluster.get(Kind.ROLLOUTS, NAME)
        cluster.replace(Kind.ROLLOUTS, {**found, "metadata": {**found["metadata"], "labels": {}}})
        return spec

    with pytest.raises(ConflictError, match="try it again"):
        kept.change_spec(overtaken)


def test_the_largest_status_stays_well_below_what_etcd_takes() -> None:
    kept, cluster = store()
    many = tuple(event(number, message="x" * 5_000) for number in range(OUTBOX))
    after = kept.write_status(status(outbox=many, events=OUTBOX), "")
    assert len(str(cluster.get(Kind.ROLLOUTS, NAME))) < 1.5 * MOST_BYTES
    assert after.status.outbox[-1].number == OUTBOX - 1
    assert 10 < len(after.status.outbox) < OUTBOX


def event(number: int, kind: str = "rollout.step", message: str = "5 %", **numbers: Any) -> Event:
    return Event(number=number, at=NOW, attempt="one", kind=kind, message=message, numbers=numbers)


def told() -> tuple[KubernetesEvents, MemoryCluster]:
    kept, cluster = store()
    kept.write_status(IDLE, "")
    return KubernetesEvents(cluster), cluster  # type: ignore[arg-type]


def names(cluster: MemoryCluster) -> list[str]:
    return [each["metadata"]["name"] for each in cluster.with_fields(Kind.EVENTS, {})]


def test_what_happens_is_told_of_the_object_once_also_after_a_restart() -> None:
    events, cluster = told()
    several = [event(1), event(2, DECISION), event(3, "rollout.verdict", "x" * 3_000, outcome="rolled back")]
    events.tell(several)
    events.tell(several)
    KubernetesEvents(cluster).tell(several)  # type: ignore[arg-type]
    one, verdict = cluster.with_fields(Kind.EVENTS, {"involvedObject.name": NAME})
    assert names(cluster) == ["scorer.20261123t213000.1", "scorer.20261123t213000.3"]
    assert (one["type"], one["reason"], one["message"]) == ("Normal", "Step", "5 %")
    assert (verdict["type"], verdict["reason"], len(verdict["message"])) == ("Warning", "Verdict", 1024)
    assert one["involvedObject"]["uid"] == cluster.get(Kind.ROLLOUTS, NAME)["metadata"]["uid"]


def test_many_events_are_told_a_few_at_a_time() -> None:
    events, cluster = told()
    events.tell(event(number) for number in range(AT_ONCE + 5))
    assert len(names(cluster)) == AT_ONCE
    events.tell(())
    assert len(names(cluster)) == AT_ONCE + 5


def test_a_cluster_that_takes_no_events_stops_nothing_and_gets_them_later() -> None:
    events, cluster = told()
    cluster.failure = ClusterError("forbidden")
    events.tell([event(1)])
    cluster.failure = None
    events.tell([])
    assert names(cluster) == ["scorer.20261123t213000.1"]


def test_events_are_told_although_the_history_is_away() -> None:
    events, cluster = told()

    class Away(MemoryHistory):
        def add_events(self, events: Any) -> None:  # noqa: ARG002
            raise HistoryError("no database")

    with pytest.raises(HistoryError):
        ToldHistory(Away(), events).add_events([event(1)])
    assert len(names(cluster)) == 1


def test_the_newest_events_can_be_read_from_the_cluster_alone() -> None:
    events, cluster = told()
    events.tell([event(2, message="two"), event(1), event(3, message="three")])
    stranger = {"metadata": {"name": "x"}, "involvedObject": {"kind": "ModelRollout", "name": NAME}}
    cluster.create(Kind.EVENTS, stranger)
    found = events.newest(2)
    assert [(each.number, each.kind, each.attempt, each.message, each.at) for each in found] == [
        (2, "rollout.step", "one", "two", NOW),
        (3, "rollout.step", "one", "three", NOW),
    ]

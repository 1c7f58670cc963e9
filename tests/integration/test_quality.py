"""Labels joined with what was scored, on a real PostgreSQL: what counts, every verdict, and the command."""

from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest
from click.testing import CliRunner
from psycopg.types.json import Jsonb

from monitoring import matured, partitions, quality_reports
from monitoring.cli import cli
from monitoring.evaluation import Evaluation
from monitoring.matured import Asked, Days
from monitoring.quality import Limits
from monitoring.quality_command import judged
from tests.conftest import FIXED_DAY

NOW = datetime(2026, 3, 13, 12, tzinfo=UTC)
WEEK = Days(FIXED_DAY + timedelta(days=1), FIXED_DAY + timedelta(days=8))
"""3 to 9 March: the newest seven days whose events are all three days old."""
TAG = "risk_scorer:abc"
DAY = timedelta(days=1)
LIMITS = Limits(positives=100, coverage=0.5)

INSERT = """
    insert into predictions (request_id, event_id, entity_id, role, tag, occurred_at, scored_at, status, fields, score,
        decision, latency_us) values (%s, %s, %s, %s, %s, %s, %s, 200, %s, %s, %s, 900)"""


@pytest.fixture(scope="module")
def evaluation(model_dir):
    return Evaluation.model_validate_json((model_dir / "evaluation.json").read_bytes())


@pytest.fixture
def store(owner):
    """The owner's connection, with partitions for the days of the tests."""
    partitions.ensure(owner, FIXED_DAY, 14)
    yield owner
    owner.rollback()


def put(store, name, at, *, score=0.1, label=None, delay=DAY, role="stable", tag=TAG, entity=None, decision=None):
    """One event that was scored when it happened, and its label."""
    decision = decision or ("approve" if score < 0.5 else "block")
    fields = Jsonb({"amount": 20.0 + score, "hour": 3, "device_risk": 1, "velocity_5m": None, "channel": "online"})
    store.execute(INSERT, (f"r-{name}-{role}", name, entity or f"c-{name}", role, tag, at, at, fields, score, decision))
    if label is not None:
        store.execute("insert into labels values (%s, %s, %s)", (name, label, at + delay))


def fill(store, evaluation, *, quality=1.0, events=1_600, unlabelled=0.0, seed=1):
    """A week of events whose scores rank as the evaluation's do where `quality` is 1, and not at all where it is 0."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(events) < 0.25).astype(int)
    scores = np.clip(rng.normal(0.3 + 0.35 * quality * labels, 0.1), 0, 1)
    for number, (label, score) in enumerate(zip(labels, scores, strict=True)):
        at = WEEK.start_time + 7 * DAY * number / events
        known = None if rng.random() < unlabelled else int(label)
        put(store, f"e{number}", at, score=float(score), label=known, entity=f"c{number % 300}")
    store.commit()


def report(store, evaluation, *, tag=TAG, days=WEEK, now=NOW, limits=LIMITS, negatives_after=None):
    return judged(store, Asked(tag, now, negatives_after), days, evaluation, limits)


def test_the_window_ends_where_every_event_is_old_enough():
    assert matured.matured_days(NOW, 3 * DAY, 7) == WEEK
    assert matured.matured_days(NOW.replace(hour=0), 3 * DAY, 7) == WEEK


def test_a_week_that_ranks_as_it_should_is_ok_and_one_that_does_not_is_a_loss(store, evaluation):
    fill(store, evaluation)
    good = report(store, evaluation)
    assert (good.verdict, good.events, good.labelled) == ("OK", 1_600, 1_600)
    assert good.pr_auc.low < good.pr_auc.value < good.pr_auc.high
    assert good.metrics.cost_per_1000.value > 0
    assert {each.field for each in good.slices} >= {"hour", "channel", "missing values"}
    assert [each.events for each in good.days] == pytest.approx([229] * 7, abs=2)
    store.execute("delete from labels")
    store.execute("insert into labels select event_id, (random() < .25)::int, occurred_at + '1 h' from predictions")
    bad = report(store, evaluation)
    assert bad.verdict == "QUALITY_LOSS"
    assert f"below the limit of {bad.limit:.4f}" in bad.reason


def test_the_same_labels_give_the_same_report(store, evaluation):
    fill(store, evaluation, events=500)
    assert report(store, evaluation) == report(store, evaluation)


def test_without_rows_labels_or_enough_of_them_it_says_which(store, evaluation):
    assert report(store, evaluation).reason == "the model answered nothing in the window"
    fill(store, evaluation, events=300, unlabelled=1.0)
    assert report(store, evaluation).verdict == "MISSING_DATA"
    store.execute("insert into labels select event_id, 1, occurred_at from predictions limit 99")
    assert report(store, evaluation).reason == "99 labelled positives, 100 are needed"
    assert "labels cover 33%" in report(store, evaluation, limits=Limits(50, 0.5)).reason


def counted(store, **asked):
    found = matured.counts(store, Asked(TAG, NOW, **asked), WEEK)
    return {(each.label, each.hours, each.known, each.events) for each in found}


def test_only_what_the_model_answered_itself_counts(store):
    at = WEEK.start_time
    put(store, "stable", at, label=1)
    put(store, "canary", at, label=1, role="canary")
    put(store, "shadow", at, label=1, role="shadow")
    put(store, "other", at, label=1, tag="risk_scorer:other")
    put(store, "before", at - timedelta(microseconds=1), label=1)
    put(store, "last", WEEK.end_time - timedelta(microseconds=1), label=0)
    put(store, "after", WEEK.end_time, label=1)
    assert counted(store) == {(0, 24, True, 1), (1, 24, True, 2)}


def test_the_newest_label_that_is_known_by_then_counts_and_the_first_says_how_long_it_took(store):
    at = WEEK.start_time
    put(store, "e", at, label=1, delay=5 * timedelta(hours=1))
    store.execute("insert into labels values ('e', 0, %s), ('e', 1, %s)", (at + 2 * DAY, NOW + DAY))
    assert counted(store) == {(0, 5, True, 1)}


def test_an_event_without_a_label_is_unknown_unless_it_is_old_enough_to_be_taken_for_a_negative(store):
    put(store, "old", NOW - 10 * DAY)
    put(store, "young", NOW - 6 * DAY)
    assert counted(store) == {(None, 144, False, 1), (None, 240, False, 1)}
    assert counted(store, negatives_after=7 * DAY) == {(None, 144, False, 1), (0, 240, False, 1)}


def test_a_sample_is_whole_entities_each_event_once_and_always_the_same(store):
    for number in range(400):
        put(store, f"e{number}", WEEK.start_time + DAY * number / 400, label=number % 2, entity=f"c{number % 40}")
    put(store, "e0", WEEK.start_time + 2 * DAY, score=0.9, role="canary")  # sent again: the first score counts
    asked = Asked(TAG, NOW)
    every = matured.sample(store, asked, WEEK, labelled=401)
    assert (len(every.scores), len(set(every.groups.tolist())), every.share) == (400, 40, 1.0)
    assert every.scores.max() == pytest.approx(0.1)
    assert np.isnan(every.columns["velocity_5m"]).all()
    part = matured.sample(store, asked, WEEK, labelled=401, most=100)
    sizes = np.bincount(part.groups)
    assert 20 <= len(part.scores) <= 200
    assert set(sizes.tolist()) == {10}
    again = matured.sample(store, asked, WEEK, labelled=401, most=100)
    assert part.groups.tolist() == again.groups.tolist()


def test_labels_that_follow_the_decision_are_said_aloud(store, evaluation):
    for number in range(600):
        blocked = number % 2 == 0
        label = int(number % 4 == 1) if not blocked or number % 10 == 0 else None
        put(store, f"e{number}", WEEK.start_time + DAY * number / 100, score=0.9 if blocked else 0.1, label=label)
    found = report(store, evaluation)
    assert any("labels cover 100% of 'approve' and 20% of 'block'" in note for note in found.notes)


def run(database, file, *options, user="drift", now=NOW):
    environment = {"MONITORING_DSN": database.dsn(user)}
    arguments = ["quality", "--evaluation", str(file), "--now", now.strftime("%Y-%m-%dT%H:%M:%S%z"), *options]
    return CliRunner().invoke(cli, arguments, env=environment)


def test_the_command_judges_what_served_last_and_records_it(database, store, evaluation, model_dir):
    fill(store, evaluation)
    done = run(database, model_dir / "evaluation.json")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"OK  {TAG}  2026-03-03 to 2026-03-10")
    (row,) = quality_reports.newest(store)
    assert (row.verdict, row.tag, row.events, row.window_end) == ("OK", TAG, 1_600, WEEK.end)
    assert row.pr_auc > row.quality_limit
    numbers = store.execute("select numbers from quality_reports").fetchone()[0]
    assert numbers["delay_hours"]["0.5"] == 25


def test_of_two_runs_on_one_window_the_newer_counts(database, store, evaluation, model_dir):
    fill(store, evaluation, unlabelled=0.9)
    run(database, model_dir / "evaluation.json")
    store.execute("insert into labels select event_id, (score > .5)::int, %s from predictions", (NOW,))
    store.commit()
    run(database, model_dir / "evaluation.json", now=NOW + timedelta(minutes=1))
    (row,) = quality_reports.newest(store, TAG)
    assert row.verdict == "OK"
    assert store.execute("select count(*) from quality_reports").fetchone() == (2,)


def test_a_model_that_answered_nothing_is_recorded_and_told_by_the_exit_code(database, store, model_dir):
    assert run(database, model_dir / "evaluation.json").exit_code == 4
    done = run(database, model_dir / "evaluation.json", "--tag", "risk_scorer:none")
    assert done.exit_code == 4
    assert [row.verdict for row in quality_reports.newest(store)] == ["MISSING_DATA"]


def test_an_evaluation_that_is_none_or_a_user_without_the_right_is_told_by_the_exit_code(
    database, store, evaluation, model_dir, tmp_path
):
    broken = tmp_path / "evaluation.json"
    broken.write_text("{}")
    fill(store, evaluation, events=10)
    assert run(database, broken).exit_code == 3
    assert run(database, model_dir / "evaluation.json", user="reader").exit_code == 6


def test_the_report_holds_no_name_of_an_entity_or_an_event(database, store, model_dir):
    for number in range(300):
        put(store, f"event-of-{number}", WEEK.start_time, label=number % 2, score=number / 300, entity=f"name-{number}")
    store.commit()
    assert run(database, model_dir / "evaluation.json").exit_code == 0
    with psycopg.connect(database.dsn("reader")) as reader:
        (text,) = reader.execute("select string_agg(q::text, ' ') from quality_reports q").fetchone()
    assert "name-" not in text
    assert "event-of-" not in text


def test_the_evaluation_comes_out_of_the_artifact_store_unless_it_is_given(database, store, evaluation, tmp_path):
    fill(store, evaluation, events=10)
    environment = {"MONITORING_DSN": database.dsn("drift"), "MONITORING_ARTIFACTS": None}
    now = NOW.strftime("%Y-%m-%dT%H:%M:%S%z")
    assert CliRunner().invoke(cli, ["quality", "--now", now], env=environment).exit_code == 2
    environment["MONITORING_ARTIFACTS"] = tmp_path.as_uri()
    done = CliRunner().invoke(cli, ["quality", "--now", now], env=environment)
    assert done.exit_code == 8
    assert f"nothing of {TAG} to compare with" in done.output

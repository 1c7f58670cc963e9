"""Comparisons in the store, the logged inputs that they rest on, and what the user who does both may do."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest
from click.testing import CliRunner
from psycopg import errors
from psycopg.types.json import Jsonb

from monitoring import comparisons, logged_inputs
from monitoring.comparisons import Comparison
from monitoring.store import Window
from training import cli, datasets, synthesize

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
STABLE, OTHER = "risk_scorer:aaaaaaaaaaaa", "risk_scorer:bbbbbbbbbbbb"
WINDOW = Window(AT, AT + timedelta(hours=1))


def log(owner, number, *, at=AT, role="stable", status=200, entity=None, fields=None):
    shown = Jsonb({"amount": number, "hour": 3} if fields is None else fields) if status == 200 else None
    owner.execute(
        "insert into predictions (role, request_id, event_id, entity_id, tag, scored_at, status, fields, latency_us) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, 5)",
        [role, f"r{number}", f"e{number}", entity, STABLE, at, status, shown],
    )


def test_the_newest_row_of_two_models_is_found(database, owner):
    row = Comparison(STABLE, OTHER, AT, "accepted", {"n": 1}, AT, AT, 900, 0.01, 0.002, -0.001, 0.0005, 1.1)
    with psycopg.connect(database.dsn("trainer")) as trainer:
        for hours in (1, 3, 2):
            comparisons.add(trainer, Comparison(**{**vars(row), "made_at": AT + timedelta(hours=hours)}))
        comparisons.add(trainer, Comparison(OTHER, STABLE, AT + timedelta(days=1), "not enough data", {}))
    with psycopg.connect(database.dsn("reader")) as reader:
        found = comparisons.newest(reader, STABLE, OTHER)
        assert found == Comparison(**{**vars(row), "made_at": AT + timedelta(hours=3)})
        assert comparisons.newest(reader, OTHER, STABLE).entities is None
        assert comparisons.newest(reader, STABLE, STABLE) is None


def test_a_verdict_that_nobody_knows_is_refused(database):
    with psycopg.connect(database.dsn("trainer")) as trainer, pytest.raises(errors.CheckViolation):
        comparisons.add(trainer, Comparison(STABLE, OTHER, AT, "splendid", {}))


FORBIDDEN = (
    "select * from comparisons",
    "update comparisons set verdict = 'accepted'",
    "delete from comparisons",
    "select score from predictions",
    "select decision from predictions",
    "select tag from predictions",
    "select * from labels",
    "insert into labels values ('e', 1, now())",
    "insert into predictions (request_id) values ('r')",
    "create temporary table mine (a int)",
    "select * from schema_migrations",
)


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_trainer_sees_what_was_sent_and_nothing_of_what_was_answered(database, statement):
    with psycopg.connect(database.dsn("trainer")) as trainer:
        trainer.execute("select request_id, event_id, entity_id, role, scored_at, status, fields from predictions")
        with pytest.raises(errors.InsufficientPrivilege):
            trainer.execute(statement)


def test_only_the_reader_reads_comparisons(database):
    for user in ("stable", "canary", "shadow", "labeller"):
        with psycopg.connect(database.dsn(user)) as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute("select * from comparisons")


def test_logged_inputs_are_what_stable_or_canary_answered_within_the_window_in_order(database, owner):
    log(owner, 2, at=AT + timedelta(minutes=2), entity="c1")
    log(owner, 1, at=AT, role="canary")
    log(owner, 3, at=AT - timedelta(seconds=1))
    log(owner, 4, at=AT + timedelta(hours=1))
    log(owner, 5, role="shadow")
    log(owner, 6, status=422)
    owner.commit()
    with psycopg.connect(database.dsn("trainer")) as trainer:
        found = list(logged_inputs.read(trainer, WINDOW, most=100))
    assert [(each.entity, each.fields["amount"]) for each in found] == [("r1", 1), ("c1", 2)]
    assert found[0].scored_at == AT


def test_of_too_many_inputs_whole_entities_are_taken(database, owner):
    for number in range(3_000):
        log(owner, number, at=AT + timedelta(milliseconds=number), entity=f"c{number % 300}")
    owner.commit()
    with psycopg.connect(database.dsn("trainer")) as trainer:
        found = list(logged_inputs.read(trainer, WINDOW, most=1_000))
        assert found == list(logged_inputs.read(trainer, WINDOW, most=1_000))
        assert len(list(logged_inputs.read(trainer, WINDOW, most=3_000))) == 3_000
    counts = np.unique([each.entity for each in found], return_counts=True)[1]
    assert set(counts.tolist()) == {10}
    assert 700 < len(found) < 1_300


def test_a_comparison_is_predicted_from_the_store_and_added_to_it(database, owner, model_dir, tmp_path):
    now = datetime.now(UTC)
    fresh = datasets.from_frame(synthesize.plain(3_000, seed=3, end=now))
    datasets.write(fresh.frame, tmp_path / "fresh.parquet")
    for number in range(1_200):
        fields = {"amount": number / 3, "hour": number % 24, "device_risk": number % 3, "velocity_5m": number % 11}
        log(owner, number, at=now - timedelta(seconds=2_000 - number), entity=f"c{number % 600}", fields=fields)
    owner.commit()
    arguments = ["compare", "--champion", model_dir, "--challenger", model_dir, "--data", tmp_path / "fresh.parquet"]
    dsn = database.dsn("trainer")
    done = CliRunner().invoke(
        cli.main, [str(each) for each in arguments], env={"TRAINING_DSN": dsn, "TRAINING_WRITE_DSN": dsn}
    )
    assert done.exit_code == 7, done.output  # this model has too few positives in its own evaluation
    (tag,) = owner.execute("select distinct stable from comparisons").fetchone()
    found = comparisons.newest(owner, tag, tag)
    assert (found.verdict, found.entities, found.net_flips, found.flagged_ratio) == ("not good enough", 600, 0, 1)
    assert found.inputs_until == now - timedelta(seconds=801)
    assert json.loads(json.dumps(found.numbers))["prediction"]["by_event"]["n"] == 1_200


def test_a_store_that_refuses_the_user_is_said_so(database, model_dir, tmp_path):
    datasets.write(synthesize.plain(600, seed=3, end=datetime.now(UTC)), tmp_path / "fresh.csv")
    arguments = ["compare", "--champion", model_dir, "--challenger", model_dir, "--data", tmp_path / "fresh.csv"]
    done = CliRunner().invoke(cli.main, [str(each) for each in (*arguments, "--dsn", database.dsn("labeller"))])
    assert done.exit_code == 9
    assert "permission denied" in done.stderr

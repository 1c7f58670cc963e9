import dataclasses
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from bentos.risk_scorer import identity, model_files, scorer
from bentos.risk_scorer.events import FEATURES
from bentos.risk_scorer.model_files import ModelFile
from bentos.risk_scorer.policy import Costs, Policy
from bentos.risk_scorer.reference import number_counts
from training import (
    baseline,
    booster,
    datasets,
    finished_model,
    model_card,
    model_folder,
    reference_days,
    splits,
    synthesize,
)
from training.booster import Rows, TreeOptions
from training.costs import CostOptions, default_costs
from training.errors import ArtifactError, NotEnoughDataError
from training.train import TrainOptions, train

END = datetime(2026, 11, 1, tzinfo=UTC)
OPTIONS = TrainOptions(TreeOptions(trees=60, leaves=15))


@pytest.fixture(scope="module")
def dataset():
    return datasets.from_frame(synthesize.plain(4_000, 2, END))


@pytest.fixture(scope="module")
def model(dataset):
    return train(dataset, OPTIONS)


@pytest.fixture
def folder(model, tmp_path):
    model_folder.write(model, tmp_path / "model")
    return tmp_path / "model"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- training


def test_the_same_data_and_options_give_the_same_bytes(dataset, folder, tmp_path):
    model_folder.write(train(dataset, OPTIONS), tmp_path / "again")
    assert contents(folder) == contents(tmp_path / "again")


def test_other_options_give_another_model(dataset, model):
    for trees in (TreeOptions(trees=60, leaves=7), TreeOptions(trees=60, leaves=15, seed=1)):
        assert train(dataset, TrainOptions(trees)).booster_text != model.booster_text


def test_the_model_learns_and_beats_the_baseline(model):
    evaluation = model.evaluation
    assert evaluation.model.pr_auc.low > 3 * evaluation.base_rate
    assert evaluation.comparison.pr_auc_difference.low > 0
    assert evaluation.comparison.cost_difference.high < 0
    assert evaluation.baseline.cost_per_1000.value < evaluation.approve_all_cost_per_1000
    assert evaluation.model.calibration_error.value < 0.05


def test_only_the_test_part_is_measured(dataset, model):
    parts = splits.three_parts(dataset, OPTIONS.seed)
    assert model.evaluation.tested_on == model.evaluation.split.test
    assert model.evaluation.split.test.first == parts.test.span()[0]
    assert model.evaluation.split.train.last < model.evaluation.split.calibration.first


def test_labels_of_the_test_part_change_no_score(dataset, model):
    order = np.argsort(dataset.times, kind="stable")
    tampered = dataset.frame.copy()
    newest = order[-len(splits.three_parts(dataset, 0).test) :]
    tampered.loc[newest, "label"] = 1 - tampered.loc[newest, "label"]
    other = train(datasets.Dataset(tampered), OPTIONS)
    assert other.booster_text == model.booster_text
    assert other.calibration == model.calibration
    assert other.policy == model.policy


def test_too_little_data_is_refused(dataset):
    with pytest.raises(NotEnoughDataError, match="500 rows, and there are 50"):
        train(dataset.take(np.arange(50)), OPTIONS)


def test_columns_that_are_all_missing_are_no_obstacle(dataset):
    bare = dataset.frame.assign(account_age_days=np.nan, channel=None)
    assert train(datasets.from_frame(bare), OPTIONS).evaluation.model.pr_auc.value > 0.9


def test_trees_grow_as_long_as_they_help(dataset):
    assert booster.tree_count(booster.fit(Rows(dataset.matrix(), dataset.labels), OPTIONS.trees)) == OPTIONS.trees.trees


def test_trees_stop_growing_when_more_do_not_help():
    noise = datasets.from_frame(synthesize.plain(2_000, 1, END))
    labels = (np.random.default_rng(0).random(len(noise)) < 0.3).astype(np.int8)
    text = booster.fit(Rows(noise.matrix(), labels), TreeOptions(trees=300))
    assert booster.tree_count(text) < 50


def test_the_baseline_copes_with_values_it_never_saw(dataset):
    complete = dataset.frame.dropna(subset=[field.name for field in FEATURES])
    data = datasets.from_frame(complete[complete["channel"] != "phone"])
    fitted = baseline.fit(data.matrix(), data.labels)
    assert np.isfinite(baseline.log_odds(fitted, dataset.matrix())).all()


# --- costs


def test_a_missed_positive_costs_its_amount_and_the_work_of_a_review(dataset):
    costs = default_costs(dataset, CostOptions())
    mean = dataset.frame.loc[dataset.labels == 1, "amount"].mean()
    assert costs.review == pytest.approx(0.05 * mean, abs=1e-4)
    assert costs.false_block == pytest.approx(0.5 * mean, abs=1e-4)
    assert (costs.missed, costs.missed_per_amount) == (costs.review, 1)


def test_given_costs_win_and_unknown_amounts_are_no_obstacle(dataset):
    blind = datasets.from_frame(dataset.frame.assign(amount=np.nan))
    unknown = default_costs(blind, CostOptions())
    assert (unknown.missed, unknown.missed_per_amount) == (1, 0)
    costs = default_costs(blind, CostOptions(missed=200, review=7, false_block=30))
    assert (costs.missed, costs.missed_per_amount, costs.review, costs.false_block) == (200, 0, 7, 30)
    assert default_costs(dataset, CostOptions(missed_per_amount=0.4)).missed == 0


# --- reference


def test_the_reference_is_the_newest_28_whole_days(dataset, model):
    reference = model.reference
    assert len(reference.days) == 28
    assert reference.days[-1] == "2026-10-31"
    watched = {field.name for field in FEATURES if field.watch}
    assert set(reference.fields) == watched | {"score", "decision"}
    on_last_day = int((dataset.times >= np.datetime64("2026-10-31")).sum())
    for field in reference.fields.values():
        assert len(field.daily) == len(field.missing) == 28
        assert sum(field.daily[-1]) + field.missing[-1] == on_last_day


def test_a_day_that_the_model_learned_from_has_no_scores(dataset, model):
    parts = splits.three_parts(dataset, OPTIONS.seed)
    learned_until = str(parts.train.times.max().astype("datetime64[D]"))
    amount, score, decision = (model.reference.fields[name] for name in ("amount", "score", "decision"))
    assert "2026-10-04" < learned_until < "2026-10-31"
    for day, seen, scored, decided in zip(model.reference.days, amount.daily, score.daily, decision.daily, strict=True):
        assert sum(scored) == sum(decided) == (0 if day <= learned_until else sum(seen))


def test_the_score_s_days_are_what_the_model_answers_to_rows_that_it_never_saw(dataset, model):
    on_last_day = dataset.take(np.flatnonzero(dataset.times >= np.datetime64("2026-10-31")))
    scores = model.scores(on_last_day.matrix())
    score, decision = model.reference.fields["score"], model.reference.fields["decision"]
    assert number_counts(scores, score.edges)[0] == score.daily[-1]
    decided = Counter(model.policy.decide(each) for each in scores)
    assert decision.categories == ("approve", "review", "block")
    assert decision.daily[-1] == tuple(decided[each] for each in decision.categories)


def test_a_part_of_a_day_is_no_reference_day(dataset):
    frame = dataset.frame[dataset.frame["occurred_at"] < END - timedelta(hours=10)]
    frame = frame[frame["occurred_at"] > END - timedelta(days=3, hours=-2)]
    reference = reference_days.build(datasets.from_frame(frame), answers(frame))
    assert reference.days == ("2026-10-30",)


@pytest.mark.parametrize("days", [0, 0.5])
def test_without_a_whole_day_everything_is_pooled(dataset, days):
    frame = dataset.frame.drop(columns="occurred_at")
    if days:
        frame["occurred_at"] = END + timedelta(hours=6) + np.arange(len(frame)) * timedelta(seconds=5)
    reference = reference_days.build(datasets.from_frame(frame), answers(frame))
    assert reference.days == ()
    score = reference.fields["score"]
    assert [sum(day) for day in score.daily] == [len(frame)]
    assert score.missing == (0,)


@pytest.mark.parametrize("days", [0, 1])
def test_without_a_day_that_was_held_out_whole_the_rows_that_were_stand_for_it(dataset, days):
    frame = dataset.frame.drop(columns="occurred_at")
    if days:
        frame["occurred_at"] = END + timedelta(seconds=1) + np.arange(len(frame)) * timedelta(days=1) / len(frame)
    reference = reference_days.build(datasets.from_frame(frame), answers(frame, learned=1_000))
    assert len(reference.days) == days
    assert [sum(day) for day in reference.fields["score"].daily] == [len(frame) - 1_000]
    assert [sum(day) for day in reference.fields["device_risk"].daily] == [len(frame)]


def answers(frame, learned=0):
    """What a model that learned from the first rows makes of a frame."""
    scores = np.linspace(0, 1, len(frame))
    scores[:learned] = np.nan
    policy = Policy(costs=Costs(missed=1, review=0.1, false_block=1), review_from=0.5, block_from=0.9)
    return reference_days.Answers(scores, np.arange(len(frame)) >= learned, policy)


# --- folder


def test_the_scorer_gives_the_scores_of_training(dataset, model, folder):
    loaded = scorer.load(folder, "risk_scorer:000000000000")
    matrix = dataset.matrix()
    assert loaded.native
    assert loaded.score_matrix(matrix).tolist() == model.scores(matrix).tolist()
    assert [loaded.score_row(row) for row in matrix[:50].tolist()] == model.scores(matrix[:50]).tolist()


def test_the_self_test_has_rows_with_and_without_missing_values(folder):
    described = ModelFile.model_validate_json((folder / model_files.MODEL).read_bytes())
    incomplete = [any(cell is None for cell in row) for row in described.self_test.rows]
    assert 8 <= len(incomplete) <= 16
    assert 0 < sum(incomplete) < len(incomplete)
    assert described.lock_sha256 == identity.file_sha256(identity.LOCK)


def test_json_files_are_strict_and_sorted(folder):
    def fail(constant):
        raise AssertionError(constant)

    for name in model_files.FILES[1:]:
        text = (folder / name).read_text()
        content = json.loads(text, parse_constant=fail)
        assert text == json.dumps(content, sort_keys=True, indent=1) + "\n"


def test_a_model_folder_is_replaced_and_anything_else_is_left_alone(model, folder, tmp_path):
    (folder / model_files.POLICY).write_text("older")
    model_folder.write(model, folder)
    assert "older" not in (folder / model_files.POLICY).read_text()
    (folder / "thesis.odt").write_text("precious")
    with pytest.raises(ArtifactError, match="no model folder"):
        model_folder.write(model, folder)
    assert (folder / "thesis.odt").exists()
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ArtifactError, match="no model folder"):
        model_folder.write(model, tmp_path / "file")
    assert {path.name for path in tmp_path.iterdir()} == {"model", "file"}


def test_a_failed_write_leaves_the_older_model(model, folder, monkeypatch):
    before = contents(folder)
    broken = dataclasses.replace(model, booster_text="\ud800")  # can't be written as UTF-8
    with pytest.raises(UnicodeEncodeError):
        model_folder.write(broken, folder)
    assert contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_without_a_lock_file_nothing_is_written(model, tmp_path):
    with pytest.raises(ArtifactError, match="make lock"):
        model_folder.write(model, tmp_path / "model", lock=tmp_path / "none.lock")
    assert list(tmp_path.iterdir()) == []


# --- a finished model on another file


def test_a_finished_model_is_measured_on_new_data(folder):
    data = datasets.from_frame(synthesize.plain(1_000, 9, END))
    result = finished_model.assess(folder, data, np.random.default_rng(0))
    assert result.tested_on.rows == 1_000
    assert result.model.pr_auc.value > 0.9
    assert (result.split, result.baseline, result.comparison) == (None, None, None)


def test_a_damaged_or_foreign_folder_is_an_artifact_problem(dataset, folder, tmp_path):
    described = json.loads((folder / model_files.MODEL).read_text())
    cases = [
        (
            {"self_test": described["self_test"] | {"scores": [0.5] * len(described["self_test"]["scores"])}},
            "self-test",
        ),
        ({"columns": ["amount"]}, "trained on the columns amount"),
        ({"format": 2}, "can't be read"),
    ]
    for change, words in cases:
        (folder / model_files.MODEL).write_text(json.dumps(described | change))
        with pytest.raises(ArtifactError, match=words):
            finished_model.assess(folder, dataset, np.random.default_rng(0))
    with pytest.raises(ArtifactError, match=r"lacks model\.txt"):
        finished_model.assess(tmp_path, dataset, np.random.default_rng(0))


# --- options of training that the evaluation tells


def test_what_was_chosen_and_why_stands_in_the_evaluation(dataset):
    options = TrainOptions(
        TreeOptions(trees=60, leaves=15, monotone=(("velocity_5m", 1),)), review_capacity=0.001, search=2
    )
    made = train(dataset, options)
    chosen = made.evaluation.training
    assert (len(chosen.search), chosen.monotone) == (2, {"velocity_5m": 1})
    assert chosen.thresholds.review_share <= 0.001
    assert made.policy.review_capacity == made.evaluation.policy.review_capacity == 0.001
    assert chosen.trees == booster.tree_count(made.booster_text)


def test_known_entities_are_those_of_the_training_part(dataset, model):
    parts = splits.three_parts(dataset, OPTIONS.seed)
    seen = set(parts.train.frame["entity_id"])
    rows = {each.band: each.rows for each in model.evaluation.slices if each.field == "entity"}
    assert rows["known"] == sum(entity in seen for entity in parts.test.frame["entity_id"])
    assert sum(rows.values()) == len(parts.test)


def test_of_many_rows_some_decide_the_number_of_trees_and_all_are_grown_on(dataset, monkeypatch):
    monkeypatch.setattr(booster, "_MOST_LEARNERS", 1_000)
    monkeypatch.setattr(booster, "_MOST_JUDGES", 300)
    rows = Rows(dataset.matrix(), dataset.labels)
    assert 500 < rows.older.construct().num_data() <= 1_000
    assert 150 < rows.newest.construct().num_data() <= 300
    assert rows.all.num_data() == len(dataset)


# --- model card


def test_a_card_has_the_tables_of_the_models_own_evaluation(model, folder, tmp_path):
    text = model_card.tables(model.evaluation)
    assert text == model_card.tables(model_folder.read_evaluation(folder))
    for words in ("### Metrics", "### Slices", "### Fairness floors", f"{model.evaluation.model.pr_auc.value:.4f}"):
        assert words in text
    (folder / model_files.EVALUATION).write_text('{"format": 1}')
    with pytest.raises(ArtifactError, match="train the model again"):
        model_folder.read_evaluation(folder)
    with pytest.raises(ArtifactError, match="train a model first"):
        model_folder.read_evaluation(tmp_path)

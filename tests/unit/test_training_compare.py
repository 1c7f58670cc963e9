"""A champion and a challenger: what rows they are compared on, what is predicted for live, and what verdict follows."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from click.testing import CliRunner

from bentos import offline
from bentos.offline import Answers, Program
from bentos.risk_scorer import batch, identity, model_files, scorer
from monitoring.evaluation import Gate
from training import cli, compare, contenders, datasets, event_rows, live_prediction, model_folder, package, synthesize
from training.booster import TreeOptions
from training.compare import Live, Request
from training.comparison import ModelComparison
from training.errors import ArtifactError, DataError, NotEnoughDataError
from training.live_prediction import Inputs
from training.train import TrainOptions, train

END = datetime(2026, 11, 1, tzinfo=UTC)


def noisy(rows, seed, end=END):
    """Events of the plain recipe with every twentieth label wrong, so that no model is perfect."""
    frame = synthesize.plain(rows, seed, end)
    wrong = np.random.default_rng(seed).random(len(frame)) < 0.05
    return frame.assign(label=np.where(wrong, 1 - frame["label"], frame["label"]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models on the same data: `weak` and `strong`."""
    place = tmp_path_factory.mktemp("models")
    dataset = datasets.from_frame(noisy(6_000, 5))
    for name, options in (("weak", TreeOptions(trees=8, leaves=3)), ("strong", TreeOptions(trees=80, leaves=15))):
        model_folder.write(train(dataset, TrainOptions(options)), place / name)
    return place


@pytest.fixture(scope="module")
def fresh():
    """Labelled events of the weeks after the training."""
    frame = noisy(3_000, 6, END + timedelta(days=42))
    return datasets.from_frame(frame.assign(entity_id=[f"e-{number % 700}" for number in range(3_000)]))


@pytest.fixture
def in_process(monkeypatch):
    """The same scoring without a process of its own, which takes a second each time."""

    def score(program, events):
        loaded = scorer.load(program.model, "risk_scorer:000000000000")
        lines = [json.loads(line) for line in batch.answers(loaded, (json.dumps(event) for event in events))]
        return answers(
            [np.nan if each is None else each[0] for each in lines], [each[1] if each else "" for each in lines]
        )

    monkeypatch.setattr(offline, "score", score)


def answers(scores, decisions):
    return Answers(np.array(scores, dtype=float), np.array(decisions, dtype=np.str_))


@pytest.fixture(scope="module")
def live(fresh):
    return Live(list(event_rows.known_features(fresh)), Inputs(fresh.entity_codes))


def compared(folder, rows, live=None, champion="weak", challenger="strong", **options):
    request = Request(contenders.load(str(folder / champion)), contenders.load(str(folder / challenger)), **options)
    return compare.compare(request, rows, live, now=END, rng=np.random.default_rng(0))


def verdicts(found):
    return {gate.name: gate.verdict for gate in found.gates}


# --- scoring offline


def test_a_program_scores_as_the_loaded_model_does_to_the_last_bit(folder, fresh):
    answers = offline.score(Program.of_model(folder / "strong"), event_rows.known_features(fresh))
    loaded = scorer.load(folder / "strong", "risk_scorer:000000000000")
    assert answers.scores.tolist() == loaded.score_matrix(fresh.matrix()).tolist()
    assert answers.decisions.tolist() == [loaded.policy.decide(score) for score in answers.scores.tolist()]


def test_an_event_that_would_be_refused_has_no_score(folder):
    good = {"amount": 5, "hour": 3, "device_risk": 1}  # velocity_5m is not known
    events = [
        good,
        {**good, "amount": -1},
        {**good, "shoe_size": 43},
        {**good, "channel": "fax"},
        {**good, "hour": 3.5},
        good,
    ]
    answers = offline.score(Program.of_model(folder / "strong"), events)  # fmt: skip
    assert answers.refused.tolist() == [False, True, True, True, True, False]
    assert answers.scores[0] == answers.scores[-1]
    assert not answers.flagged[answers.refused].any()


def test_no_events_have_no_answers(folder):
    assert len(offline.score(Program.of_model(folder / "strong"), []).scores) == 0


def test_a_bento_scores_by_its_own_code_and_not_by_ours(folder, tmp_path):
    tag = package.build(folder / "strong", tmp_path)
    bento = tmp_path / "bentos" / tag.replace(":", "/")
    events = [{"amount": 5, "hour": 3, "device_risk": 1, "velocity_5m": 2}]
    before = offline.score(Program.of_bento(bento), events)
    policy = bento / "src" / "bentos" / "risk_scorer" / "policy.py"
    policy.write_text(policy.read_text().replace("return Decision.BLOCK", "return Decision.REVIEW"))
    code = bento / "src" / "bentos" / "risk_scorer" / "calibration.py"
    code.write_text(
        code.read_text().replace("def many(", "def many(self, raw):\n        return raw * 0\n\n    def old(")
    )
    with pytest.raises(offline.OfflineError, match=r"ended with 5 instead of scoring: .*self-test"):
        offline.score(Program.of_bento(bento), events)
    assert before.scores[0] > 0


# --- who is compared


def test_a_contender_is_a_model_folder_a_bentos_folder_or_a_tag(folder, tmp_path):
    tag = package.build(folder / "strong", tmp_path)
    bento = tmp_path / "bentos" / tag.replace(":", "/")
    found = [contenders.load(name, tmp_path) for name in (str(folder / "strong"), str(bento), tag)]
    assert {each.described.tag for each in found} == {tag}
    assert len({each.described for each in found}) == 1
    assert found[0].described.booster_bytes == (folder / "strong" / model_files.BOOSTER).stat().st_size


def test_what_is_no_model_or_not_what_its_tag_says_is_refused(folder, tmp_path):
    with pytest.raises(ArtifactError, match="neither a Bento nor a model folder"):
        contenders.load(str(tmp_path))
    tag = package.build(folder / "strong", tmp_path)
    bento = tmp_path / "bentos" / tag.replace(":", "/")
    with (bento / "src" / "bentos" / identity.NAME / "events.py").open("a") as file:
        file.write("# altered\n")
    with pytest.raises(ArtifactError, match=f"not of {tag}"):
        contenders.load(tag, tmp_path)
    shutil.copytree(folder / "strong", tmp_path / "broken")
    (tmp_path / "broken" / model_files.MODEL).write_text("{}")
    with pytest.raises(ArtifactError, match="not what training writes"):
        contenders.load(str(tmp_path / "broken"))


# --- on which rows


def test_rows_that_a_model_learned_from_are_dropped_and_its_test_part_is_not(folder, fresh, in_process):
    frame = noisy(6_000, 5)  # what both learned from
    found = compared(folder, datasets.from_frame(frame)).rows
    assert (found.given, found.seen + found.compared) == (6_000, 6_000)
    assert 0.18 * 6_000 < found.compared < 0.22 * 6_000
    until = contenders.load(str(folder / "weak")).described.learned_until
    assert datetime.fromisoformat(found.first) > until
    assert compared(folder, fresh).rows.seen == 0


def test_the_later_of_the_two_models_decides_what_is_unseen(folder, fresh, tmp_path, in_process):
    later = datasets.from_frame(noisy(3_000, 6, END + timedelta(days=42)))
    model_folder.write(train(later, TrainOptions(TreeOptions(trees=20, leaves=7))), tmp_path / "later")
    shutil.copytree(folder / "weak", tmp_path / "weak")
    found = compared(tmp_path, fresh, challenger="later").rows
    assert found.seen > 0.75 * found.given
    assert compared(tmp_path, fresh, champion="later", challenger="weak").rows == found


def test_rows_that_are_all_seen_are_not_enough(folder, in_process):
    old = datasets.from_frame(noisy(1_000, 7, END - timedelta(days=42)))
    with pytest.raises(NotEnoughDataError, match="no row is newer"):
        compared(folder, old)


def test_without_times_a_person_must_vouch_and_it_is_recorded(folder, fresh, in_process):
    timeless = datasets.from_frame(fresh.frame.drop(columns="occurred_at"))
    with pytest.raises(DataError, match="nobody can tell which rows are unseen"):
        compared(folder, timeless)
    found = compared(folder, timeless, vouched=True)
    assert (found.rows.vouched, found.rows.compared) == (True, 3_000)


def test_only_the_newest_rows_are_used(folder, fresh, monkeypatch, in_process):
    monkeypatch.setattr(compare, "MOST_ROWS", 1_000)
    found = compared(folder, fresh).rows
    assert (found.compared, found.older) == (1_000, 2_000)
    assert datetime.fromisoformat(found.last) == datetime.fromisoformat(fresh.span()[1])


# --- the verdict


def test_a_better_model_passes_the_gate_on_ranking_and_its_mirror_image_does_not(folder, fresh, in_process):
    good = compared(folder, fresh, mode="better")
    failed = [name for name, verdict in verdicts(good).items() if verdict == "failed"]
    assert all(name.startswith("recall kept") for name in failed)  # the weak model flags more, so it finds more
    assert good.comparison.pr_auc_difference.low > 0
    bad = compared(folder, fresh, champion="strong", challenger="weak", mode="non-inferior")
    assert verdicts(bad)["non-inferior"] == "failed"
    assert (bad.verdict, "non-inferior" in bad.why) == ("not good enough", True)
    difference, mirror = (each.comparison.pr_auc_difference.value for each in (good, bad))
    assert difference == pytest.approx(-mirror)


def test_the_same_model_is_non_inferior_but_not_better(folder, fresh, live, in_process):
    same = compared(folder, fresh, live, champion="strong")
    assert (same.verdict, same.comparison.pr_auc_difference.value) == ("accepted", 0)
    assert same.prediction.by_entity.net_flips.value == same.prediction.by_event.flips == 0
    assert same.prediction.by_event.flagged_ratio == 1
    assert compared(folder, fresh, champion="strong", mode="better").verdict == "not good enough"


def test_few_positives_are_not_enough_data_whatever_else(folder, fresh, in_process):
    found = compared(folder, fresh.take(np.arange(400)))
    assert (found.verdict, found.why.split(":")[0]) == ("not enough data", "enough positives")


def test_few_logged_inputs_are_not_enough_data_and_none_given_hold_nothing_up(folder, fresh, live, in_process):
    few = Live(live.events[:50], Inputs(live.inputs.entities[:50]))
    assert compared(folder, fresh, few, champion="strong").verdict == "not enough data"
    assert (
        compared(folder, fresh, Live([], Inputs(np.empty(0, np.int64))), champion="strong").verdict == "not enough data"
    )
    unasked = compared(folder, fresh, champion="strong")
    assert (unasked.verdict, unasked.prediction) == ("accepted", None)
    assert verdicts(unasked)["enough logged inputs"] == "not evaluated"


def test_a_challenger_that_failed_its_own_gates_is_refused_unless_forced(folder, fresh, tmp_path, in_process):
    for forced, verdict in ((False, "not good enough"), (True, "accepted")):
        place = tmp_path / str(forced)
        shutil.copytree(folder / "strong", place / "strong")
        file = place / "strong" / model_files.EVALUATION
        content = json.loads(file.read_text()) | {"forced": forced}
        content["gates"][3]["verdict"] = "failed"
        file.write_text(json.dumps(content))
        found = compared(place, fresh, champion="strong")
        assert (found.verdict, verdicts(found)["absolute gates"]) == (verdict, "passed" if forced else "failed")
        assert not forced or "FORCED" in next(each.detail for each in found.gates if each.name == "absolute gates")


def gate(name, verdict):
    return Gate(name=name, verdict=verdict, detail="because")


@pytest.mark.parametrize(
    ("gates", "approvals", "verdict"),
    [
        ([gate("better", "passed"), gate("x", "not evaluated")], [], "accepted"),
        ([gate("better", "passed")], ["flips"], "needs approval"),
        ([gate("better", "failed")], ["flips"], "not good enough"),
        ([gate("better", "failed"), gate("enough positives", "failed")], [], "not enough data"),
    ],
)
def test_verdicts_come_in_their_order(gates, approvals, verdict):
    assert compare.judged(gates, approvals)[0] == verdict


def test_a_model_of_quite_another_size_or_with_other_columns_needs_approval(folder, in_process):
    weak, strong = (contenders.load(str(folder / name)) for name in ("weak", "strong"))
    assert compare.changes(weak, strong)[0].startswith("a file of ")
    assert compare.changes(strong, strong) == ()
    columns = (*strong.described.columns[1:], "shoe_size")
    other = contenders.Loaded(
        strong.described.model_copy(update={"columns": columns}), strong.program, strong.policy, strong.evaluation
    )
    assert compare.changes(strong, other) == ("other columns than the champion's: shoe_size new, amount gone",)


def test_scores_that_hardly_differ_fail():
    assert compare._scores_differ(np.repeat(np.arange(9) / 10, 5)).verdict == "failed"
    assert compare._scores_differ(np.arange(10) / 10).verdict == "passed"


# --- the expected live difference


def test_a_prediction_by_hand():
    entities = np.array([0, 0, 0, 1, 2])
    champion = answers([0.1, 0.1, 0.1, 0.6, np.nan], ["approve"] * 3 + ["review", ""])
    challenger = answers([0.2, 0.7, 0.7, 0.5, 0.9], ["approve", "block", "review", "approve", "block"])
    found = live_prediction.predict(Inputs(entities), champion, challenger)
    assert (found.inputs, found.champion_refused, found.challenger_refused) == (5, 1, 0)
    first, every = found.by_entity, found.by_event
    # The first events: entity 0 stays approved, entity 1 is no longer reviewed.
    assert (first.n, first.net_flips.value, first.flips) == (2, -0.5, 0.5)
    assert (first.champion_flagged, first.challenger_flagged, first.flagged_ratio) == (0.5, 0, 0)
    assert first.score_difference.value == pytest.approx(0)
    # All four: two up, one down.
    assert (every.n, every.net_flips.value, every.flips, every.flagged_ratio) == (4, 0.25, 0.75, 2)
    # Entities' summed residuals are 2 - 3/4 and -1 - 1/4.
    assert every.net_flips.se == pytest.approx(np.sqrt(2 * (1.25**2 + 1.25**2)) / 4)


def test_the_standard_error_by_entity_is_that_of_repeated_samples():
    rng = np.random.default_rng(0)
    means, errors = [], []
    for _ in range(400):
        sizes = rng.integers(1, 9, 200)
        entities = np.repeat(np.arange(200), sizes)
        shift = np.repeat(rng.normal(0, 1, 200), sizes) + rng.normal(0, 0.3, len(entities))
        estimate = live_prediction._mean(shift, entities)
        means.append(estimate.value)
        errors.append(estimate.se)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.08)
    assert np.mean(errors) > 1.5 / np.sqrt(4.5 * 200)  # as if events were independent, it would be 1 / sqrt(n)


def test_what_only_the_challenger_refuses_fails_above_one_in_a_thousand():
    for refused, verdict in ((1, "passed"), (2, "failed")):
        champion = answers([0.1] * 1000, ["approve"] * 1000)
        challenger = answers(
            [np.nan] * refused + [0.1] * (1000 - refused), [""] * refused + ["approve"] * (1000 - refused)
        )
        found = live_prediction.predict(Inputs(np.arange(1000)), champion, challenger)
        assert live_prediction.accepts_what_is_sent(found).verdict == verdict
    assert (
        live_prediction.predict(Inputs(np.arange(2)), answers([np.nan] * 2, [""] * 2), answers([0.1] * 2, [""] * 2))
        is None
    )


def predicted(champion_flags, challenger_flags, count=1_000):
    sides = [
        answers([0.1] * count, ["review"] * flags + ["approve"] * (count - flags))
        for flags in (champion_flags, challenger_flags)
    ]
    return live_prediction.predict(Inputs(np.arange(count)), *sides)


@pytest.mark.parametrize(
    ("champion", "challenger", "words"),
    [
        (100, 120, None),
        (100, 121, "net flips of +2.10%"),
        (100, 79, "net flips of -2.10%"),
        (10, 20, None),
        (10, 21, "2.10 times"),
        (10, 5, None),
        (10, 4, "0.40 times"),
        (0, 3, "where the champion flags none"),
        (0, 0, None),
    ],
)
def test_a_change_beyond_the_policy_needs_approval(champion, challenger, words):
    found = live_prediction.approvals(predicted(champion, challenger))
    assert bool(found) is (words is not None)
    assert words is None or all(words in each for each in found)


def test_enough_inputs_are_counted_in_entities():
    assert live_prediction.enough_inputs(predicted(0, 0, 500)).verdict == "passed"
    assert live_prediction.enough_inputs(predicted(0, 0, 499)).verdict == "failed"
    assert live_prediction.enough_inputs(None).verdict == "failed"


# --- the command


@pytest.fixture
def run(folder, fresh, tmp_path):
    datasets.write(fresh.frame, tmp_path / "fresh.parquet")

    def command(*arguments, champion="weak", challenger="strong", data=None):
        pair = ("--champion", folder / champion, "--challenger", folder / challenger)
        call = ["compare", *pair, "--data", data or tmp_path / "fresh.parquet", *arguments]
        return CliRunner().invoke(cli.main, [str(each) for each in call])

    return command


def test_the_exit_code_is_the_verdicts(run, fresh, tmp_path):
    done = run("--out", tmp_path / "c.json", "--inputs", tmp_path / "fresh.parquet", champion="strong")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "# Accepted")
    found = ModelComparison.model_validate_json((tmp_path / "c.json").read_text())
    assert found.prediction.by_entity.n == fresh.frame["entity_id"].nunique()
    assert run(champion="strong", challenger="weak").exit_code == 7
    datasets.write(fresh.frame.iloc[:400], tmp_path / "few.csv")
    assert run(data=tmp_path / "few.csv").exit_code == 4


def test_logged_inputs_come_from_a_file_of_json_lines(run, tmp_path):
    lines = [{"entity_id": f"e-{number % 600}", "fields": {"amount": number, "hour": 3}} for number in range(1_200)]
    file = tmp_path / "inputs.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    done = run("--inputs", file, champion="strong")
    assert done.exit_code == 0, done.output
    assert "From 1,200 logged inputs" in done.stdout
    file.write_text('{"fields": {}}\n{"amount": 1}\n')
    done = run("--inputs", file)
    assert (done.exit_code, f"{file}, line 2" in done.stderr) == (3, True)


def test_wrong_calls(run, tmp_path):
    assert run("--inputs", tmp_path / "fresh.parquet", "--dsn", "postgresql://x").exit_code == 2
    assert run(champion="nobody").exit_code == 5
    done = run("--dsn", "postgresql://trainer@127.0.0.1:1/none")
    assert (done.exit_code, "no session with the database in --dsn" in done.stderr) == (9, True)

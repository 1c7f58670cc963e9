import pytest
from click.testing import CliRunner

from bentos import artifacts
from bentos.risk_scorer import model_files
from monitoring.evaluation import Evaluation
from training import cli

ODD_NAMES = ["Jörg Müller", "Anna Lena", "O'Neill", "名前", "e-1"]


@pytest.fixture
def run():
    """Runs a command; its result has exit_code, stdout and stderr."""
    runner = CliRunner()

    def command(*arguments):
        result = runner.invoke(cli.main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return command


@pytest.fixture
def csv(tmp_path):
    """A file that no recipe made: other columns' order, missing values, odd names, no times, a rule of its own."""
    lines = ["label,entity_id,velocity_5m,shop,amount,channel,hour,device_risk"]
    state = 12345
    for number in range(6_000):
        draws = []
        for _ in range(5):
            state = (state * 1103515245 + 12345) % 2**31
            draws.append(state / 2**31)
        amount, hour, risk, velocity = draws[0] * 400, int(draws[1] * 24), int(draws[2] * 3), int(draws[3] * 20)
        label = int((amount > 300 and hour >= 22) or (velocity > 17 and risk == 1) or draws[4] < 0.005)
        shown = "" if number % 13 == 0 else f"{amount:.2f}"
        name = f"{ODD_NAMES[number % 5]} {number % 700}"
        lines.append(
            f"{label},{name},{velocity},s{number % 9},{shown},{'NA' if number % 4 else 'online'},{hour},{risk}"
        )
    path = tmp_path / "own.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_file_of_ones_own_goes_the_whole_way(run, csv, tmp_path):
    model, report, home = (tmp_path / name for name in ("model", "evaluation.md", "home"))
    trained = run("train", "--data", csv, "--out", model, "--evaluation-report", report, "--trees", 100)
    assert trained.exit_code == 6, trained.stderr  # its test part has few positives
    trained = run("train", "--data", csv, "--out", model, "--evaluation-report", report, "--trees", 100, "--force")
    assert trained.exit_code == 0, trained.stderr
    assert "no occurred_at" in trained.stderr
    assert "ignored: shop" in trained.stderr
    assert "became h-" in trained.stderr
    evaluation = Evaluation.model_validate_json((model / model_files.EVALUATION).read_bytes())
    assert "FORCED: the model failed enough positives" in trained.stderr
    assert (evaluation.forced, [gate.name for gate in evaluation.failed]) == (True, ["enough positives"])
    assert evaluation.model.pr_auc.low > 3 * evaluation.base_rate
    assert report.read_text().startswith("# Evaluation\n")
    assert "Müller" not in "".join(path.read_text() for path in model.iterdir())

    measured = run("evaluate", "--model", model, "--data", csv)
    assert measured.exit_code == 0, measured.stderr
    assert "**PR-AUC" in measured.stdout

    for name, start in (("e.html", "<!doctype html>"), ("e.json", "{"), ("e.md", "# Evaluation")):
        assert run("evaluate", "--model", model, "--data", csv, "--out", tmp_path / name).exit_code == 0
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    assert run("evaluate", "--model", model, "--data", csv, "--out", tmp_path / "e.pdf").exit_code == 2

    assert run("card", "--model", model, "--out", tmp_path / "card.md").exit_code == 0
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == run("card", "--model", model).stdout

    packaged = run("package", "--model", model, "--home", home)
    assert packaged.exit_code == 0, packaged.stderr
    tag = packaged.stdout.strip()
    assert (home / "bentos" / tag.replace(":", "/") / "bento.yaml").is_file()


def test_fifty_rows_exit_with_4(run, csv, tmp_path):
    csv.write_text("\n".join(csv.read_text(encoding="utf-8").splitlines()[:51]), encoding="utf-8")
    result = run("train", "--data", csv, "--out", tmp_path / "model")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "Error: training needs at least 500 rows, and there are 50\n" in result.stderr
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only_exits_with_4(run, csv, tmp_path, label):
    text = csv.read_text(encoding="utf-8")
    csv.write_text(
        "\n".join(f"{label}{line[1:]}" if line[0] in "01" else line for line in text.splitlines()), encoding="utf-8"
    )
    result = run("train", "--data", csv, "--out", tmp_path / "model")
    assert result.exit_code == 4
    assert f"0 of the 6000 rows have label {1 - label}" in result.stderr


def test_data_that_cannot_be_used_exits_with_3(run, csv, tmp_path):
    csv.write_text(csv.read_text(encoding="utf-8").replace(",online,", ",fax,"), encoding="utf-8")
    for data in (csv, tmp_path / "none.csv"):
        result = run("train", "--data", data, "--out", tmp_path / "model")
        assert result.exit_code == 3
        assert str(data) in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments", [("train",), ("synthesize", "--rows", "0"), ("train", "--cost-review", "0"), ("x",)]
)
def test_a_wrong_call_exits_with_2(run, arguments):
    assert run(*arguments).exit_code == 2


def test_a_folder_that_is_no_model_exits_with_5(run, csv, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text.odt").write_text("precious")
    for arguments in (
        ("package", "--model", tmp_path / "thesis"),
        ("evaluate", "--model", tmp_path / "thesis", "--data", csv),
        ("train", "--data", csv, "--out", tmp_path / "thesis", "--trees", 3),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stderr.splitlines()[-1][:6]) == (5, "Error:")
    assert (tmp_path / "thesis" / "text.odt").exists()


def test_publish_prints_where_the_bento_is_and_fails_with_5(run, monkeypatch):
    def publish(tag, url, home=None):
        if tag == "risk_scorer:0":
            raise artifacts.NotFoundError("risk_scorer:0 is not in the store")
        return f"{url}/{tag}"

    monkeypatch.setattr(artifacts, "publish", publish)
    done = run("publish", "risk_scorer:1", "--to", "file:///srv")
    assert (done.exit_code, done.stdout) == (0, "file:///srv/risk_scorer:1\n")
    failed = run("publish", "risk_scorer:0", "--to", "file:///srv")
    assert (failed.exit_code, failed.stderr) == (5, "Error: risk_scorer:0 is not in the store\n")


def test_synthesize_is_the_same_file_for_the_same_day(run, tmp_path):
    for name, day in (("a.csv", "2026-11-01"), ("b.csv", "2026-11-01"), ("c.csv", "2026-11-02")):
        assert run("synthesize", "--rows", 100, "--until", day, "--out", tmp_path / name).exit_code == 0
    contents = [(tmp_path / name).read_bytes() for name in ("a.csv", "b.csv", "c.csv")]
    assert contents[0] == contents[1] != contents[2]


def test_help_tells_the_exit_codes(run):
    text = " ".join(run("--help").stdout.split())
    assert "3 data that can't be read or used, 4 not enough data" in text

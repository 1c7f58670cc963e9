"""The commands of `python -m monitoring`, and the page that they make."""

import html.parser
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jinja2
import psycopg
import pytest
from click.testing import CliRunner

from monitoring import migrations, page, report, shell, store
from monitoring.cli import cli

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
STABLE, CANARY = "risk_scorer:aaaaaaaaaaaa", "risk_scorer:bbbbbbbbbbbb"
INTERVAL = {"value": 0.6, "low": 0.5, "high": 0.7, "sd": 0.05}
METRICS = {"pr_auc": INTERVAL, "curve": [{"recall": 0, "precision": 1}, {"recall": 1, "precision": 0.1}], "brier": 0.1}
EVALUATION = {
    "format": 1,
    "base_rate": 0.1,
    "model": METRICS,
    "baseline": METRICS,
    "notes": ["more than the page reads"],
}


def run(*arguments, dsn=None, **environment):
    names = {f"MONITORING_{name}": None for name in ("DSN", *(f"PASSWORD_{user.upper()}" for user in migrations.USERS))}
    return CliRunner().invoke(cli, arguments, env=names | environment | ({"MONITORING_DSN": dsn} if dsn else {}))


@pytest.fixture
def filled(database, owner):
    """Forty requests, a quarter by canary, each mirrored; two of them refused; the first thirty labelled."""
    for number in range(40):
        side = "canary" if number % 4 == 0 else "stable"
        score = None if number in (7, 11) else number / 50
        for role in (side, "shadow"):
            tag = STABLE if role == "stable" else CANARY
            seen = score if score is None or tag == STABLE else score + 0.05
            decision = None if seen is None else "block" if seen > 0.7 else "review" if seen > 0.5 else "approve"
            owner.execute(
                "insert into predictions (role, request_id, event_id, entity_id, tag, scored_at, status, score, "
                "decision, latency_us) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [role, f"r{number}", f"e{number}", f"c{number % 8}", tag, AT + timedelta(seconds=number),
                 422 if score is None else 200, seen, decision, 500 + 10 * number],
            )  # fmt: skip
        if number < 30:
            owner.execute("insert into labels values (%s, %s, %s)", [f"e{number}", int(number % 3 == 0), AT])
    owner.commit()
    return database


def test_migrate_partitions_and_labels_from_an_empty_database(empty_database, tmp_path, postgres):
    done = run("migrate", dsn=empty_database, MONITORING_PASSWORD_READER="test's reader")
    files = ", ".join(file.name for file in migrations.migrations())
    assert (done.exit_code, done.output) == (0, f"applied {files}\n")
    assert run("migrate", dsn=empty_database).output == "the schema was up to date\n"
    assert run("partitions", "--ahead", "2", dsn=empty_database).output.count("predictions_") == 3
    assert run("partitions", "--ahead", "2", dsn=empty_database).output == "every partition was there\n"
    file = tmp_path / "labels.csv"
    file.write_text("event_id,label\na,1\nb,0\n")
    assert (
        run("labels", "import", str(file), dsn=empty_database).output
        == "2 imported; 0 known before\n2 events are unknown: never scored, forgotten, or still in a scorer's spool\n"
    )
    assert (
        run("labels", "import", str(file), "--no-look-up", dsn=empty_database).output == "0 imported; 2 known before\n"
    )


def test_every_failure_has_its_exit_code_and_a_sentence(database, empty_database, tmp_path):
    csv, out = tmp_path / "labels.csv", tmp_path / "page.html"
    csv.write_text("event_id,label\na,7\n")
    for arguments, dsn, code, sentence in (
        (["migrate"], None, 2, "MONITORING_DSN: Field required"),
        (["migrate"], "nonsense", 2, "is no connection string"),
        (["report", "--out", str(out), "--evaluation", "no-file"], database.owner, 2, "is not TAG=FILE"),
        (["labels", "import", str(csv)], database.dsn("labeller"), 3, "label is '7', not 0 or 1"),
        (["report", "--out", str(out), "--evaluation", f"x={csv}"], database.owner, 3, "can't be read as JSON"),
        (["report", "--out", str(out)], database.dsn("reader"), 4, "nothing to report"),
        (["migrate"], "postgresql://u:secret@127.0.0.1:1/x", 5, "no session with the database"),
        (["report", "--out", str(out)], empty_database, 6, "python -m monitoring migrate"),
        (["partitions"], empty_database, 6, "python -m monitoring migrate"),
        (["report", "--out", str(out)], database.dsn("stable"), 6, "has no right to do that"),
    ):
        done = run(*arguments, dsn=dsn)
        assert (done.exit_code, sentence in done.output) == (code, True), (arguments, done.output)
        assert "secret" not in done.output
        assert "Traceback" not in done.output
    assert not out.exists()


def test_help_names_every_setting_and_exit_code():
    text = " ".join(run("--help").output.split())
    assert all(f"MONITORING_PASSWORD_{user.upper()}" in text for user in migrations.USERS)
    assert "MONITORING_DSN" in text
    assert "4 nothing to report" in text


def test_the_report_command_writes_a_page_of_the_window(filled, tmp_path):
    out, evaluation = tmp_path / "page.html", tmp_path / "evaluation.json"
    evaluation.write_text(json.dumps(EVALUATION))
    done = run(
        "report", "--out", str(out), "--since", "2026-03-02T10:00:10", "--until", "2026-03-02T10:00:20+0000",
        "--evaluation", f"{STABLE}={evaluation}", dsn=filled.dsn("reader"),
    )  # fmt: skip
    assert (done.exit_code, done.output) == (0, f"wrote {out}\n")
    text = out.read_text(encoding="utf-8")
    assert "10 requests from 2026-03-02 10:00:10 to 10:00:19 UTC" in text
    assert "0.600" in text


def collect(filled, **more):
    with psycopg.connect(filled.dsn("reader")) as reader:
        return report.collect(reader, AT, **more)


def test_the_numbers_of_a_report(filled):
    numbers = collect(filled, evaluations={STABLE: EVALUATION})
    assert [(each.role, each.requests, each.share) for each in numbers.traffic] == [
        ("stable", 30, 0.75), ("canary", 10, 0.25), ("shadow", 40, 1.0),
    ]  # fmt: skip
    assert numbers.stickiness == store.Stickiness(entities=8, moved=0)
    assert [(each.left, each.right, each.pairs.pairs) for each in numbers.comparisons] == [
        ("stable", "shadow", 28), ("canary", "shadow", 10),
    ]  # fmt: skip
    assert sum(each.pairs for each in numbers.comparisons[0].bins) == 28
    assert numbers.comparisons[0].pairs.mean == pytest.approx(0.05)
    assert numbers.comparisons[1].pairs.high == 0
    live = {each.tag: each for each in numbers.live}
    assert {tag: (each.events, each.positives) for tag, each in live.items()} == {STABLE: (20, 7), CANARY: (28, 10)}
    assert numbers.evaluations[STABLE].model.pr_auc.value == 0.6


def test_an_evaluation_of_another_shape_is_refused(filled):
    with pytest.raises(report.InputError, match=f"evaluation of {STABLE} is not what"):
        collect(filled, evaluations={STABLE: {"model": 3}})


class Page(html.parser.HTMLParser):
    """What a reader without JavaScript gets, and what a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.text, self.fetched, self.ids, self.links, self.described, self._hidden = [], [], [], [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self._hidden += tag in ("script", "style")
        self.fetched += [given[name] for name in ("src", "srcset", "data", "action") if name in given]
        self.fetched += [given["href"]] if tag == "link" else []
        self.links += [given["href"]] if tag == "a" else []
        self.ids += [given["id"]] if "id" in given else []
        self.described += [given.get("aria-label")] if given.get("role") == "img" else []

    def handle_endtag(self, tag):
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data):
        if not self._hidden:
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).replace("\N{NARROW NO-BREAK SPACE}", " ").split())


def figures(text):
    return json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)[1])


def test_the_page_fetches_nothing_and_says_everything_in_words(filled):
    checks = [report.Check("Rows match", True, "40 of 40"), report.Check("<b>Shares</b>", False, "25 % & not 30 %")]
    text = page.render(collect(filled, checks=checks, evaluations={STABLE: EVALUATION}))
    parsed = Page(text)
    assert parsed.fetched == []
    assert "default-src 'none'" in text
    assert text.count("plotly.js v") == 1
    for said in (
        "1 of 2 checks did not hold",
        "✗ did not hold",
        "<b>Shares</b>",
        "25 % & not 30 %",
        "stable answered 75.0 %, canary answered 25.0 %, shadow saw 100 % as copies",
        "Each of 8 entities was answered by one side only.",
        "Shadow gave each of 10 requests the very score that canary gave it.",
        "No decision differs between canary and shadow.",
        "its PR-AUC is 0.600 (95 % interval 0.500 to 0.700), the baseline's 0.600",
        "On 20 live events whose label is known:",
        "422: 2",
    ):
        assert said in parsed.words, said
    assert {link.removeprefix("#") for link in parsed.links} <= set(parsed.ids)
    assert len(parsed.described) == len(figures(text))
    assert all(parsed.described)


def test_the_drawings_hold_the_numbers(filled):
    drawn = figures(page.render(collect(filled, evaluations={STABLE: EVALUATION})))
    assert set(drawn) == {
        "traffic", "latency", "decisions", "stable-shadow", f"quality-{STABLE}", f"quality-{CANARY}",
    }  # fmt: skip
    rates = {trace["name"]: sum(trace["y"]) for trace in drawn["traffic"]["data"]}
    assert rates == {"stable": 30, "canary": 10, "shadow": 40}
    assert all(trace["y"][-1] == 1 for trace in drawn["latency"]["data"])
    (bars,) = drawn["stable-shadow"]["data"]
    assert sum(bars["y"]) == pytest.approx(1)
    assert [trace["name"] for trace in drawn[f"quality-{STABLE}"]["data"]] == ["model", "baseline", "chance", "live"]


def test_one_role_alone_without_scores_makes_a_page(database, owner, tmp_path):
    owner.execute(
        "insert into predictions (role, request_id, event_id, tag, scored_at, status, latency_us) "
        "values ('shadow', 'r', 'e', %s, %s, 422, 9)",
        [STABLE, AT],
    )
    owner.commit()
    parsed = Page(page.render(collect(database)))
    assert "1 request, and what became of them" in parsed.words
    assert "Nothing was decided." in parsed.words
    assert "No request named its entity" in parsed.words


def test_a_page_that_fails_leaves_the_old_one(filled, tmp_path, monkeypatch):
    out = tmp_path / "page.html"
    page.write(collect(filled), out)
    before = out.read_text(encoding="utf-8")
    monkeypatch.setattr(shell, "FOLDER", Path("no-such-folder"))
    with pytest.raises(jinja2.TemplateNotFound):
        page.write(collect(filled), out)
    assert out.read_text(encoding="utf-8") == before
    assert list(tmp_path.iterdir()) == [out]

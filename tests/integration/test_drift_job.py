"""The daily job on a real store: every verdict, missed days, days judged again, two jobs at once, and what can fail."""

import json
import threading
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from bentos import artifacts
from bentos.risk_scorer.reference import Reference
from monitoring import drift, drift_job, drift_reports, migrations, windows
from monitoring.cli import cli
from monitoring.drift import Verdict
from tests.conftest import FIXED_DAY
from tests.doubles.drifting_days import ROWS, TAG, add_day, reference
from training import package

OTHER = "risk_scorer:000000000002"
NEXT_MORNING = datetime.combine(FIXED_DAY + timedelta(days=1), time(6), tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "reference.json"
    path.write_text(reference().model_dump_json(), encoding="utf-8")
    return path


def run(database, *arguments, now=NEXT_MORNING, **environment):
    names = {f"MONITORING_PASSWORD_{user.upper()}": None for user in migrations.USERS} | {"MONITORING_ARTIFACTS": None}
    at = ["--now", now.strftime("%Y-%m-%dT%H:%M:%S%z")]
    given = {"MONITORING_DSN": database if isinstance(database, str) else database.dsn("drift")}
    return CliRunner().invoke(cli, ["drift", *at, *map(str, arguments)], env=names | given | environment)


def verdicts(owner):
    """Verdict and tag of the newest report of each day."""
    return {each.report.day: (each.report.verdict, each.tag) for each in drift_reports.newest(owner)}


# --- verdicts


@pytest.mark.parametrize(
    ("day", "verdict", "reason"),
    [
        ({}, Verdict.OK, "every field is within its threshold"),
        ({"rows": 499}, Verdict.INSUFFICIENT_DATA, "499 rows; a day needs 500"),
        ({"missing": 0.2, "factor": 9}, Verdict.DATA_FAULT, "amount: 20.0% missing, above 3.0%"),
        ({"refused": 20}, Verdict.DATA_FAULT, "2.4% of the requests were refused, mostly for amount, above 2.0%"),
        ({"factor": 1.5}, Verdict.DRIFT, "amount: PSI "),
    ],
)
def test_a_day_gets_its_verdict(database, owner, file, day, verdict, reason):
    add_day(owner, FIXED_DAY, **day)
    done = run(database, "--reference", file)
    assert done.exit_code == 0
    assert f"day={FIXED_DAY} verdict={verdict} tag={TAG} rows={day.get('rows', ROWS)}: {reason}" in done.output
    assert verdicts(owner) == {FIXED_DAY: (verdict, TAG)}


def test_a_day_without_rows_is_missing_data_of_the_model_before_it(database, owner, file):
    add_day(owner, FIXED_DAY - timedelta(days=1))
    assert run(database, "--reference", file).exit_code == 0
    assert verdicts(owner)[FIXED_DAY] == (Verdict.MISSING_DATA, TAG)


def test_a_report_stands_in_the_store_as_it_was_made_and_can_be_made_again_from_there(database, owner, file):
    add_day(owner, FIXED_DAY, factor=1.5, refused=3)
    run(database, "--reference", file)
    (found,) = drift_reports.newest(owner)
    counted = windows.count(owner, FIXED_DAY, TAG, reference())
    assert (found.judged_at, found.sampled) == (NEXT_MORNING, ROWS)
    assert found.report == drift.judge(counted.window, drift.calibrated(reference()))
    assert drift_reports.counts(owner, FIXED_DAY) == counted.window


# --- which days


def test_missed_days_are_caught_up_from_the_first_row_on_and_never_twice(database, owner, file):
    days = [FIXED_DAY - timedelta(days=back) for back in (3, 2, 0)]
    for day in days:
        add_day(owner, day)
    done = run(database, "--reference", file)
    assert [line.split()[1:3] for line in done.output.splitlines()] == [
        [f"day={FIXED_DAY - timedelta(days=3)}", "verdict=OK"],
        [f"day={FIXED_DAY - timedelta(days=2)}", "verdict=OK"],
        [f"day={FIXED_DAY - timedelta(days=1)}", "verdict=MISSING_DATA"],
        [f"day={FIXED_DAY}", "verdict=OK"],
    ]
    again = run(database, "--reference", file)
    assert (again.exit_code, again.output) == (0, "every closed day was judged before\n")
    assert number_of_reports(owner) == 4


def test_an_open_day_waits_for_its_late_rows(database, owner, file):
    add_day(owner, FIXED_DAY)
    early = run(database, "--reference", file, now=NEXT_MORNING - timedelta(seconds=1))
    assert (early.exit_code, number_of_reports(owner)) == (0, 0)
    refused = run(database, "--reference", file, "--day", FIXED_DAY + timedelta(days=1))
    assert refused.exit_code == 3
    assert f"{FIXED_DAY + timedelta(days=1)} is not closed yet" in refused.output


def test_catching_up_goes_back_two_weeks_and_further_when_asked(database, owner, file):
    first = FIXED_DAY - timedelta(days=20)
    add_day(owner, first)
    add_day(owner, FIXED_DAY)
    assert drift_job.due(owner, NEXT_MORNING)[0] == FIXED_DAY - timedelta(days=drift_job.MOST_DAYS - 1)
    assert drift_job.due(owner, NEXT_MORNING, first - timedelta(days=9))[0] == first
    assert len(run(database, "--reference", file, "--since", first).output.splitlines()) == 21


def test_a_day_that_is_judged_again_is_a_new_report_and_the_newest_counts(database, owner, file):
    add_day(owner, FIXED_DAY, 300)
    run(database, "--reference", file)
    add_day(owner, FIXED_DAY, 600, role="canary")
    assert run(database, "--reference", file, "--day", FIXED_DAY).exit_code == 0
    assert number_of_reports(owner) == 2
    assert [(each.report.rows, each.report.verdict) for each in drift_reports.newest(owner)] == [(900, Verdict.OK)]


def test_two_jobs_at_once_judge_each_day_once(database, owner, file):
    for back in range(4):
        add_day(owner, FIXED_DAY - timedelta(days=back))
    at_once = threading.Barrier(3)

    def job():
        with psycopg.connect(database.dsn("drift"), autocommit=True) as connection:
            at_once.wait()
            drift_reports.lock(connection)
            days = drift_job.due(connection, NEXT_MORNING)
            judged.extend(drift_job.judge(connection, days, drift_job.Judging(lambda _: reference(), NEXT_MORNING)))

    judged: list[drift_reports.JudgedDay] = []
    threads = [threading.Thread(target=job) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(judged) == number_of_reports(owner) == 4


def test_a_day_that_was_judged_stays_so_when_a_later_one_fails(database, owner):
    add_day(owner, FIXED_DAY - timedelta(days=1))
    add_day(owner, FIXED_DAY, tag=OTHER)

    def references(tag: str) -> Reference:
        if tag == OTHER:
            raise LookupError(tag)
        return reference()

    with psycopg.connect(database.dsn("drift"), autocommit=True) as connection:
        judged = drift_job.judge(
            connection, drift_job.due(connection, NEXT_MORNING), drift_job.Judging(references, NEXT_MORNING)
        )
        with pytest.raises(LookupError):
            list(judged)
    assert verdicts(owner) == {FIXED_DAY - timedelta(days=1): (Verdict.OK, TAG)}


# --- whose reference


def test_each_day_is_compared_with_the_model_that_served_it(database, owner):
    asked = []
    add_day(owner, FIXED_DAY - timedelta(days=1))
    add_day(owner, FIXED_DAY, tag=OTHER)
    with psycopg.connect(database.dsn("drift"), autocommit=True) as connection:
        judging = drift_job.Judging(lambda tag: asked.append(tag) or reference(), NEXT_MORNING)
        list(drift_job.judge(connection, drift_job.due(connection, NEXT_MORNING), judging))
    assert asked == [TAG, OTHER]
    assert [tag for _, tag in verdicts(owner).values()] == [TAG, OTHER]


def test_the_reference_comes_out_of_the_model_s_bento(database, owner, model_dir, tmp_path):
    home, url = tmp_path / "home", (tmp_path / "store").as_uri()
    tag = package.build(model_dir, home)
    artifacts.publish(tag, url, home)
    add_day(owner, FIXED_DAY, tag=tag)
    done = run(database, MONITORING_ARTIFACTS=url)
    assert (done.exit_code, done.output.split()[2:4]) == (0, ["verdict=DATA_FAULT", f"tag={tag}"])
    (found,) = drift_reports.newest(owner)
    watched = json.loads((model_dir / "reference.json").read_text(encoding="utf-8"))["fields"]
    assert [each.name for each in found.report.fields] == list(watched)
    named = run(database, "--artifacts", url, "--reference", tag, "--day", FIXED_DAY)
    assert (named.exit_code, number_of_reports(owner)) == (0, 2)


# --- what can fail


def test_exit_codes_say_what_is_wrong(database, owner, file, tmp_path):
    assert run(database).exit_code == 2
    assert run(database, "--reference", file).exit_code == 4
    add_day(owner, FIXED_DAY)
    (tmp_path / "broken.json").write_text("{}", encoding="utf-8")
    for reference_file in (tmp_path / "none.json", tmp_path / "broken.json"):
        broken = run(database, "--reference", reference_file)
        assert (broken.exit_code, reference_file.name in broken.output) == (3, True)
    assert run("postgresql://drift:x@127.0.0.1:1/none", "--reference", file).exit_code == 5
    assert run(database.dsn("labeller"), "--reference", file).exit_code == 6
    away = run(database, MONITORING_ARTIFACTS=tmp_path.as_uri())
    assert (away.exit_code, TAG in away.output) == (8, True)
    assert number_of_reports(owner) == 0


def number_of_reports(owner) -> int:
    ((number,),) = owner.execute("select count(*) from drift_reports").fetchall()
    owner.commit()
    return number


# --- pages


def test_pages_are_written_of_the_days_judged_and_of_the_newest_days_together(database, owner, file, tmp_path):
    add_day(owner, FIXED_DAY - timedelta(days=2), factor=1.5)
    add_day(owner, FIXED_DAY)
    pages = tmp_path / "pages"
    done = run(database, "--reference", file, "--report", pages)
    assert done.exit_code == 0, done.output
    days = [str(FIXED_DAY - timedelta(days=2)), str(FIXED_DAY)]
    assert sorted(path.name for path in (pages / "drift").iterdir()) == [f"{day}.html" for day in days] + ["index.html"]
    assert "PSI" in (pages / "drift" / f"{days[1]}.html").read_text(encoding="utf-8")
    overview = (pages / "drift" / "index.html").read_text(encoding="utf-8")
    assert all(each in overview for each in (*days, "MISSING_DATA", "DRIFT"))
    again = run(database, "--reference", file, "--report", pages.as_uri())
    assert (again.exit_code, again.output.count("wrote ")) == (0, 1)


def test_a_place_that_takes_no_page_does_not_undo_what_was_judged(database, owner, file, tmp_path):
    add_day(owner, FIXED_DAY)
    (tmp_path / "drift").write_text("a file where a folder has to be", encoding="utf-8")
    done = run(database, "--reference", file, "--report", tmp_path)
    assert (done.exit_code, number_of_reports(owner)) == (8, 1)

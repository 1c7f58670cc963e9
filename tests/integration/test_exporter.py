"""The exporter over a real store: what it shows, what it does not, and what it does when the store is away."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, time, timedelta

import httpx
import psycopg
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from monitoring import drift_job, exporter, partitions
from monitoring.cli import cli
from monitoring.drift import Verdict
from monitoring.drift_job import Judging
from tests.conftest import FIXED_DAY
from tests.doubles.drifting_days import ROWS, TAG, add_day, reference

NOW = datetime.combine(FIXED_DAY + timedelta(days=1), time(6), tzinfo=UTC)


def samples(found):
    """Value by name and labels of a list of families."""
    return {(each.name, *each.labels.values()): each.value for family in found for each in family.samples}


def seen_by_reader(database):
    with psycopg.connect(database.dsn("reader")) as connection:
        return exporter.look(connection)


@contextlib.contextmanager
def serving(dsn):
    """The command, as a process, and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "monitoring", "exporter", "--port", "0"],
        env={**os.environ, "MONITORING_DSN": dsn}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process, process.stdout.readline().split()[-1].removesuffix("/metrics")
    finally:
        process.kill()
        process.communicate()


def test_the_newest_judged_day_is_shown_with_its_numbers(database, owner):
    for back, factor in ((1, 1.0), (0, 1.5)):
        add_day(owner, FIXED_DAY - timedelta(days=back), factor=factor)
    days = drift_job.due(owner, NOW)
    owner.commit()
    (_, judged) = drift_job.judge(owner, days, Judging(lambda _: reference(), NOW))
    owner.commit()
    shown = samples(exporter.families(seen_by_reader(database)))
    assert shown["vigil_store_up",] == 1
    assert shown["vigil_drift_last_run_timestamp_seconds",] == NOW.timestamp()
    assert shown["vigil_drift_day_timestamp_seconds",] == datetime.combine(FIXED_DAY, time.min, UTC).timestamp()
    assert {verdict: shown["vigil_drift_verdict", verdict] for verdict in Verdict} == {
        verdict: float(verdict is Verdict.DRIFT) for verdict in Verdict
    }
    assert (shown["vigil_drift_days", "OK"], shown["vigil_drift_days", "DRIFT"]) == (1, 1)
    assert shown["vigil_drift_model", TAG] == 1
    assert shown["vigil_drift_rows",] == ROWS
    for each in judged.report.fields:
        assert shown["vigil_drift_field_psi", each.name] == each.psi
        assert shown["vigil_drift_field_psi_threshold", each.name] == each.threshold
        assert shown["vigil_drift_field_missing_ratio", each.name] == each.missing_share
    assert datetime.fromtimestamp(shown["vigil_store_newest_row_timestamp_seconds",], UTC).date() == FIXED_DAY
    end = max(partitions.present(owner))
    until = datetime.fromtimestamp(shown["vigil_store_partitions_end_timestamp_seconds",], UTC) - timedelta(days=1)
    assert partitions.name(until.date()) == end


def test_the_newest_quality_report_is_shown_with_coverage_and_delay(database, owner):
    owner.execute(
        """insert into quality_reports (made_at, tag, window_from, window_end, verdict, events, labelled, positives,
            pr_auc, quality_limit, reason, numbers)
        values (%s, %s, %s, %s, 'QUALITY_LOSS', 700, 600, 120, .4, .5, 'it is low', %s)""",
        [NOW, TAG, FIXED_DAY - timedelta(7), FIXED_DAY, '{"delay_hours": {"0.5": 30, "0.9": null}}'],
    )
    owner.commit()
    shown = samples(exporter.families(seen_by_reader(database)))
    assert shown["vigil_quality_last_run_timestamp_seconds",] == NOW.timestamp()
    assert shown["vigil_quality_verdict", "QUALITY_LOSS"] == 1
    assert shown["vigil_quality_verdict", "OK"] == 0
    assert (shown["vigil_quality_pr_auc_ratio",], shown["vigil_quality_pr_auc_limit_ratio",]) == (0.4, 0.5)
    assert (shown["vigil_labels_events",], shown["vigil_labels_known",], shown["vigil_labels_positives",]) == (
        700,
        600,
        120,
    )
    assert shown["vigil_labels_delay_seconds", "0.5"] == 30 * 3600
    assert ("vigil_labels_delay_seconds", "0.9") not in shown


def test_a_store_in_which_nothing_was_judged_shows_that_it_is_there(database):
    shown = samples(exporter.families(seen_by_reader(database)))
    assert shown["vigil_store_up",] == 1
    assert not [name for name, *_ in shown if name.startswith(("vigil_drift", "vigil_quality", "vigil_labels"))]


def test_it_can_change_nothing_even_as_the_owner(owner):
    exporter.look(owner)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        owner.execute("delete from labels")


def test_it_serves_until_it_is_told_to_end(database):
    with serving(database.dsn("reader")) as (process, url):
        assert httpx.get(f"{url}/livez").status_code == 200
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert httpx.get(f"{url}/else").status_code == 404
        answer = httpx.get(f"{url}/metrics")
        assert samples(text_string_to_metric_families(answer.text))["vigil_store_up",] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_scrape_is_answered_while_the_store_is_away():
    with serving("postgresql://reader:secret@127.0.0.1:1/vigil") as (_, url):
        answer = httpx.get(f"{url}/metrics")
        assert (answer.status_code, samples(text_string_to_metric_families(answer.text))) == (
            200,
            {("vigil_store_up",): 0},
        )
        ready = httpx.get(f"{url}/readyz")
        assert ready.status_code == 503
        assert "no session with the database in MONITORING_DSN" in ready.text
        assert "secret" not in ready.text
        assert httpx.get(f"{url}/livez").status_code == 200


def test_the_store_is_asked_once_for_scrapes_in_a_row_and_again_later():
    asked, clock = [], [0.0]
    found = exporter.Exporter(lambda: asked.append(clock[0]) or exporter.Seen(), lambda: clock[0])
    for _ in range(3):
        assert samples(found.collect())["vigil_store_up",] == 1
    clock[0] = exporter.FRESH_SECONDS
    list(found.collect())
    assert asked == [0.0, exporter.FRESH_SECONDS]


def test_a_taken_port_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(cli, ["exporter", "--port", port], env={"MONITORING_DSN": "postgresql://x/y"})
    assert done.exit_code == 2
    assert f"can't listen on 127.0.0.1:{port}" in done.output


def test_the_exporter_has_none_of_what_the_other_commands_need():
    """It lives for weeks: scikit-learn, plots and Evidently would be two thirds of its memory."""
    heavy = {"sklearn", "pandas", "pyarrow", "matplotlib", "evidently", "lightgbm", "bentoml"}
    code = (
        "import sys, click\nfrom monitoring.cli import cli\n"
        "assert cli.get_command(click.Context(cli), 'exporter').name == 'exporter'\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"

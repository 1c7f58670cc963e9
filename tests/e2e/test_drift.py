"""The daily job in the cluster, run by hand on today's rows: its report, what it may write, and how it fails."""

import ast
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.kubectl import Kubectl, Object, RefusedError, until
from tests.e2e.load import event, exchange
from tests.e2e.place import Place, bystander

ROWS = 600
TOMORROW = f"{(datetime.now(UTC) + timedelta(days=1)):%Y-%m-%d}T06:30:00+0000"
"""When today is closed."""


def _run(kubectl: Kubectl, name: str, *more: str, environment: dict[str, str] | None = None) -> tuple[str, str]:
    """How a Job of the CronJob ended, with more arguments, and what it said."""
    job = json.loads(kubectl("create", "job", name, "--from=cronjob/drift", "--dry-run=client", "--output=json"))
    container = job["spec"]["template"]["spec"]["containers"][0]
    container["command"] += more
    container["env"] = [{"name": key, "value": value} for key, value in (environment or {}).items()] + [
        each for each in container["env"] if each["name"] not in (environment or {})
    ]
    kubectl("delete", "job", name, "--ignore-not-found")
    kubectl.apply([job])

    def ended() -> str:
        conditions: list[Object] = kubectl.get("job", name)["status"].get("conditions", [])
        found = {each["type"]: each.get("reason", "") for each in conditions if each["status"] == "True"}
        return "Complete" if "Complete" in found else f"Failed: {found['Failed']}" if "Failed" in found else ""

    how = until(ended, f"the Job {name} ends", 120)
    return how, kubectl("logs", f"job/{name}", "--tail=50")


@pytest.fixture
def rows(vigil: Place) -> Place:
    """Today has rows enough to be judged."""
    vigil.until_answered_by(vigil.first)
    exchange(vigil.url, [event(f"drift-{number}", f"drift-{number}", number) for number in range(ROWS)])
    vigil.rows_once_whole("drift", ROWS, "stable")
    return vigil


@pytest.mark.timeout(400)
def test_a_closed_day_is_judged_once_and_its_page_is_written(rows: Place, measured: list[str]) -> None:
    kubectl = rows.kubectl
    rows.sql("delete from drift_reports")
    how, said = _run(kubectl, "drift-e2e", "--now", TOMORROW)
    assert how == "Complete", said
    assert kubectl.get("job", "drift-e2e")["status"].get("failed", 0) == 0, "it was done at the first try"
    found = rows.sql("select day, verdict, tag from drift_reports")
    assert [day for day, *_ in found] == [f"{datetime.now(UTC):%Y-%m-%d}"]
    assert found[0][1] not in ("MISSING_DATA", "INSUFFICIENT_DATA")
    how, again = _run(kubectl, "drift-e2e", "--now", TOMORROW)
    assert how == "Complete", again
    assert len(rows.sql("select day from drift_reports")) == 1
    pages = kubectl.python("publisher", "import os; print(sorted(os.listdir('/artifacts/drift')))")
    assert {"index.html", f"{datetime.now(UTC):%Y-%m-%d}.html"} <= set(ast.literal_eval(pages))
    measured.append(f"{found[0]}; pages {pages.strip()}; said {said.strip().splitlines()[-1]!r}")


@pytest.mark.timeout(400)
def test_what_cannot_mend_itself_is_not_tried_again(rows: Place, measured: list[str]) -> None:
    how, said = _run(rows.kubectl, "drift-e2e", "--now", TOMORROW, "--reference", "/nowhere/reference.json")
    assert how == "Failed: PodFailurePolicy", said
    assert "/nowhere/reference.json" in said
    measured.append(said.strip().splitlines()[-1])


def test_the_jobs_user_reads_rows_and_adds_reports_and_no_more(vigil: Place) -> None:
    dsn = vigil.secret("prediction-store-drift")["dsn"].replace("@prediction-store:", "@127.0.0.1:")

    def psql(statement: str) -> str:
        return vigil.kubectl("exec", "prediction-store-0", "--", "psql", dsn, "--command", statement)

    assert "count" in psql("select count(*) from predictions")
    for statement in (
        "delete from predictions",
        "update drift_reports set verdict = 'OK'",
        "delete from drift_reports",
        "insert into labels (event_id, label, known_at) values ('e', 1, now())",
        "select count(*) from erased",
    ):
        with pytest.raises(RefusedError, match="permission denied"):
            psql(statement)


@pytest.mark.timeout(400)
def test_prometheus_alone_reads_the_reports_from_the_exporter(vigil: Place, measured: list[str]) -> None:
    kubectl = vigil.kubectl
    kubectl("rollout", "status", "deployment/monitoring-exporter", "--timeout=120s", seconds=130)
    address = kubectl.pods("app.kubernetes.io/name=monitoring-exporter")[-1]["status"]["podIP"]
    url = f"http://{address}:9187/metrics"
    code = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=4).read().decode())"
    monitoring, image = Kubectl("monitoring"), kubectl.get("pod", "publisher")["spec"]["containers"][0]["image"]
    monitoring.apply([bystander("scraper-e2e", image, {"app.kubernetes.io/name": "prometheus"})])
    try:
        monitoring("wait", "--for=condition=Ready", "pod/scraper-e2e", "--timeout=60s")
        metrics = monitoring.python("scraper-e2e", code)
    finally:
        monitoring("delete", "pod", "scraper-e2e", "--wait=false")
    names = sorted({line.split("{")[0].split()[0] for line in metrics.splitlines() if line.startswith("vigil_")})
    assert {"vigil_drift_day_timestamp_seconds", "vigil_store_up"} <= set(names), names
    with pytest.raises(RefusedError, match=r"timed out|refused"):
        kubectl.python("publisher", code)
    measured.append(f"{len(names)} metrics: {' '.join(names)}")

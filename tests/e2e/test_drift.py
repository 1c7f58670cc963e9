"""The daily job in the cluster, run by hand on today's rows: its report, what it may write, and how it fails."""

import ast
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.kubectl import Kubectl, Object, RefusedError, until
from tests.e2e.load import event, exchange
from tests.e2e.place import Place, bystander

ROWS = 600
TOMORROW = f"{(datetime.now(UTC) + timedelta(days=1)):%Y-%m-%d}T06:30:00+0000"
"""When today is closed."""


def _start(kubectl: Kubectl, cron: str, name: str, *more: str, environment: dict[str, str] | None = None) -> None:
    """Starts a Job of a CronJob, with more arguments and other values in its environment."""
    job = json.loads(kubectl("create", "job", name, f"--from=cronjob/{cron}", "--dry-run=client", "--output=json"))
    container = job["spec"]["template"]["spec"]["containers"][0]
    container["command"] += more
    container["env"] = [{"name": key, "value": value} for key, value in (environment or {}).items()] + [
        each for each in container["env"] if each["name"] not in (environment or {})
    ]
    kubectl("delete", "job", name, "--ignore-not-found", "--cascade=foreground")
    kubectl.apply([job])


def _run(kubectl: Kubectl, name: str, *more: str, cron: str = "drift") -> tuple[str, str]:
    """How such a Job ended, and what it said."""
    _start(kubectl, cron, name, *more)

    def ended() -> str:
        conditions: list[Object] = kubectl.get("job", name)["status"].get("conditions", [])
        found = {each["type"]: each.get("reason", "") for each in conditions if each["status"] == "True"}
        return "Complete" if "Complete" in found else f"Failed: {found['Failed']}" if "Failed" in found else ""

    how = until(ended, f"the Job {name} ends", 120)
    return how, kubectl("logs", f"job/{name}", "--tail=50")


@pytest.fixture
def rows(vigil: Place) -> Iterator[Place]:
    """Today has rows enough to be judged; what is said of them is forgotten at the end."""
    vigil.until_answered_by(vigil.first)
    exchange(vigil.url, [event(f"drift-{number}", f"drift-{number}", number) for number in range(ROWS)])
    vigil.rows_once_whole("drift", ROWS, "stable")
    yield vigil
    for table in ("drift_reports", "quality_reports"):
        vigil.sql(f"delete from {table}")  # noqa: S608 - these two


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


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("away", "more", "code", "words"),
    [
        ({"MONITORING_DSN": "postgresql://drift@prediction-store:1/vigil"}, (), 5, "no session with the database"),
        ({}, ("--artifacts", "file:///artifacts/elsewhere"), 8, "risk_scorer"),
    ],
    ids=["the database", "the artifact store"],
)
def test_what_is_away_is_tried_again(
    rows: Place, measured: list[str], away: dict[str, str], more: tuple[str, ...], code: int, words: str
) -> None:
    kubectl = rows.kubectl
    _start(kubectl, "drift", "drift-e2e", "--now", TOMORROW, *more, environment=away)

    def tries() -> list[Object]:
        found: list[Object] = kubectl.get("pods", "--selector", "job-name=drift-e2e")["items"]
        return found

    until(lambda: len(tries()) > 1, "it is tried again", 120)
    first = min(tries(), key=lambda each: str(each["metadata"]["creationTimestamp"]))
    ended = first["status"]["containerStatuses"][0]["state"]["terminated"]
    kubectl("delete", "job", "drift-e2e", "--cascade=foreground")
    assert ended["exitCode"] == code, ended
    assert words in ended["message"]
    measured.append(ended["message"].strip().splitlines()[-1])


def test_the_job_writes_its_pages_and_nothing_else_of_the_store(vigil: Place) -> None:
    job = json.loads(vigil.kubectl("create", "job", "x", "--from=cronjob/drift", "--dry-run=client", "--output=json"))
    pod = job["spec"]["template"]
    pod["spec"]["containers"][0]["command"] = ["python", "-c", "import signal; signal.sigwait({signal.SIGTERM})"]
    pod |= {"apiVersion": "v1", "kind": "Pod", "metadata": {**pod["metadata"], "name": "drift-writer"}}
    vigil.kubectl.apply([pod])
    try:
        vigil.kubectl("wait", "--for=condition=Ready", "pod/drift-writer", "--timeout=60s")
        vigil.kubectl.python("drift-writer", "import pathlib; pathlib.Path('/artifacts/drift/e2e').touch()")
        for place in ("/artifacts/e2e", f"/artifacts/risk_scorer/{vigil.first.split(':')[1]}.bento"):
            with pytest.raises(RefusedError, match="Read-only file system"):
                vigil.kubectl.python("drift-writer", f"open({place!r}, 'ab')")
        vigil.kubectl.python("drift-writer", "import os; os.remove('/artifacts/drift/e2e')")
    finally:
        vigil.kubectl("delete", "pod", "drift-writer", "--wait=false", "--grace-period=0", "--force")


@contextmanager
def _tool(kubectl: Kubectl, name: str) -> Iterator[Callable[..., str]]:
    """The operator's pod of that name, as the README makes it; what a command says in it."""
    job = f"{name}-e2e"
    kubectl("delete", "job", job, "--ignore-not-found")
    kubectl("create", "job", job, f"--from=cronjob/{name}")
    try:
        until(lambda: kubectl.pods(f"job-name={job}"), "its pod is there")
        kubectl("wait", "--for=condition=Ready", "pod", f"--selector=job-name={job}", "--timeout=60s")

        def say(*words: str, given: str = "") -> str:
            return kubectl("exec", "--stdin", f"job/{job}", "--", *words, given=given.encode())

        yield say
    finally:
        kubectl("delete", "job", job, "--wait=false")


@pytest.mark.timeout(400)
def test_an_operator_takes_labels_in_judges_a_week_reports_and_erases(rows: Place, measured: list[str]) -> None:
    kubectl, monitoring = rows.kubectl, ("python", "-m", "monitoring")
    file = "event_id,label\n" + "".join(f"drift-{number},{int(number % 5 == 0)}\n" for number in range(ROWS))
    with _tool(kubectl, "labels") as say:
        say("sh", "-c", "cat > /tmp/labels.csv", given=file)
        measured.append(say(*monitoring, "labels", "import", "/tmp/labels.csv").strip())
        assert f"{ROWS:,} known before" in say(*monitoring, "labels", "import", "/tmp/labels.csv")
    how, said = _run(kubectl, "quality-e2e", "--now", TOMORROW, "--matures", "0", "--days", "1", cron="quality")
    assert how == "Complete", said
    ((verdict, labelled),) = rows.sql("select verdict, labelled from quality_reports order by made_at desc limit 1")
    assert int(labelled) >= ROWS, verdict
    measured.append(f"quality: {verdict} on {labelled} labels")
    with _tool(kubectl, "report") as say:
        say(*monitoring, "report", "--out", "/tmp/report.html")
        assert "</html>" in say("tail", "-c", "200", "/tmp/report.html")
    with _tool(kubectl, "erase") as say:
        measured.append(say(*monitoring, "erase", "-", "--yes", given="drift-7").strip())
    assert rows.sql("select 1 from predictions where entity_id = 'drift-7' or event_id = 'drift-7'") == []
    assert rows.sql("select 1 from labels where event_id = 'drift-7'") == []
    assert rows.sql("select 1 from predictions where entity_id = 'drift-8'")


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
def test_prometheus_alone_reads_the_reports_from_the_exporter(rows: Place, measured: list[str]) -> None:
    kubectl = rows.kubectl
    how, said = _run(kubectl, "drift-e2e", "--now", TOMORROW)
    assert how == "Complete", said
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

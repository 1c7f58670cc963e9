"""A field of the event is declared in one place. In a copy of the code two lines are added to events.py, nothing else;
the commands of that copy then make a model, a Bento and a running scorer that know the fields.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import psycopg
import pytest

from k8s.local.ports import free_ports
from tests.waiting import wait_until_ready

ROOT = Path(__file__).parents[2]
BEFORE = "    event_id: Pseudonym | None = Field("
LINES = """\
    v14: Annotated[float | None, Feature("component")] = Field(default=None, ge=-200, le=200, description="Component.")
    wallet: Annotated[Literal["red", "blue"] | None, Feature("wallet")] = Field(default=None, description="A wallet.")

"""
EVENT = {"amount": 20.0, "hour": 12, "device_risk": 0, "velocity_5m": 0}
NEW = {"v14": -3.5, "wallet": "blue"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code with two more fields of the event."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("bentos", "training", "monitoring", "k8s", ".ci", "tests/unit/drawings"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "MODEL_CARD.md", "pyproject.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    events = folder / "bentos" / "risk_scorer" / "events.py"
    text = events.read_text()
    assert text.count(BEFORE) == 1
    events.write_text(text.replace(BEFORE, LINES + BEFORE))
    return folder


def run(copy: Path, *arguments: str) -> str:
    """The output of a command of the copy."""
    environment = os.environ | {"PYTHONPATH": str(copy), "BENTOML_HOME": str(copy / "home")}
    done = subprocess.run(
        # numbers below 0 made the baseline's logarithm warn, and its missing values hid that
        [sys.executable, "-W", "error::RuntimeWarning", *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def data(copy: Path) -> Path:
    """Events of which the new fields tell all that can be told; the file calls one of them by another name."""
    run(copy, "-m", "training", "synthesize", "--rows", "4000", "--until", "2026-03-01", "--out", "plain.parquet")
    frame, rng = pd.read_parquet(copy / "plain.parquet"), np.random.default_rng(5)
    frame["label"] = (rng.random(len(frame)) < 0.1).astype(int)
    frame["V14"] = np.where(rng.random(len(frame)) < 0.05, np.nan, rng.normal(-3.0 * frame["label"], 1.0))
    frame["wallet"] = np.where(rng.random(len(frame)) < 0.3 + 0.4 * frame["label"], "blue", "red")
    frame.to_csv(copy / "events.csv", index=False)
    (copy / "map.toml").write_text('[columns]\nv14 = "V14"\n')
    return copy / "events.csv"


@pytest.fixture(scope="module")
def model(copy: Path, data: Path) -> Path:
    # A line through the new fields is all that these data need, so the gate against the baseline may well fail.
    arguments = ("--data", data.name, "--columns", "map.toml", "--out", "model", "--trees", "40", "--force")
    run(copy, "-m", "training", "train", *arguments, "--evaluation-report", "evaluation.md")
    return copy / "model"


@pytest.fixture
def scorer(copy: Path, model: Path, database, tmp_path: Path) -> Iterator[httpx.Client]:
    """The copy's Bento, run by its own code, with a log."""
    tag = run(copy, "-m", "training", "package", "--model", str(model), "--home", str(copy / "home")).strip()
    code, port = copy / "home" / "bentos" / tag.replace(":", "/") / "src", free_ports(1)[0]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "SCORER_LOG_DSN": database.dsn("stable"),
        "SCORER_PORT": str(port),
        "SCORER_SPOOL_DIR": str(tmp_path / "spool"),
    }
    log = tmp_path / "scorer.log"
    with log.open("wb") as output:
        command = (sys.executable, "-m", "bentos.risk_scorer", "serve")
        process = subprocess.Popen(command, cwd=code, env=environment, stdout=output, stderr=output)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            wait_until_ready(client, process, log)
            yield client
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()


def test_the_model_was_trained_on_it(model: Path) -> None:
    columns = json.loads((model / "model.json").read_text())["columns"]
    assert {"v14", "wallet"} < set(columns)
    lines = dict(line.split("=", 1) for line in (model / "model.txt").read_text().splitlines() if "=" in line)
    assert lines["feature_names"].split() == columns
    importances = (model / "model.txt").read_text().partition("feature_importances:\n")[2].split("\n\n")[0]
    assert importances.startswith("v14=")  # the most used column of all


def test_drift_can_watch_it_and_the_evaluation_has_slices_of_it(model: Path) -> None:
    fields = json.loads((model / "reference.json").read_text())["fields"]
    assert fields["v14"]["kind"] == "number"
    assert sum(fields["v14"]["missing"]) > 0
    assert fields["wallet"]["categories"] == ["red", "blue"]
    evaluation = json.loads((model / "evaluation.json").read_text())
    assert evaluation["baseline"] is not None
    bands = {(each["field"], each["band"]) for each in evaluation["slices"]}
    assert {("wallet", "red"), ("wallet", "blue")} < bands
    assert len([band for field, band in bands if field == "v14"]) >= 3
    assert "wallet" in (model.parent / "evaluation.md").read_text()


def test_the_scorer_takes_it_uses_it_checks_it_and_logs_it(scorer: httpx.Client, database) -> None:
    scores = [scorer.post("/score", json=EVENT | more).json()["score"] for more in ({}, NEW, {"v14": 3.0})]
    assert scores[1] > scores[2]
    assert scores[0] != scores[2]
    reasons = scorer.post("/score", params={"explain": "true"}, json=EVENT | NEW).json()["reasons"]
    assert "v14" in json.dumps(reasons)
    for wrong in ({"v14": -201}, {"v14": "x"}, {"wallet": "green"}):
        refused = scorer.post("/score", json=EVENT | wrong)
        assert refused.status_code == 422
        assert [problem["field"] for problem in refused.json()["errors"]] == list(wrong)
    assert "wallet" in json.dumps(scorer.get("/openapi.json").json())
    assert wait_for_rows(database, 7) == [None, NEW["v14"], 3.0, NEW["v14"], None, None, None]


def wait_for_rows(database, count: int) -> list[float | None]:
    deadline = time.monotonic() + 30
    with psycopg.connect(database.owner, autocommit=True) as connection:
        while time.monotonic() < deadline:
            rows = connection.execute("select fields ->> 'v14' from predictions order by scored_at").fetchall()
            if len(rows) == count:
                return [None if value is None else float(value) for (value,) in rows]
            time.sleep(0.05)
    raise AssertionError(f"{count} rows were expected, and there are {len(rows)}")


def test_the_generated_documentation_follows(copy: Path) -> None:
    run(copy, ".ci/docs.py")
    assert "`v14` | optional | -200 to 200" in (copy / "bentos" / "README.md").read_text()

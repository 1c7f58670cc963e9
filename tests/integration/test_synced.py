"""An edited file is served within seconds, under a tag that says so; without one, the Bento's own code serves."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bentos.risk_scorer import identity
from k8s.local.ports import free_ports
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
TAG = "risk_scorer:0123456789ab"


@pytest.fixture
def client(model_dir: Path, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a scorer whose code is in `bento`, and into whose folder `synced` files can be put."""
    code = tmp_path / "bento" / "bentos" / identity.NAME
    shutil.copytree(identity.CODE, code, ignore=shutil.ignore_patterns("__pycache__", "model"))
    shutil.copytree(model_dir, code / "model")
    (code.parent / "__init__.py").touch()
    for folder in ("synced", "merged"):
        (tmp_path / folder).mkdir()
    port = free_ports(1)[0]
    environment = {
        **os.environ,
        "SYNCED_BENTO": str(tmp_path / "bento"),
        "SYNCED_FILES": str(tmp_path / "synced"),
        "SYNCED_MERGED": str(tmp_path / "merged"),
        "ASSIGNED_TAG": TAG,
        "SCORER_PORT": str(port),
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
    }
    process = subprocess.Popen([sys.executable, "-m", "bentos.synced"], env=environment, cwd=tmp_path)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as made:
        try:
            wait_for(lambda: _version(made) is not None)
            yield made
        finally:
            process.terminate()
            assert process.wait(30) == 0


def _version(client: httpx.Client) -> str | None:
    try:
        return client.get("/readyz").json().get("model_version")
    except httpx.TransportError:
        return None


def test_a_synced_file_is_served_and_marked(client: httpx.Client, tmp_path: Path) -> None:
    assert not (_version(client) or "").endswith(".dev")
    edited = tmp_path / "synced" / "bentos" / identity.NAME / "app.py"
    edited.parent.mkdir(parents=True)
    edited.write_text((identity.CODE / "app.py").read_text().replace('"status":"live"', '"status":"edited"'))
    wait_for(lambda: _version(client) == f"{TAG}.dev")
    assert client.get("/livez").json() == {"status": "edited"}
    event = {"amount": 1, "hour": 1, "device_risk": 0, "velocity_5m": 0}
    assert client.post("/score", json=event).json()["model_version"] == f"{TAG}.dev"


def test_a_file_that_cannot_be_run_is_waited_out(client: httpx.Client, tmp_path: Path) -> None:
    edited = tmp_path / "synced" / "bentos" / identity.NAME / "app.py"
    edited.parent.mkdir(parents=True)
    edited.write_text("this is no Python")
    wait_for(lambda: _version(client) is None)
    edited.write_text((identity.CODE / "app.py").read_text())
    wait_for(lambda: _version(client) == f"{TAG}.dev")

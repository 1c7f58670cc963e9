import importlib.util
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from click.testing import CliRunner

from k8s.cli import main

ROOT = Path(__file__).parents[2]
HEAVY = {"numpy", "pandas", "lightgbm", "sklearn", "psycopg", "rich", "pydantic", "kubernetes"}


def writer():
    spec = importlib.util.spec_from_file_location("vigil_script", ROOT / ".ci" / "vigil.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write


def test_the_script_runs_this_checkout_from_a_folder_that_has_another_k8s(tmp_path: Path) -> None:
    home = tmp_path / "an environment"
    venv.create(home, symlinks=True)
    packages = next(home.glob("lib/python*/site-packages"))
    script = writer()(home / "bin" / "python", packages)
    (tmp_path / "k8s").mkdir()
    (tmp_path / "k8s" / "__init__.py").write_text("raise SystemExit('the wrong k8s')")
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
    ended = subprocess.run(
        [script, "--help"], check=False, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("Usage: vigil ")


def test_help_imports_no_package_that_takes_time() -> None:
    code = f"""
import sys, k8s.cli
k8s.cli.main(["--help"], standalone_mode=False)
sys.exit(", ".join({HEAVY!r} & set(sys.modules)) or None)
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rollout", "start", "--help"], "Make TAG the candidate"),
        (["local", "up", "--help"], "Run the stack until Ctrl-C"),
        (["training", "compare", "--help"], "Compare a challenger"),
        (["monitoring", "migrate", "--help"], "Bring the schema"),
        (["artifacts", "pull", "--help"], "risk_scorer:<version>"),
    ],
)
def test_the_front_leads_to_every_package(arguments: list[str], words: str) -> None:
    ended = CliRunner().invoke(main, arguments)
    assert ended.exit_code == 0, ended.output
    assert words in ended.output


def test_the_fronts_exit_codes_are_those_of_the_command(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(main, ["artifacts", "pull", "nonsense", "--from", f"file://{tmp_path}"]).exit_code == 3
    assert runner.invoke(main, ["artifacts", "nonsense"]).exit_code == 2
    assert runner.invoke(main, ["nonsense"]).exit_code == 2
    no_stack = runner.invoke(main, ["rollout", "--state", str(tmp_path), "status"])
    assert (no_stack.exit_code, no_stack.output.startswith("error: ")) == (5, True), no_stack.output


def test_without_a_stack_every_command_of_the_rollout_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for command in (["status"], ["watch"], ["run", "--once"], ["history"], ["split", "--weights", "100,0"]):
        ended = CliRunner().invoke(main, ["rollout", *command])
        assert ended.exit_code == 5, ended.output
        assert "vigil local up" in ended.output

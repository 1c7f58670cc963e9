"""The rollout's image has few packages: what is imported there must do with them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ABSENT = (
    "pandas",
    "sklearn",
    "lightgbm",
    "bentoml",
    "evidently",
    "plotly",
    "pyarrow",
    "aiohttp",
    "httpx",
    "boto3",
    "envoy",
)
CODE = f"""
import sys
for name in {ABSENT!r}:
    sys.modules[name] = None
import importlib, pkgutil
import k8s.cli, k8s.rollout
for found in pkgutil.iter_modules(k8s.rollout.__path__):
    if found.name != "__main__":
        importlib.import_module(f"k8s.rollout.{{found.name}}")
"""


def test_every_module_of_the_rollout_does_without_the_packages_that_its_image_lacks() -> None:
    ended = subprocess.run([sys.executable, "-c", CODE], check=False, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr

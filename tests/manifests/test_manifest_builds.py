"""Every overlay, and the base with every combination of components, can be built and has no object twice."""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.manifests.rendering import COMBINATIONS, OTHERS, OVERLAYS, Object, rendered, with_components

SCHEMAS = Path(__file__).parents[2] / ".vigil" / "schemas"


@pytest.mark.parametrize("folder", [*OVERLAYS, *OTHERS])
def test_an_overlay_builds_without_an_object_twice(folder: str) -> None:
    _once(rendered(folder))


@pytest.mark.parametrize("chosen", COMBINATIONS, ids=lambda chosen: "+".join(chosen) or "none")
def test_components_can_be_combined_as_one_likes(chosen: tuple[str, ...]) -> None:
    _once(with_components(chosen))


def test_no_secret_is_in_the_manifests() -> None:
    assert not [each for folder in (*OVERLAYS, *OTHERS) for each in rendered(folder) if each["kind"] == "Secret"]


@pytest.mark.parametrize("folder", [*OVERLAYS, *OTHERS])
def test_objects_have_the_schema_of_their_kind(folder: str, tmp_path: Path) -> None:
    """Strict: an unknown or misspelt field is an error. The schemas are a cluster's own, CRDs included."""
    binary = shutil.which("kubeconform")
    if binary is None or not SCHEMAS.is_dir():
        assert "VIGIL_SCHEMAS" not in os.environ, f"no kubeconform, or no {SCHEMAS}, where they are needed"
        pytest.skip(f"no kubeconform, or no {SCHEMAS}: schemas were not checked (`make schemas` with a cluster)")
    location = f"{SCHEMAS}/{{{{.ResourceKind}}}}_{{{{.Group}}}}_{{{{.ResourceAPIVersion}}}}.json"
    file = tmp_path / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(rendered(folder))}))
    done = subprocess.run(
        # What a CRD may hold refers to itself, which an exported schema does not keep: the API server judges CRDs.
        [binary, "-strict", "-summary", "-skip", "CustomResourceDefinition", "-schema-location", location, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _once(objects: tuple[Object, ...]) -> None:
    names = Counter(
        (each["apiVersion"], each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        for each in objects
    )
    assert objects
    assert not [name for name, count in names.items() if count > 1]

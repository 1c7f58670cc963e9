"""The API server takes every object that git has: its schemas, its admission, its CRDs."""

import pytest

from tests.e2e.conftest import Arrival
from tests.e2e.elsewhere import ROOT, overlay
from tests.e2e.kubectl import Kubectl, Object, rendered
from tests.e2e.place import Place

_OVERLAYS = ["kind/kept", "kind", "production"]
_PLATFORM = sorted(str(path.parent.relative_to(ROOT)) for path in (ROOT / "k8s/platform").glob("**/kustomization.yaml"))


@pytest.mark.parametrize("folder", _OVERLAYS)
def test_the_api_server_accepts_an_overlay(bare: Place, arrival: Arrival, folder: str, measured: list[str]) -> None:
    _accepted(bare, overlay(folder, bare.namespace), measured)


@pytest.mark.parametrize("folder", _PLATFORM)
def test_the_api_server_accepts_the_platform(bare: Place, arrival: Arrival, folder: str, measured: list[str]) -> None:
    _accepted(bare, rendered(str(ROOT / folder)), measured)


def _accepted(place: Place, objects: list[Object], measured: list[str]) -> None:
    """Jobs can't be changed, so those of the same name as one that is there get another."""
    for each in objects:
        if each["kind"] == "Job":
            each["metadata"]["name"] += "-dry"
    for namespace in {each["metadata"].get("namespace", place.namespace) for each in objects}:
        those = [each for each in objects if each["metadata"].get("namespace", place.namespace) == namespace]
        Kubectl(namespace).apply(those, "--dry-run=server")
    measured.append(f"{len(objects)} objects: {', '.join(sorted({each['kind'] for each in objects}))}")

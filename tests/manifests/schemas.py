"""Writes the schemas of all that a cluster knows, for kubeconform: `python -m tests.manifests.schemas DIR`.

They are those of the cluster that KUBECONFIG names, CRDs included, and closed: a field that none names is refused.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_PREFIX = "#/components/schemas/"
Schema = dict[str, Any]


def closed(schema: Any) -> Any:
    """The schema with local references, in which no object may have a field that is not named."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(found.get("$ref"), str):
        return {"$ref": "#/definitions/" + found["$ref"].removeprefix(_PREFIX)}
    if found.get("x-kubernetes-int-or-string") or found.get("format") == "int-or-string":
        return {}
    if "properties" in found and not found.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found


def write(document: Schema, folder: Path) -> int:
    """Writes one file for each kind of one group's OpenAPI document; how many."""
    definitions = {name: closed(each) for name, each in document.get("components", {}).get("schemas", {}).items()}
    count = 0
    for name, schema in definitions.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            group = kind["group"] or kind["version"]
            file = folder / f"{kind['kind'].lower()}_{group}_{kind['version']}.json"
            # Metadata and kinds that only the API server uses are in many groups: the kind's own group comes first.
            if "apiVersion" in schema.get("properties", {}):
                file.write_text(json.dumps({"$ref": f"#/definitions/{name}", "definitions": definitions}))
                count += 1
    return count


def main(folder: Path) -> int:
    """Write them all."""
    folder.mkdir(parents=True, exist_ok=True)
    groups = json.loads(_raw("/openapi/v3"))["paths"]
    urls = [each["serverRelativeURL"] for path, each in groups.items() if path.startswith(("api/", "apis/"))]
    count = sum(write(json.loads(_raw(url)), folder) for url in urls)
    sys.stdout.write(f"{count} schemas in {folder}\n")
    return 0


def _raw(path: str) -> str:
    return subprocess.run(["kubectl", "get", "--raw", path], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

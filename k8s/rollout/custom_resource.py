"""The CustomResourceDefinition of ModelRollout, made from the same models that the plan file and the local file have.

What pydantic checks and a cluster can check, the API server checks too: types, bounds, patterns, and as CEL the rules
between fields. So a mistake is refused where it is made, whoever makes it. Defaults stay here: an object that leaves a
field out gets the controller's own.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import yaml
from pydantic import BaseModel

from k8s.rollout.model_rollout import ModelRollout, Spec, Status
from k8s.rollout.plan import CanaryPlan

GROUP: Final = "vigil.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "ModelRollout"
PLURAL: Final = "modelrollouts"
NAME: Final = "scorer"
"""The one object of a namespace, named after the route whose traffic it moves."""

Schema = dict[str, Any]

_ANYTHING: Final[Schema] = {"x-kubernetes-preserve-unknown-fields": True}
_OPAQUE: Final = frozenset({"ShadowState", "CanaryState"})
"""Carried from block to block by the gates: their fields are nobody else's."""

_BOUNDS: Final = ("pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength")
_LENGTHS: Final = ("minItems", "maxItems")
_KEPT: Final = frozenset({"type", "enum", "description", "format", "required", "nullable"})

_CLOCK: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?$"


def definition() -> Schema:
    """The whole CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "vigil"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["mr"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(_columns()),
                    "schema": {"openAPIV3Schema": _root()},
                }
            ],
        },
    }


def written() -> str:
    """The definition as the file of `k8s/platform/crds` holds it."""
    head = "# Made from k8s/rollout/model_rollout.py and plan.py by `make docs`: change those.\n"
    return head + yaml.safe_dump(definition(), sort_keys=False, width=110, allow_unicode=True)


def _columns() -> list[Schema]:
    shown = (
        ("Stable", "string", ".status.stable", 0),
        ("Candidate", "string", ".status.candidate", 0),
        ("Phase", "string", ".status.phase", 0),
        ("Weight", "integer", ".status.weight", 0),
        ("Verdict", "string", ".status.verdict", 0),
        ("Age", "date", ".metadata.creationTimestamp", 0),
        ("Message", "string", ".status.message", 1),
    )
    return [{"name": name, "type": kind, "jsonPath": path, "priority": late} for name, kind, path, late in shown]


def _root() -> Schema:
    return {
        "type": "object",
        "description": (ModelRollout.__doc__ or "").split("\n")[0],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _spec(),
            "status": _status(),
        },
        "x-kubernetes-validations": [
            {
                "rule": f"self.metadata.name == '{NAME}'",
                "message": f"a namespace has one rollout, and its name is {NAME}",
            }
        ],
    }


def _spec() -> Schema:
    spec = _structural(Spec, strict=True)
    spec["x-kubernetes-validations"] = [_names_the_candidate(field) for field in ("promotion", "asked", "forced")]
    canary = spec["properties"]["plan"]["properties"]["canary"]
    canary["x-kubernetes-validations"] = _canary_rules()
    labels = spec["properties"]["plan"]["properties"]["labels"]
    labels["x-kubernetes-validations"] = [_rising_looks()]
    return spec


def _status() -> Schema:
    """What the controller writes, and what the store adds for people. Without bounds: it is refused by nobody."""
    status = _structural(Status, strict=False)
    del status["properties"]["observed_generation"]
    status["properties"] |= {
        "candidate": {"type": "string", "description": "The model that is on its way, or waits to be let in."},
        "weight": {
            "type": "integer",
            "format": "int32",
            "description": "Per cent of the entities that the canary has.",
        },
        "verdict": {"type": "string", "description": "How the rollout that is shown here, or the last one, ended."},
        "observedGeneration": {"type": "integer", "format": "int64", "description": "Of the spec that this follows."},
        "conditions": _conditions(),
    }
    return status


def _conditions() -> Schema:
    fields = {
        "type": {"type": "string"},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "reason": {"type": "string"},
        "message": {"type": "string"},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "observedGeneration": {"type": "integer", "format": "int64"},
    }
    item = {"type": "object", "properties": fields, "required": ["type", "status", "reason", "lastTransitionTime"]}
    return {
        "type": "array",
        "description": "For `kubectl wait`: Ready, Progressing, Promoted, RolledBack, Held.",
        "items": item,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    }


def _names_the_candidate(field: str) -> Schema:
    """A request that is new must be about the candidate. An old one may stay when the candidate changes."""
    same = f"oldSelf.hasValue() && has(oldSelf.value().{field}) && oldSelf.value().{field} == self.{field}"
    named = f"has(self.candidate) && self.{field}.tag == self.candidate"
    return {
        "rule": f"!has(self.{field}) || ({same}) || ({named})",
        "optionalOldSelf": True,
        "message": f"{field}.tag is not the candidate; nothing would follow from it",
        "fieldPath": f".{field}",
    }


def _canary_rules() -> list[Schema]:
    given = {name: _given(name) for name in ("min_blocks", "step_blocks", "deadline_blocks", "extended_blocks")}
    steps = len(CanaryPlan().steps)
    count = f"(has(self.steps) ? size(self.steps) : {steps})"
    least, deadline = given["min_blocks"], given["deadline_blocks"]
    weights = "self.steps.map(s, s.weight)"
    return [
        {
            "rule": f"!has(self.steps) || ({weights}.isSorted() && "
            "self.steps.all(s, self.steps.exists_one(t, t.weight == s.weight)))",
            "message": "the steps' weights must rise",
            "fieldPath": ".steps",
        },
        {
            "rule": f"{given['extended_blocks']} >= {deadline}",
            "message": "extended_blocks is before deadline_blocks; give both, or neither",
        },
        {
            "rule": f"{least} < {deadline} && {given['step_blocks']} * {count} < {deadline}",
            "message": "the shortest canary phase is not shorter than its deadline: it could never be promoted; "
            "raise deadline_blocks or lower min_blocks and step_blocks",
        },
    ]


def _rising_looks() -> Schema:
    return {
        "rule": "!has(self.looks) || (self.looks.isSorted() && self.looks.all(a, self.looks.exists_one(b, a == b)))",
        "message": "the looks' positives must rise",
        "fieldPath": ".looks",
    }


def _given(name: str) -> str:
    """A field of the canary's plan, or its default."""
    return f"(has(self.{name}) ? self.{name} : {CanaryPlan.model_fields[name].default})"


def _structural(model: type[BaseModel], *, strict: bool) -> Schema:
    """A model's schema as Kubernetes wants it: no references, and null said by `nullable`."""
    schema = model.model_json_schema()
    return _Converter(schema.get("$defs", {}), strict=strict).converted(schema)


class _Converter:
    """Turns a schema of pydantic's into a structural one."""

    def __init__(self, definitions: Mapping[str, Schema], *, strict: bool) -> None:
        self._definitions = definitions
        self._strict = strict

    def converted(self, given: Schema) -> Schema:
        schema = self._resolved(given)
        if schema.get("title") in _OPAQUE:
            return {"type": "object", "description": schema["description"], **_ANYTHING}
        if "anyOf" in schema:
            return self._nullable(schema)
        if "type" not in schema and "enum" not in schema and "const" not in schema:
            return dict(_ANYTHING)
        made = {key: value for key, value in schema.items() if key in _KEPT}
        made |= self._described(schema) | self._bounds(schema)
        if made.get("format") == "time":
            del made["format"]  # unknown to Kubernetes
        match schema.get("type"):
            case "object":
                made |= self._object(schema)
            case "array":
                made |= self._array(schema)
            case "integer":
                made["format"] = "int64"
            case "number":
                made["format"] = "double"
        return made

    def _resolved(self, schema: Schema) -> Schema:
        """The schema with what it refers to; its own words come first."""
        if "$ref" not in schema:
            return schema
        found = self._definitions[schema["$ref"].rpartition("/")[2]]
        return {**found, **{key: value for key, value in schema.items() if key != "$ref"}}

    def _nullable(self, schema: Schema) -> Schema:
        (inner,) = (each for each in schema["anyOf"] if each != {"type": "null"})
        own = {key: schema[key] for key in ("description", "default") if schema.get(key) is not None}
        return {**self.converted({**inner, **own}), "nullable": True}

    def _described(self, schema: Schema) -> Schema:
        words, default = " ".join(schema.get("description", "").split()), schema.get("default")
        if isinstance(default, str | int | float) and default != "" and self._strict:
            words = f"{words} Default: {json.dumps(default)}.".strip()
        return {"description": words} if words else {}

    def _bounds(self, schema: Schema) -> Schema:
        """Bounds in the older way of saying them that Kubernetes has."""
        if not self._strict:
            return {}
        found: Schema = {key: schema[key] for key in (*_BOUNDS, *_LENGTHS) if key in schema}
        for way in ("Minimum", "Maximum"):
            if (bound := found.pop(f"exclusive{way}", None)) is not None:
                found |= {way.lower(): bound, f"exclusive{way}": True}
        return found | ({"pattern": _CLOCK, "maxLength": 15} if schema.get("format") == "time" else {})

    def _object(self, schema: Schema) -> Schema:
        fields, rest = schema.get("properties"), schema.get("additionalProperties")
        if fields:
            return {"properties": {name: self.converted(field) for name, field in fields.items()}}
        if isinstance(rest, dict):
            return {"additionalProperties": self.converted(rest)}
        return dict(_ANYTHING)

    def _array(self, schema: Schema) -> Schema:
        """Kubernetes knows lists of one kind only: others hold anything."""
        kinds = [self.converted(each) for each in schema.get("prefixItems", ())]
        items = self.converted(schema["items"]) if "items" in schema else kinds[0]
        return {"items": dict(_ANYTHING) if any(each != items for each in kinds) else items}

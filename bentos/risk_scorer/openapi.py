"""The OpenAPI document, derived from the event and the policy that really answer."""

import json
from typing import Any, Final

from .events import Event
from .policy import Decision, Policy

_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:vigil:problem:invalid-event"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "problem"],
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
        "request_id": {"type": "string"},
    },
}
_REFUSALS: Final = {
    "400": "The body is no JSON object, or says a key twice.",
    "413": "The body is too large for an event.",
    "415": "The body is not application/json.",
    "422": "A field is wrong; every wrong field is named.",
}


def document(tag: str, policy: Policy) -> bytes:
    """The document (OpenAPI 3.1) as JSON."""
    return json.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Vigil risk scorer",
                "version": tag,
                "description": "Scores events for risk. "
                f"Reviewed from {policy.review_from:.4g}, blocked from {policy.block_from:.4g}.",
            },
            "paths": {"/score": {"post": _score_operation()}, **{path: _probe(text) for path, text in _PROBES.items()}},
            "components": {
                "schemas": {"Event": Event.model_json_schema(), "Answer": _answer(), "Problem": _PROBLEM},
            },
        }
    ).encode()


_PROBES: Final = {
    "/livez": "200 while the process lives.",
    "/readyz": "200 while requests are taken, 503 while it drains.",
    "/metrics": "Prometheus metrics.",
    "/openapi.json": "This document.",
}


def _probe(text: str) -> dict[str, Any]:
    return {"get": {"summary": text, "responses": {"200": {"description": text}}}}


def _score_operation() -> dict[str, Any]:
    return {
        "summary": "Score one event",
        "parameters": [
            {
                "name": "x-entity-id",
                "in": "header",
                "description": "Pseudonym of the customer: keeps their events on one version, and is what is counted.",
                "schema": {"type": "string", "maxLength": 64},
            },
            {
                "name": "explain",
                "in": "query",
                "description": "Whether to answer with the reasons, too (about 1 ms).",
                "schema": {"type": "boolean", "default": False},
            },
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("Event")}}},
        "responses": {
            "200": {"description": "The score.", "content": {"application/json": {"schema": _ref("Answer")}}},
            **{
                status: {"description": text, "content": {"application/problem+json": {"schema": _ref("Problem")}}}
                for status, text in _REFUSALS.items()
            },
        },
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer() -> dict[str, Any]:
    reason = {
        "type": "object",
        "required": ["feature", "effect"],
        "properties": {
            "feature": {"type": "string", "description": "Column of the model."},
            "effect": {"type": "number", "description": "How much it raised the score, in log-odds (TreeSHAP)."},
        },
    }
    return {
        "type": "object",
        "required": ["event_id", "request_id", "score", "decision", "model_version"],
        "properties": {
            "event_id": {"type": "string"},
            "request_id": {"type": "string", "description": "The gateway's name for this request."},
            "score": {"type": "number", "minimum": 0, "maximum": 1, "description": "Calibrated probability of fraud."},
            "decision": {"enum": [decision.value for decision in Decision]},
            "model_version": {"type": "string", "examples": ["risk_scorer:0123456789ab"]},
            "reasons": {"type": "array", "items": reason, "description": "What raised the score most, when asked for."},
        },
    }

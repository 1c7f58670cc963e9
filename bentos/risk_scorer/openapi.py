"""The OpenAPI document, derived from the event and the policy that really answer."""

import json
from typing import Any, Final

from .policy import Decision, Policy
from .reasons import Reason
from .requests import Batch

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
_EVENT_ID: Final = {"event_id": {"type": "string", "description": "The client's, or one made up."}}
_IDS_OF_REQUEST: Final = {"request_id": {"type": "string", "description": "The gateway's name for this request."}}
_IDS: Final = {**_EVENT_ID, **_IDS_OF_REQUEST}
_RESULT: Final[dict[str, Any]] = {
    "score": {"type": "number", "minimum": 0, "maximum": 1, "description": "Calibrated probability of fraud."},
    "decision": {"enum": [decision.value for decision in Decision]},
    "reasons": {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Reason"},
        "description": "What raised the score the most, when asked for.",
    },
}
_MODEL: Final = {"model_version": {"type": "string", "examples": ["risk_scorer:0123456789ab"]}}
_EXAMPLE: Final[dict[str, Any]] = {
    "event_id": "order-1842",
    "amount": 249.9,
    "hour": 2,
    "device_risk": 2,
    "velocity_5m": 7,
    "account_age_days": 12.5,
    "channel": "online",
}
_REFUSALS: Final = {
    "400": "The body is no JSON object, or says a key twice.",
    "413": "The body is too large for an event.",
    "415": "The body is not application/json.",
    "422": "A field is wrong; every wrong field is named.",
    "503": "Too many requests at once: try again after Retry-After.",
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
            "paths": {
                "/score": {"post": _operation("Score one event", "Event", "Answer", _EXAMPLE)},
                "/score/batch": {"post": _operation("Score many events", "Batch", "Answers", {"events": [_EXAMPLE]})},
                **{path: _probe(text) for path, text in _PROBES.items()},
            },
            "components": {"schemas": _schemas()},
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


def _operation(summary: str, body: str, answer: str, example: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": summary,
        "parameters": [
            {
                "name": "x-entity-id",
                "in": "header",
                "description": "Pseudonym of the customer: keeps their events on one version, and is what is counted.",
                "schema": {"type": "string", "maxLength": 64},
                "example": "customer-17",
            },
            {
                "name": "explain",
                "in": "query",
                "description": "Whether to answer with the reasons, too (about 1 ms an event).",
                "schema": {"type": "boolean", "default": False},
            },
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(body), "example": example}}},
        "responses": {
            "200": {"description": "Scored.", "content": {"application/json": {"schema": _ref(answer)}}},
            **{
                status: {"description": text, "content": {"application/problem+json": {"schema": _ref("Problem")}}}
                for status, text in _REFUSALS.items()
            },
        },
    }


def _schemas() -> dict[str, Any]:
    batch = Batch.model_json_schema(ref_template="#/components/schemas/{model}")
    return {
        "Event": batch.pop("$defs")["Event"],
        "Batch": batch,
        "Answer": _object(**_IDS, **_RESULT, **_MODEL),
        "Answers": _object(
            **_IDS_OF_REQUEST,
            **_MODEL,
            results={"type": "array", "items": _object(**_EVENT_ID, **_RESULT), "description": "In the batch's order."},
        ),
        "Reason": Reason.model_json_schema(),
        "Problem": _PROBLEM,
    }


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """An object whose properties are all there, but for the reasons, which come when they are asked for."""
    return {"type": "object", "required": [name for name in properties if name != "reasons"], "properties": properties}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}

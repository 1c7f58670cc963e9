"""The HTTP interface, held by the lean server and by `bentoml serve` alike."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bentos.risk_scorer.policy import Decision

PLAIN = {"amount": 249.9, "hour": 2, "device_risk": 2, "velocity_5m": 7}
JSON = {"content-type": "application/json"}


def score(server, body: object = PLAIN, headers: dict[str, str] | None = None, query: str = "") -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.client.post(f"/score{query}", content=content, headers={**JSON, **(headers or {})})


def test_four_plain_fields_get_a_score(server) -> None:
    answer = score(server)
    assert answer.status_code == 200
    content = answer.json()
    assert list(content) == ["event_id", "request_id", "score", "decision", "model_version"]
    assert 0 <= content["score"] <= 1
    assert content["decision"] in list(Decision)
    assert content["model_version"] == server.tag
    assert answer.headers["x-request-id"] == content["request_id"]


def test_the_same_event_gets_the_same_score(server) -> None:
    assert score(server).json()["score"] == score(server).json()["score"]


def test_the_gateways_request_id_and_the_clients_event_id_come_back(server) -> None:
    content = score(server, {**PLAIN, "event_id": "evt-1"}, {"x-request-id": "8a1e-77"}).json()
    assert (content["event_id"], content["request_id"]) == ("evt-1", "8a1e-77")


def test_the_event_id_that_is_made_up_is_the_same_in_a_mirrored_copy(server) -> None:
    first, copy = (score(server, headers={"x-request-id": "8a1e-78"}).json() for _ in range(2))
    assert first["event_id"] == copy["event_id"]
    batches = [batch(server, [PLAIN, PLAIN], {"x-request-id": "8a1e-79"}).json()["results"] for _ in range(2)]
    ids = [[result["event_id"] for result in results] for results in batches]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_a_request_id_that_could_not_be_stored_is_replaced(server) -> None:
    content = score(server, headers={"x-request-id": 'a"b\\'}).json()
    assert '"' not in content["request_id"]


def test_missing_values_are_scored(server) -> None:
    assert score(server, dict.fromkeys(PLAIN)).status_code == 200


def test_the_entity_may_stand_in_header_and_body_when_they_agree(server) -> None:
    assert score(server, {**PLAIN, "entity_id": "e-1"}, {"x-entity-id": "e-1"}).status_code == 200
    assert score(server, {**PLAIN, "entity_id": "e-1"}).status_code == 200


def test_reasons_come_when_they_are_asked_for_in_words(server) -> None:
    reasons = score(server, query="?explain=true").json()["reasons"]
    effects = [reason["effect"] for reason in reasons]
    assert 1 <= len(reasons) <= 4
    assert effects == sorted(effects, reverse=True)
    assert all(reason["text"].startswith("The ") and reason["text"].endswith(" the risk.") for reason in reasons)
    assert "reasons" not in score(server, query="?explain=false").json()


def batch(server, events: object, headers: dict[str, str] | None = None, query: str = "") -> httpx.Response:
    content = json.dumps({"events": events}).encode()
    return server.client.post(f"/score/batch{query}", content=content, headers={**JSON, **(headers or {})})


def test_a_batch_is_scored_in_its_order_with_the_scores_of_single_events(server) -> None:
    events = [{**PLAIN, "event_id": f"e-{hour}", "hour": hour} for hour in range(24)]
    content = batch(server, events).json()
    assert list(content) == ["request_id", "model_version", "results"]
    assert [result["event_id"] for result in content["results"]] == [event["event_id"] for event in events]
    assert [result["score"] for result in content["results"]] == [score(server, e).json()["score"] for e in events]


def test_a_batch_gives_reasons_for_each_event(server) -> None:
    results = batch(server, [PLAIN, PLAIN], query="?explain=true").json()["results"]
    assert all(result["reasons"] for result in results)


def test_a_batch_names_the_event_and_the_field_that_is_wrong(server) -> None:
    wrong = [PLAIN, {**PLAIN, "hour": 24}, {**PLAIN, "occurred_at": LONG_AGO}]
    assert error_fields(expect_problem(batch(server, wrong[:2]), 422)) == ["events.1.hour"]
    assert error_fields(expect_problem(batch(server, [PLAIN, wrong[2]]), 422)) == ["events.1.occurred_at"]


def test_an_event_stands_in_a_batch_once(server) -> None:
    twice = [{**PLAIN, "event_id": "e"}, {**PLAIN, "event_id": "e"}]
    assert error_fields(expect_problem(batch(server, twice), 422)) == ["events.1.event_id"]


@pytest.mark.parametrize("events", [300, 30_000])
def test_a_huge_refusal_stays_small(server, events: int) -> None:
    answer = batch(server, [{}] * events)
    problem = expect_problem(answer, 422)
    assert len(answer.content) < 20_000
    assert len(problem["errors"]) <= 50


def test_many_keys_said_twice_are_refused_quickly_enough_to_finish(server) -> None:
    keys = ",".join(f'"k{number}":1' for number in range(9_000))
    body = f'{{"events":[{{"amount":{{{keys}}},"amount":1,"hour":1,"device_risk":1,"velocity_5m":1}}]}}'
    expect_problem(server.client.post("/score/batch", content=body.encode(), headers=JSON), 400)


@pytest.mark.parametrize("events", [[], None, PLAIN, [PLAIN] * 201])
def test_a_batch_without_events_or_with_too_many_is_refused(server, events: object) -> None:
    assert error_fields(expect_problem(batch(server, events), 422)) == ["events"]


def test_a_key_said_twice_in_a_batch_is_refused(server) -> None:
    body = b'{"events": [{"amount": 1, "amount": 2, "hour": 1, "device_risk": 1, "velocity_5m": 1}]}'
    expect_problem(server.client.post("/score/batch", content=body, headers=JSON), 400)


def error_fields(problem: dict[str, object]) -> list[str]:
    return [error["field"] for error in problem["errors"]]


LONG_AGO = (datetime.now(UTC) - timedelta(days=31)).isoformat()
AHEAD = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()

WRONG_EVENTS = [
    ({**PLAIN, "amount": -1}, "amount"),
    ({**PLAIN, "amount": "12"}, "amount"),
    ({**PLAIN, "hour": 24}, "hour"),
    ({**PLAIN, "hour": 2.5}, "hour"),
    ({**PLAIN, "device_risk": 3}, "device_risk"),
    ({**PLAIN, "velocity_5m": True}, "velocity_5m"),
    ({**PLAIN, "channel": "pigeon"}, "channel"),
    ({**PLAIN, "colour": "red"}, "colour"),
    ({**PLAIN, "entity_id": "4111111111111111"}, "entity_id"),
    ({**PLAIN, "event_id": "a b"}, "event_id"),
    ({**PLAIN, "occurred_at": "yesterday"}, "occurred_at"),
    ({**PLAIN, "occurred_at": "2026-11-01T00:00:00"}, "occurred_at"),
    ({**PLAIN, "occurred_at": LONG_AGO}, "occurred_at"),
    ({**PLAIN, "occurred_at": AHEAD}, "occurred_at"),
    ({"amount": 1, "hour": 1, "device_risk": 1}, "velocity_5m"),
]


@pytest.mark.parametrize(("event", "field"), WRONG_EVENTS)
def test_a_wrong_field_is_named(server, event: object, field: str) -> None:
    problem = expect_problem(score(server, event), 422)
    assert [error["field"] for error in problem["errors"]] == [field]


def test_every_wrong_field_is_named_at_once(server) -> None:
    problem = expect_problem(score(server, {"amount": -1, "hour": 99, "device_risk": 9, "velocity_5m": -9}), 422)
    assert {error["field"] for error in problem["errors"]} == set(PLAIN)


BROKEN = [
    (b"", 400),
    (b"{", 400),
    (b'{"amount": 1,}', 400),
    (b"\xff\xfe", 400),
    (b'{"amount": NaN, "hour": 1, "device_risk": 1, "velocity_5m": 1}', 422),
    (b'{"amount": Infinity, "hour": 1, "device_risk": 1, "velocity_5m": 1}', 422),
    (b'{"amount": 1e999, "hour": 1, "device_risk": 1, "velocity_5m": 1}', 422),
    (b'{"amount": 1, "amount": 2, "hour": 1, "device_risk": 1, "velocity_5m": 1}', 400),
    (b"[]", 422),
    (b"null", 422),
    (b'"text"', 422),
    (b"[" * 5_000, 400),
    (b'{"amount": {"amount": {"amount": 1}}, "hour": 1, "device_risk": 1, "velocity_5m": 1}', 422),
]


@pytest.mark.parametrize(("body", "status"), BROKEN)
def test_a_body_that_is_no_event_is_refused(server, body: bytes, status: int) -> None:
    expect_problem(score(server, body), status)


def test_another_content_type_is_refused(server) -> None:
    problem = expect_problem(score(server, headers={"content-type": "text/xml"}), 415)
    assert "content-type: application/json" in problem["detail"]


def test_a_content_type_with_a_charset_is_taken(server) -> None:
    assert score(server, headers={"content-type": "application/json; charset=utf-8"}).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_a_body_is_refused(server, chunked: bool) -> None:
    body = b" " * 100_000
    content = iter([body[:50_000], body[50_000:]]) if chunked else body
    expect_problem(server.client.post("/score", content=content, headers=JSON), 413)


def test_a_chunked_body_is_read(server) -> None:
    body = json.dumps(PLAIN).encode()
    answer = server.client.post("/score", content=iter([body[:9], body[9:]]), headers=JSON)
    assert answer.status_code == 200


def test_a_wrong_method_names_the_right_one(server) -> None:
    answer = server.client.get("/score")
    expect_problem(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_a_wrong_path_is_not_found(server) -> None:
    expect_problem(server.client.post("/scores", content=b"{}", headers=JSON), 404)


def test_an_entity_header_that_is_no_pseudonym_is_refused(server) -> None:
    problem = expect_problem(score(server, headers={"x-entity-id": "ada@example.com"}), 422)
    assert problem["errors"][0]["field"] == "header x-entity-id"


def test_two_different_entities_are_refused(server) -> None:
    expect_problem(score(server, {**PLAIN, "entity_id": "e-1"}, {"x-entity-id": "e-2"}), 422)


@pytest.mark.parametrize("query", ["?explain=perhaps", "?debug=1", "?explain=true&explain=true"])
def test_an_unknown_query_is_refused(server, query: str) -> None:
    expect_problem(score(server, query=query), 422)


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_answer(server, path: str) -> None:
    assert server.client.get(path).status_code == 200


def test_metrics_count_requests_by_role_tag_and_status(server) -> None:
    before = requests_by_status(server)
    score(server)
    score(server, {**PLAIN, "hour": 24})
    after = requests_by_status(server)
    assert after["200"] == before.get("200", 0) + 1
    assert after["422"] == before.get("422", 0) + 1


def requests_by_status(server) -> dict[str, float]:
    text = server.client.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = families["vigil_scorer_requests"].samples if "vigil_scorer_requests" in families else []
    assert all(sample.labels["role"] == "canary" and sample.labels["tag"] == server.tag for sample in samples)
    return {sample.labels["status"]: sample.value for sample in samples if sample.name.endswith("_total")}


def test_the_openapi_document_describes_what_is_answered(server) -> None:
    document = server.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert document["info"]["version"] == server.tag
    assert set(schemas["Event"]["required"]) == set(PLAIN)
    assert set(score(server).json()) == set(schemas["Answer"]["required"])
    example = document["paths"]["/score/batch"]["post"]["requestBody"]["content"]["application/json"]["example"]
    answers = server.client.post("/score/batch", json=example).json()
    assert set(answers) == set(schemas["Answers"]["required"])
    assert set(answers["results"][0]) == set(schemas["Answers"]["properties"]["results"]["items"]["required"])
    refusal = expect_problem(score(server, {}), 422)
    assert set(refusal) == set(schemas["Problem"]["required"])


def expect_problem(answer: httpx.Response, status: int) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:vigil:problem:")
    assert problem["detail"]
    assert problem["request_id"]
    return problem

"""The real Envoy with the real manifests, in front of stand-in scorers: who gets which request."""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from k8s.local import envoy
from k8s.local.envoy_endpoints import EnvoyEndpoints
from k8s.local.envoy_router import EnvoyFileRouter, admin_version
from k8s.local.errors import ProcessDiedError
from k8s.local.gateway_manifests import GATEWAY, http_route, read, traffic_policy
from k8s.local.interrupts import Interrupts
from k8s.local.ports import free_ports, get
from k8s.local.processes import Command, Supervisor
from k8s.rollout.routers import SERVICES, Split

STAND_IN = Path(__file__).parents[1] / "doubles" / "stand_in_scorer.py"


@dataclass(frozen=True)
class Gateway:
    url: str
    admin: int
    backends: dict[str, int]
    router: EnvoyFileRouter
    bootstrap: Path

    def seen(self, role: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(get(self.backends[role], "/seen") or b"")["seen"]
        return found

    def requests(self) -> Counter[str]:
        return Counter({role: len(self.seen(role)) for role in self.backends})


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # whatever the case of their names
    body: dict[str, Any]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("envoy")
    routes = folder / "routes" / "routes.json"
    routes.parent.mkdir()
    template = read(GATEWAY / "httproute.yaml")
    policy = traffic_policy(read(GATEWAY / "backendtrafficpolicy.yaml"), http_route(template))
    listener, admin, *backend_ports = free_ports(5)
    backends: dict[str, int] = dict(zip(SERVICES, backend_ports, strict=True))
    endpoints = EnvoyEndpoints(folder / "endpoints", admin)
    for role in SERVICES:
        endpoints.write(role, [backends[role]])
    bootstrap = folder / "bootstrap.json"
    watched = envoy.Watched(routes, endpoints.files)
    bootstrap.write_text(json.dumps(envoy.bootstrap(envoy.Ports(listener, admin), watched, policy)))
    EnvoyFileRouter(template, policy, routes).apply(Split(100, 0))
    with Interrupts() as interrupts, Supervisor(interrupts) as supervisor:
        for role, port in backends.items():
            settings = {"PATH": os.defpath, "SCORER_ROLE": role, "SCORER_PORT": str(port)}
            arguments = (sys.executable, str(STAND_IN))
            child = supervisor.start(Command(role, arguments, folder, folder / f"{role}.log", settings))
            supervisor.wait_ready(child, lambda port=port: get(port, "/readyz") is not None, 20)  # type: ignore[misc]
        log = folder / "envoy.log"
        child = supervisor.start(Command("envoy", tuple(envoy.command(bootstrap)), folder, log, {}))
        supervisor.wait_ready(child, lambda: admin_version(admin) is not None, 20)
        router = EnvoyFileRouter(template, policy, routes, lambda: admin_version(admin))
        yield Gateway(f"http://127.0.0.1:{listener}", admin, backends, router, bootstrap)
        supervisor.check()


async def _post(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> Answer:
    async with session.post(url, json={"event_id": "e"}, headers=headers) as answer:
        return Answer(answer.status, answer.headers, await answer.json(content_type=None))


def _send(url: str, many: list[dict[str, str]], at_once: int = 32) -> list[Answer]:
    """One POST for each set of headers; the answers in the same order."""

    async def run() -> list[Answer]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:
            return await asyncio.gather(*(_post(session, url, headers) for headers in many))

    return asyncio.run(run())


def _entities(count: int) -> list[dict[str, str]]:
    return [{"x-entity-id": f"entity-{number}"} for number in range(count)]


def _versions(answers: list[Answer]) -> list[str]:
    assert {each.status for each in answers} == {200}
    return [each.body["model_version"] for each in answers]


def _canary(gateway: Gateway, split: Split, many: list[dict[str, str]]) -> set[int]:
    """Which of the requests the canary answers under a split."""
    gateway.router.apply(split)
    before = gateway.requests()
    versions = _versions(_send(f"{gateway.url}/score", many))
    grown = gateway.requests() - before
    tags = Counter(versions)
    assert sorted(tags.values()) == sorted(each for each in (grown["stable"], grown["canary"]) if each)
    if not grown["canary"]:
        return set()
    canary = versions[0] if not grown["stable"] else next(tag for tag in tags if tags[tag] == grown["canary"])
    return {number for number, tag in enumerate(versions) if tag == canary}


def test_an_entity_that_the_canary_has_got_stays_with_it_while_its_weight_grows(gateway: Gateway) -> None:
    many = _entities(1000)
    before: set[int] = set()
    for weight in (0, 5, 26, 51, 100):
        chosen = _canary(gateway, Split(100 - weight, weight), many)
        assert chosen >= before
        # 5 standard deviations of a binomial share
        assert abs(len(chosen) / len(many) - weight / 100) <= 5 * (weight / 100 * (1 - weight / 100) / len(many)) ** 0.5
        before = chosen


def test_every_repeat_of_an_entity_meets_the_same_variant(gateway: Gateway) -> None:
    gateway.router.apply(Split(60, 40))
    versions = _versions(_send(f"{gateway.url}/score", _entities(50) * 10))
    assert all(len(set(versions[entity::50])) == 1 for entity in range(50))
    assert len(set(versions)) == 2


def test_requests_without_the_header_are_spread_at_random(gateway: Gateway) -> None:
    gateway.router.apply(Split(60, 40))
    shares = Counter(_versions(_send(f"{gateway.url}/score", [{}] * 600)))
    assert len(shares) == 2
    assert min(shares.values()) > 180  # 40 % of 600 less 5 standard deviations


def test_the_mirror_gets_each_request_exactly_once_with_its_request_id(gateway: Gateway) -> None:
    gateway.router.apply(Split(75, 25, 100))
    before = len(gateway.seen("shadow"))
    answers = _send(f"{gateway.url}/score", _entities(400))
    sent = Counter(each.body["request_id"] for each in answers)
    assert max(sent.values()) == 1
    _wait(lambda: len(gateway.seen("shadow")) >= before + 400)
    mirrored = Counter(each["headers"]["x-request-id"] for each in gateway.seen("shadow")[before:])
    assert mirrored == sent


def test_a_partial_mirror_gets_its_share(gateway: Gateway) -> None:
    gateway.router.apply(Split(100, 0, 30))
    before = len(gateway.seen("shadow"))
    _send(f"{gateway.url}/score", _entities(500))
    gateway.router.apply(Split(100, 0))
    assert 90 < len(gateway.seen("shadow")) - before < 210  # 150, 5 standard deviations of 10


def test_without_a_mirror_the_shadow_gets_nothing(gateway: Gateway) -> None:
    gateway.router.apply(Split(75, 25, 0))
    before = len(gateway.seen("shadow"))
    _send(f"{gateway.url}/score", _entities(100))
    assert len(gateway.seen("shadow")) == before


def test_changing_the_weights_under_load_fails_no_request(gateway: Gateway) -> None:
    async def run() -> list[Answer]:
        gateway.router.apply(Split(100, 0))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=16)) as session:
            load = asyncio.gather(*(_post(session, f"{gateway.url}/score", each) for each in _entities(3000)))
            for weight in [5, 25, 50, 100, 50, 25, 5, 0] * 4:
                await asyncio.to_thread(gateway.router.apply, Split(100 - weight, weight, weight))
            assert not load.done()  # else nothing was tested
            return await load

    answers = asyncio.run(run())
    assert Counter(each.status for each in answers) == {200: 3000}


def test_the_gateway_makes_the_request_id_whatever_the_client_sent(gateway: Gateway) -> None:
    gateway.router.apply(Split(100, 0))
    (answer,) = _send(f"{gateway.url}/score", [{"x-request-id": "mine", "x-forwarded-for": "10.0.0.1"}])
    assert answer.body["request_id"] not in ("mine", "none")
    assert answer.headers["x-request-id"] == answer.body["request_id"]


def test_the_backend_learns_its_name_from_the_route_and_not_from_the_client(gateway: Gateway) -> None:
    gateway.router.apply(Split(100, 0))
    _send(f"{gateway.url}/score", [{"x-vigil-backend": "canary", "x-envoy-internal": "true"}])
    headers = gateway.seen("stable")[-1]["headers"]
    assert headers["x-vigil-backend"] == "stable"
    assert "x-envoy-internal" not in headers


@pytest.mark.parametrize("path", ["/", "/scores", "/openapi.json/x", "/livez", "/metrics", "/seen"])
def test_other_paths_are_answered_by_the_gateway(gateway: Gateway, path: str) -> None:
    (answer,) = _send(gateway.url + path, [{}])
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.body["status"] == 404
    assert answer.body["request_id"]


def test_a_scorers_error_is_passed_on_once(gateway: Gateway) -> None:
    gateway.router.apply(Split(100, 0))
    before = len(gateway.seen("stable"))
    (answer,) = _send(f"{gateway.url}/score", [{"x-stand-in-status": "503"}])
    assert answer.status == 503
    assert len(gateway.seen("stable")) == before + 1


def test_the_counters_of_each_backend_are_there(gateway: Gateway) -> None:
    gateway.router.apply(Split(0, 100))
    _send(f"{gateway.url}/score", [{}])
    stats = (get(gateway.admin, "/stats/prometheus") or b"").decode()
    assert (
        'envoy_cluster_external_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="scorer-canary"}'
        in stats
    )


def test_a_second_envoy_cannot_share_the_port(gateway: Gateway, tmp_path: Path) -> None:
    config = json.loads(gateway.bootstrap.read_text())
    config["admin"]["address"]["socket_address"]["port_value"] = free_ports(1)[0]
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text(json.dumps(config))
    with Interrupts() as interrupts, Supervisor(interrupts) as supervisor:
        command = Command("second", tuple(envoy.command(bootstrap)), tmp_path, tmp_path / "log", {})
        second = supervisor.start(command)
        with pytest.raises(ProcessDiedError, match="second ended"):
            supervisor.wait_ready(second, lambda: False, 20)


def _wait(condition: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

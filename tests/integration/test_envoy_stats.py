"""What the counters of a real Envoy say of a scorer that fails, in each way a scorer can fail."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from k8s.local import envoy
from k8s.local.ports import free_ports, get
from k8s.rollout.envoy_stats import Counters, EnvoyGateway, GatewayAwayError, by_name, fixed, growth
from tests.waiting import wait_for

STAND_IN = Path(__file__).parents[1] / "doubles" / "stand_in_scorer.py"
CLUSTERS = {"scorer-stable": "stable", "scorer-canary": "canary", "scorer-shadow": "shadow"}
TIMEOUT = "0.4s"


class Bench:
    """An Envoy whose path /ROLE goes to that role's scorer, and stable's also to the shadow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listener, self.admin, *ports = free_ports(5)
        self.ports = dict(zip(CLUSTERS.values(), ports, strict=True))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "envoy.json").write_text(json.dumps(self.config()))

    def start(self, *names: str) -> None:
        for name in names:
            self.processes[name] = self.spawn(name)
        for name in names:
            port, path = (self.admin, "/ready") if name == "envoy" else (self.ports[name], "/readyz")
            wait_for(lambda port=port, path=path: get(port, path) is not None)  # type: ignore[misc]

    def spawn(self, name: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{name}.log").open("ab") as log:
            if name == "envoy":
                return subprocess.Popen(envoy.command(self.folder / "envoy.json"), stdout=log, stderr=log)
            settings = {"PATH": os.defpath, "SCORER_ROLE": name, "SCORER_PORT": str(self.ports[name])}
            return subprocess.Popen([sys.executable, str(STAND_IN)], env=settings, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def close(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    @property
    def gateway(self) -> EnvoyGateway:
        return EnvoyGateway(fixed(f"http://127.0.0.1:{self.admin}"), CLUSTERS, lambda: datetime.now(UTC), seconds=5)

    def send(self, role: str, count: int, **headers: str) -> Counter[int]:
        """The statuses of `count` requests at once."""
        url = f"http://127.0.0.1:{self.listener}/{role}"

        def one(_: int) -> int:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            return httpx.post(url, json={}, headers=given, timeout=10).status_code

        with ThreadPoolExecutor(count) as pool:
            return Counter(pool.map(one, range(count)))

    def config(self) -> dict[str, Any]:
        types = "type.googleapis.com/envoy.extensions.filters"
        router = {"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
        manager = {
            "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "bench",
            "route_config": {"virtual_hosts": [{"name": "b", "domains": ["*"], "routes": self.routes()}]},
            "http_filters": [router],
        }
        chain = {"filters": [{"name": "http", "typed_config": manager}]}
        return {
            "admin": {"address": _address(self.admin)},
            "static_resources": {
                "listeners": [{"name": "http", "address": _address(self.listener), "filter_chains": [chain]}],
                "clusters": [_cluster(f"scorer-{role}", port) for role, port in self.ports.items()],
            },
        }

    def routes(self) -> list[dict[str, Any]]:
        mirror = [{"cluster": "scorer-shadow"}]
        return [
            {
                "match": {"prefix": f"/{role}"},
                "route": {
                    "cluster": f"scorer-{role}", "timeout": TIMEOUT, "prefix_rewrite": "/score",
                    "request_mirror_policies": mirror if role == "stable" else [],
                },
            }
            for role in self.ports
        ]  # fmt: skip


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, port: int) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]
    breaker = {"max_connections": 100, "max_pending_requests": 100, "max_requests": 3}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.3s",
        "circuit_breakers": {"thresholds": [breaker if name == "scorer-stable" else {}]},
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("stats"))
    with contextlib.closing(bench):
        bench.start("envoy", *bench.ports)
        yield bench


@pytest.fixture(autouse=True)
def _all_run(bench: Bench) -> None:
    for name in ("envoy", *bench.ports):
        if name not in bench.processes:
            bench.start(name)


def counted(bench: Bench, role: str, before: Any, expected: Counters) -> None:
    """Waits until the counters say that: what mirrors do is counted a moment later."""
    gateway = bench.gateway
    with contextlib.closing(gateway):
        wait_for(lambda: growth(before, gateway.snapshot())[role] == expected, seconds=10)  # type: ignore[index]


def before(bench: Bench) -> Any:
    gateway = bench.gateway
    with contextlib.closing(gateway):
        return gateway.snapshot()


def test_what_a_scorer_answers_is_no_failure_of_the_gateways(bench):
    start = before(bench)
    assert bench.send("canary", 5) == {200: 5}
    assert bench.send("canary", 3, x_stand_in_status="500") == {500: 3}
    assert bench.send("canary", 2, x_stand_in_status="503") == {503: 2}
    assert bench.send("canary", 4, x_stand_in_status="422") == {422: 4}
    counted(bench, "canary", start, Counters(charged=10, failed=0))


def test_a_slow_scorer_times_out(bench):
    start = before(bench)
    assert bench.send("canary", 3, x_stand_in_delay="0.8") == {504: 3}
    counted(bench, "canary", start, Counters(3, 3))


def test_a_suspended_scorer_times_out(bench):
    start = before(bench)
    bench.processes["canary"].send_signal(signal.SIGSTOP)
    try:
        assert bench.send("canary", 4) == {504: 4}
    finally:
        bench.processes["canary"].send_signal(signal.SIGCONT)
    counted(bench, "canary", start, Counters(4, 4))


def test_a_scorer_that_is_killed_fails_what_it_had_and_then_refuses(bench):
    start = before(bench)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(bench.send, "canary", 3, x_stand_in_delay="0.3")
        wait_for(lambda: _active(bench, "canary") == 3)
        bench.kill("canary")
        assert sent.result() == {503: 3}
    counted(bench, "canary", start, Counters(3, 3))
    assert bench.send("canary", 4) == {503: 4}
    counted(bench, "canary", start, Counters(7, 7))


def _active(bench: Bench, role: str) -> int:
    text = (get(bench.admin, f"/stats?filter=cluster.scorer-{role}.upstream_rq_active%24") or b"").decode()
    return int(text.split(":")[1])


def test_too_many_at_once_are_failures(bench):
    start = before(bench)
    statuses = bench.send("stable", 12, x_stand_in_delay="0.2")
    assert statuses[503] >= 6
    counted(bench, "stable", start, Counters(12, statuses[503]))


def test_a_client_that_leaves_is_counted_nowhere(bench):
    start = before(bench)
    with contextlib.suppress(httpx.ReadTimeout):
        httpx.post(
            f"http://127.0.0.1:{bench.listener}/canary", json={}, headers={"x-stand-in-delay": "0.3"}, timeout=0.1
        )
    wait_for(lambda: _active(bench, "canary") == 0)
    counted(bench, "canary", start, Counters(0, 0))


def test_a_mirrors_failures_are_counted_as_those_of_its_role(bench):
    start = before(bench)
    assert bench.send("stable", 3) == {200: 3}
    counted(bench, "shadow", start, Counters(3, 0))
    bench.kill("shadow")
    assert bench.send("stable", 2) == {200: 2}
    counted(bench, "shadow", start, Counters(5, 2))
    counted(bench, "stable", start, Counters(5, 0))


def test_an_envoy_that_nobody_asked_anything_has_counted_nothing(bench):
    bench.kill("envoy")
    bench.start("envoy")
    assert set(next(iter(before(bench).instances.values())).roles.values()) == {Counters()}


def test_names_that_are_no_clusters_of_it_are_said(bench):
    gateway = EnvoyGateway(
        fixed(f"http://127.0.0.1:{bench.admin}"), {"httproute/elsewhere/scorer/rule/0/backend/0": "stable"},
        lambda: datetime.now(UTC),
    )  # fmt: skip
    with contextlib.closing(gateway), pytest.raises(GatewayAwayError, match="is it the right Envoy"):
        gateway.snapshot()


def test_a_restarted_envoy_counts_from_zero_again(bench):
    assert bench.send("canary", 9) == {200: 9}
    start = before(bench)
    bench.kill("envoy")
    with pytest.raises(GatewayAwayError, match=f"127.0.0.1:{bench.admin}: ConnectionRefusedError"):
        before(bench)
    bench.start("envoy")
    assert bench.send("canary", 2) == {200: 2}
    counted(bench, "canary", start, Counters(2, 0))


def test_a_suspended_envoy_is_away_and_says_so_in_time(bench):
    gateway = EnvoyGateway(fixed(f"http://127.0.0.1:{bench.admin}"), CLUSTERS, lambda: datetime.now(UTC), seconds=0.3)
    bench.processes["envoy"].send_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        with contextlib.closing(gateway), pytest.raises(GatewayAwayError, match="TimeoutError"):
            gateway.snapshot()
    finally:
        bench.processes["envoy"].send_signal(signal.SIGCONT)
    assert time.monotonic() - began < 5


def test_two_envoys_add_up_and_both_must_answer(bench, tmp_path):
    other = Bench(tmp_path)
    addresses = [f"http://127.0.0.1:{bench.admin}", f"http://localhost:{other.admin}"]
    gateway = EnvoyGateway(lambda: addresses, CLUSTERS, lambda: datetime.now(UTC))
    with contextlib.closing(other), contextlib.closing(gateway):
        other.start("envoy", "canary")
        start = gateway.snapshot()
        bench.send("canary", 2)
        other.send("canary", 3)
        wait_for(lambda: growth(start, gateway.snapshot())["canary"] == Counters(5, 0))
        other.processes["envoy"].send_signal(signal.SIGSTOP)
        with pytest.raises(GatewayAwayError, match=f"localhost:{other.admin}"):
            gateway.snapshot()
        other.processes["envoy"].send_signal(signal.SIGCONT)
        assert list(gateway.snapshot().instances) == addresses


def test_an_envoy_that_is_listed_and_not_there_keeps_nobody_from_the_others_counters(bench):
    (nobody,) = free_ports(1)
    addresses = [f"http://127.0.0.1:{nobody}", f"http://127.0.0.1:{bench.admin}"]
    gateway = EnvoyGateway(fixed(*addresses), CLUSTERS, lambda: datetime.now(UTC))
    with contextlib.closing(gateway):
        assert list(gateway.snapshot().instances) == addresses[1:]
    gateway = EnvoyGateway(fixed(addresses[0]), CLUSTERS, lambda: datetime.now(UTC))
    with contextlib.closing(gateway), pytest.raises(GatewayAwayError, match="no Envoy is running there"):
        gateway.snapshot()


def test_envoys_are_found_by_name(bench):
    gateway = EnvoyGateway(by_name("127.0.0.1", bench.admin), CLUSTERS, lambda: datetime.now(UTC))
    with contextlib.closing(gateway):
        assert f"http://127.0.0.1:{bench.admin}" in gateway.snapshot().instances


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        (list, "no Envoy is running"),
        (by_name("no-such-name.invalid", 19001), "the list of Envoys: gaierror"),
        (fixed("http://127.0.0.1:99999"), "99999"),
    ],
)
def test_why_there_is_no_snapshot_is_said(addresses, said):
    gateway = EnvoyGateway(addresses, CLUSTERS, lambda: datetime.now(UTC))
    with contextlib.closing(gateway), pytest.raises(GatewayAwayError, match=said):
        gateway.snapshot()


def test_a_server_that_is_no_envoy_is_said(bench):
    gateway = EnvoyGateway(fixed(f"http://127.0.0.1:{bench.ports['stable']}"), CLUSTERS, lambda: datetime.now(UTC))
    with contextlib.closing(gateway), pytest.raises(GatewayAwayError, match="no counters of scorer-stable"):
        gateway.snapshot()

"""Envoy's own counters of what each role was asked and how it answered, read from its stats endpoint.

What each fault moves was tried on a real Envoy (tests/integration/test_envoy_stats.py), with HTTP/1.1 to the scorers:

| what happens to the scorer | client gets | counter |
|---|---|---|
| too slow, or suspended | 504 | upstream_rq_timeout |
| dies with the request in its hands | 503 | upstream_cx_destroy_remote_with_active_rq (one request a connection) |
| resets a stream | 503 | upstream_rq_rx_reset |
| refuses the connection, or it times out | 503 | upstream_rq_pending_failure_eject |
| too many wait for it, or are with it | 503 | upstream_rq_pending_overflow, upstream_rq_active_overflow |
| has no endpoint | 503 | upstream_cx_none_healthy |

Envoy adds each of these to the cluster's 5xx, too; what it answers for a client that left is counted nowhere.

    GatewayAwayError   some Envoy did not answer
"""

import http.client
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol, TypeVar
from urllib.parse import quote, urlsplit

from k8s.rollout.routers import Role

T = TypeVar("T")

FAILURES: Final = (
    "upstream_rq_timeout",
    "upstream_rq_rx_reset",
    "upstream_cx_destroy_remote_with_active_rq",
    "upstream_rq_pending_failure_eject",
    "upstream_rq_pending_overflow",
    "upstream_rq_active_overflow",
    "upstream_cx_none_healthy",
)
"""Requests that no scorer answered, by why."""

_CLASSES: Final = ("2", "3", "5")
"""Classes of statuses that are counted. A bad request (4xx) may be refused before it is one to log."""

_LINE: Final = re.compile(r"envoy_(\w+)\{(.*)\} (\d+(?:\.\d+)?(?:e[+]\d+)?)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_EXISTS: Final = "membership_total"
"""A gauge of every cluster. Envoy makes the counters with the first request, so a cluster may have none yet."""

_MOST_BYTES: Final = 1 << 20
"""Of the one answer that is asked for, which takes about 5 kB."""

_READERS: Final = 8
_SERVES: Final = 0
"""Value of an Envoy's gauge `state` from when it has its configuration until it ends."""

_NEW_WITHIN: Final = timedelta(seconds=10)
"""Envoy tells its uptime in steps of its stats interval, 5 seconds."""


class GatewayAwayError(Exception):
    """Some Envoy did not answer, or what it answered has no counters of ours."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Requests of one role: those with a status other than 4xx, and among them those that no scorer answered."""

    charged: int = 0
    failed: int = 0

    def __add__(self, other: "Counters") -> "Counters":
        return Counters(self.charged + other.charged, self.failed + other.failed)


@dataclass(frozen=True, slots=True)
class Instance:
    """One Envoy's counters since its start, and the seconds since then."""

    uptime: float
    roles: Mapping[Role, Counters]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The counters of every Envoy, by its address; read after `began` and before `ended`."""

    began: datetime
    ended: datetime
    instances: Mapping[str, Instance] = field(default_factory=dict)


class Gateway(Protocol):
    """Whoever knows the gateway's counters."""

    def snapshot(self) -> Snapshot:
        """All of them, now. Raises GatewayAwayError, also when only some can't be had."""


def parse(text: str, clusters: Mapping[str, Role]) -> Instance:
    """One Envoy's counters out of its /stats/prometheus. `clusters`: the role of each of its clusters that counts.

    A cluster that is not there has counted nothing: Envoy Gateway drops those without weight, and counts from 0 when
    they come back. Raises GatewayAwayError when there is no uptime, or an Envoy that serves has none of the clusters.
    """
    uptime, charged, failed, seen = None, dict.fromkeys(clusters, 0), dict.fromkeys(clusters, 0), False
    for name, labels, value in _samples(text):
        if name == "server_uptime":
            uptime = value
        elif name == "server_state" and value != _SERVES:
            seen = True  # it has just begun, and no cluster of anybody's yet
        cluster = labels.get("envoy_cluster_name", "")
        if cluster not in clusters:
            continue
        seen = True
        if name == "cluster_upstream_rq_xx" and labels.get("envoy_response_code_class") in _CLASSES:
            charged[cluster] += round(value)
        elif name.removeprefix("cluster_") in FAILURES:
            failed[cluster] += round(value)
    if uptime is None or not seen:
        raise GatewayAwayError(f"no counters of {', '.join(clusters)} in what it answered; is it the right Envoy?")
    roles = {role: Counters() for role in clusters.values()}
    for cluster, role in clusters.items():
        roles[role] += Counters(charged[cluster], failed[cluster])
    return Instance(uptime, roles)


def growth(before: Snapshot, after: Snapshot) -> dict[Role, Counters]:
    """What was counted between two snapshots. An Envoy that started in between counts from 0."""
    grown: dict[Role, Counters] = {"stable": Counters(), "canary": Counters(), "shadow": Counters()}
    for name, instance in after.instances.items():
        earlier = before.instances.get(name)
        if earlier is None and timedelta(seconds=instance.uptime) > after.ended - before.began + _NEW_WITHIN:
            continue  # it was running, and unknown: nobody knows since when its counts are
        if earlier and _restarted(earlier, instance, after.began - before.ended):
            earlier = None
        for role, counters in instance.roles.items():
            grown[role] += _grown(earlier, role, counters)
    return grown


def _restarted(earlier: Instance, later: Instance, elapsed: timedelta) -> bool:
    """Whether its uptime fell, or rose by less than the time that passed."""
    return later.uptime < earlier.uptime or timedelta(seconds=later.uptime - earlier.uptime) < elapsed - _NEW_WITHIN


def _grown(earlier: Instance | None, role: Role, counters: Counters) -> Counters:
    old = earlier.roles.get(role, Counters()) if earlier else Counters()
    if counters.charged < old.charged or counters.failed < old.failed:
        return counters  # this cluster's counters began anew
    return Counters(counters.charged - old.charged, counters.failed - old.failed)


class EnvoyGateway:
    """The counters of one Envoy or of several.

    `addresses` gives their base URLs anew for each snapshot, as in http://127.0.0.1:19000. `clock` is ours, in UTC.
    An Envoy that is listed and does not answer makes the whole snapshot fail: what it counted would be missing. One
    that is not there (a proxy that begins, ends, or fails to start is listed, too) is left out.
    """

    def __init__(
        self,
        addresses: Callable[[], Sequence[str]],
        clusters: Mapping[str, Role],
        clock: Callable[[], datetime],
        seconds: float = 2.0,
    ) -> None:
        self._addresses, self._clusters, self._clock, self._seconds = addresses, dict(clusters), clock, seconds
        self._path = "/stats/prometheus?filter=" + quote(_filter(clusters))
        self._readers = ThreadPoolExecutor(max_workers=_READERS, thread_name_prefix="envoy-stats")

    def snapshot(self) -> Snapshot:
        """All of them; each of the two steps takes twice `seconds` at most. Raises GatewayAwayError."""
        began = self._clock()
        (addresses,) = self._in_time({"the list of Envoys": self._addresses}).values()
        if not addresses:
            raise GatewayAwayError("no Envoy is running")
        answers = self._in_time({address: partial(self._read, address) for address in addresses})
        instances = {address: answer for address, answer in answers.items() if answer is not None}
        if not instances:
            raise GatewayAwayError(f"{', '.join(addresses)}: ConnectionRefusedError, no Envoy is running there")
        return Snapshot(began, self._clock(), instances)

    def close(self) -> None:
        """Ends the threads that read, without waiting for an Envoy that hangs."""
        self._readers.shutdown(wait=False, cancel_futures=True)

    def _in_time(self, questions: Mapping[str, Callable[[], T]]) -> dict[str, T]:
        """The answers, asked for at once. One that is late is no longer waited for, nor begun if it was not yet."""
        asked = {what: self._readers.submit(question) for what, question in questions.items()}
        deadline = time.monotonic() + 2 * self._seconds
        answers: dict[str, T] = {}
        try:
            for what, future in asked.items():
                try:
                    answers[what] = future.result(timeout=max(0.0, deadline - time.monotonic()))
                except (OSError, http.client.HTTPException, ValueError, FutureTimeoutError) as error:
                    raise GatewayAwayError(f"{what}: {type(error).__name__} {error}".strip()) from error
        finally:
            for future in asked.values():
                future.cancel()
        return answers

    def _read(self, address: str) -> Instance | None:
        """What it has counted; None: no process is there, so none that counts, and what one counted is gone."""
        place = urlsplit(address)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=self._seconds)
        try:
            connection.request("GET", self._path)
        except ConnectionRefusedError:
            return None
        try:
            answer = connection.getresponse()
            content = answer.read(_MOST_BYTES + 1)
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise GatewayAwayError(f"{address} answered {answer.status} to {self._path}")
        if len(content) > _MOST_BYTES:
            raise GatewayAwayError(f"{address} answered more than {_MOST_BYTES} bytes to {self._path}")
        return parse(content.decode(), self._clusters)


def fixed(*addresses: str) -> Callable[[], Sequence[str]]:
    """Always the same Envoys."""
    return lambda: addresses


def by_name(host: str, port: int) -> Callable[[], Sequence[str]]:
    """The Envoys whose addresses a DNS name has: a headless Service lists those that are ready."""

    def addresses() -> Sequence[str]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        hosts = sorted({str(address[0]) for *_, address in found})
        return [f"http://[{each}]:{port}" if ":" in each else f"http://{each}:{port}" for each in hosts]

    return addresses


def _filter(clusters: Mapping[str, Role]) -> str:
    """A pattern of the counters' own names, so that Envoy sends little."""
    names = "|".join(re.escape(cluster) for cluster in clusters)
    return rf"^(server\.(uptime|state)|cluster\.({names})\.({_EXISTS}|upstream_rq_[235]xx|{'|'.join(FAILURES)}))$"


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for line in text.splitlines():
        if found := _LINE.fullmatch(line):
            yield found[1], dict(_LABEL.findall(found[2])), float(found[3])

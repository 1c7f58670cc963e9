"""Side by side in one run: our server, BentoML's and FastAPI's ways of serving the same model, and the limit.

`make bench` runs it. Rounds are interleaved (A B C ... A B C ...) so that a machine whose speed drifts is fair to all;
what is printed are medians of rounds, and ratios. CPU is what the server's processes used, by the kernel's account, the
prediction log's thread included: it says more than the rate, which the load generator on the other core also bounds.
"""

import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import httpx
import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from k8s.local import postgres
from k8s.local.ports import free_ports
from monitoring import migrations, partitions
from tests.bench import load
from training import datasets, model_folder, synthesize, train

ROOT: Final = Path(__file__).parents[2]
BENTOML: Final = str(Path(sys.executable).with_name("bentoml"))
PASSWORD: Final = "bench"


@dataclass
class Contender:
    """A server under load, and what each round measured: requests a second, CPU microseconds a request, latencies."""

    name: str
    command: tuple[str, ...]
    requests: int
    environment: dict[str, str] = field(default_factory=dict)
    ready: str = "/readyz"
    wrap: bool = False
    port: int = 0
    process: "psutil.Popen | None" = None
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """User and system time of the server's processes so far."""
        assert self.process is not None
        processes = [self.process, *self.process.children(recursive=True)]
        return sum(times.user + times.system for times in (each.cpu_times() for each in processes))

    def memory(self) -> float:
        """Resident memory of all the server's processes, in MiB."""
        assert self.process is not None
        return sum(each.memory_info().rss for each in (self.process, *self.process.children(recursive=True))) / 2**20


def contenders(dsn: str, folder: Path, scale: float) -> list[Contender]:
    """All servers, slowest first. Each gets as many requests a round as take it about a second."""
    ours = {"SCORER_LOG_DSN": dsn, "SCORER_ROLE": "stable"}
    lean = (sys.executable, "-m", "bentos.risk_scorer", "serve")
    module = (sys.executable, "-m", "tests.bench.servers")

    def many(number: int) -> int:
        return max(200, int(number * scale))

    return [
        Contender(
            "vanilla BentoML (@bentoml.api, pydantic, DataFrame)",
            (BENTOML, "serve", "tests.bench.vanilla_bentoml:Vanilla", "--host", load.HOST, "--port"),
            many(600),
            wrap=True,
        ),
        Contender(
            "BentoML with our app mounted, log on",
            (BENTOML, "serve", "bentos.risk_scorer.service:RiskScorer", "--host", load.HOST, "--port"),
            many(3_000),
            {**ours, "SCORER_SPOOL_DIR": str(folder / "mounted")},
        ),
        Contender("FastAPI + Booster.predict, no log", (*module, "fastapi"), many(3_000), ready="/docs"),
        Contender(
            "ours, plain ASGI route, log on",
            lean,
            many(12_000),
            {**ours, "SCORER_LEAN": "false", "SCORER_SPOOL_DIR": str(folder / "plain")},
        ),
        Contender("ours, lean lane, log on", lean, many(16_000), {**ours, "SCORER_SPOOL_DIR": str(folder / "lean")}),
        Contender("limit: constant answer, bare ASGI app", (*module, "constant"), many(20_000), ready="/"),
    ]


def small_model(folder: Path, trees: int) -> None:
    """A model of the size that the figures are quoted for: `trees` trees of 31 leaves."""
    data = datasets.from_frame(synthesize.plain(20_000, seed=1, end=datetime(2026, 3, 1, tzinfo=UTC)))
    options = train.TreeOptions(leaves=31, trees=trees, learning_rate=0.02)
    model_folder.write(train.train(data, train.TrainOptions(trees=options)), folder)


def lean(dsn: str, folder: Path) -> Contender:
    """Our server as it is run, with its log."""
    return Contender(
        "ours, lean lane, log on",
        (sys.executable, "-m", "bentos.risk_scorer", "serve"),
        0,
        {"SCORER_LOG_DSN": dsn, "SCORER_ROLE": "stable", "SCORER_SPOOL_DIR": str(folder / "lean")},
    )


def bodies(number: int) -> list[bytes]:
    """Events as clients send them: every field there, some not known."""
    rng = random.Random(7)
    channels = ["in_store", "online", "in_app", "phone", None]
    return [
        json.dumps(
            {
                "amount": round(rng.expovariate(1 / 50), 2),
                "hour": rng.randrange(24),
                "device_risk": rng.randrange(3),
                "velocity_5m": rng.randrange(11),
                "account_age_days": rng.choice([None, float(rng.randrange(2_000))]),
                "channel": rng.choice(channels),
            }
        ).encode()
        for _ in range(number)
    ]


@contextlib.contextmanager
def store(folder: Path) -> Iterator[str]:
    """A prediction store, and the connection string of stable."""
    with postgres.running(folder / "postgres") as server:
        with psycopg.connect(server.dsn()) as connection:
            migrations.migrate(connection, {"stable": PASSWORD})
            partitions.ensure(connection, datetime.now(UTC).date() - timedelta(days=1), 3)
        yield server.dsn("stable", PASSWORD)
    postgres.discard(folder / "postgres")


@contextlib.contextmanager
def serving(servers: Sequence[Contender], model: Path, folder: Path) -> Iterator[None]:
    """All servers up and ready; none left when it ends."""
    with contextlib.ExitStack() as stack:
        for server in servers:
            server.port = free_ports(1)[0]
            environment = {
                **os.environ,
                "SCORER_MODEL_DIR": str(model),
                "SCORER_PORT": str(server.port),
                "BENTOML_HOME": str(folder),
                "BENTOML_DO_NOT_TRACK": "True",
                **server.environment,
            }
            ends_with_port = server.command[-1] == "--port" or "tests.bench.servers" in server.command
            command = (*server.command, str(server.port)) if ends_with_port else server.command
            log = stack.enter_context((folder / f"{server.port}.log").open("wb"))
            process = psutil.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
            server.process = process
            stack.callback(_end, process)
        for server in servers:
            wait_until_ready(server)
        yield


def _end(process: psutil.Popen) -> None:
    process.terminate()
    try:
        process.wait(20)
    except psutil.TimeoutExpired:
        process.kill()


def wait_until_ready(server: Contender) -> None:
    """Return when the server answers. Raises RuntimeError when it ended, TimeoutError after a minute."""
    assert server.process is not None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"{server.name} ended with code {server.process.returncode}")
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://{load.HOST}:{server.port}{server.ready}").status_code == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(f"{server.name} is not ready")


def one_round(server: Contender, events: Sequence[bytes], connections: int) -> None:
    """Send a round's requests and note what it measured."""
    wrapped = (b'{"event":' + body + b"}" if server.wrap else body for body in events[: server.requests])
    requests = [load.request(body, entity="e-17") for body in wrapped]
    before = server.cpu_seconds()
    measured = asyncio.run(load.run(server.port, requests, connections))
    if measured.refused:
        raise RuntimeError(f"{server.name} refused {measured.refused} of {len(requests)} requests")
    server.rates.append(len(requests) / measured.seconds)
    server.cpu.append((server.cpu_seconds() - before) / len(requests) * 1e6)
    server.p99.append(statistics.quantiles(measured.latencies, n=100)[98] * 1e3)


def cold_start(server: Contender, model: Path, folder: Path) -> tuple[float, float]:
    """Seconds from the start of the process to its first answer, and its memory then, in MiB."""
    began = time.perf_counter()
    with serving([server], model, folder):
        body = bodies(1)[0]
        asyncio.run(load.run(server.port, [load.request(b'{"event":' + body + b"}" if server.wrap else body)], 1))
        return time.perf_counter() - began, server.memory()


def cold_starts(servers: Sequence[Contender], model: Path, folder: Path) -> Table:
    """Medians of three starts of each server, in turn."""
    found: dict[str, list[tuple[float, float]]] = {server.name: [] for server in servers}
    for _ in range(3):
        for server in servers:
            found[server.name].append(cold_start(server, model, folder))
    made = Table(title="Cold start to the first answer: medians of 3")
    for column in ("server", "seconds", "MiB"):
        made.add_column(column, justify="left" if column == "server" else "right")
    for name, starts in found.items():
        seconds, memory = (statistics.median(each) for each in zip(*starts, strict=True))
        made.add_row(name, f"{seconds:.2f}", f"{memory:.0f}")
    return made


def log_cost(server: Contender, events: Sequence[bytes], connections: int) -> str:
    """What the prediction log's own threads use of a request's CPU, beside the making of its line."""
    assert server.process is not None
    before = {thread.id: thread for thread in server.process.threads()}
    one_round(server, events, connections)
    spent = {
        thread.id: thread.user_time + thread.system_time - before[thread.id].user_time - before[thread.id].system_time
        for thread in server.process.threads()
    }
    others = sum(seconds for number, seconds in spent.items() if number != server.process.pid)
    return f"log threads: {100 * others / sum(spent.values()):.1f} % of the CPU of '{server.name}'"


def table(servers: Sequence[Contender]) -> Table:
    """The medians, with ratios to the first (vanilla BentoML) and the share of the last (the limit)."""
    made = Table(title="Medians of the rounds. The machine is shared: quote ratios, not rates.")
    for column in (
        "server",
        "requests/s",
        "x vanilla",
        "x FastAPI",
        "CPU us",
        "x vanilla CPU",
        "% of limit",
        "p99 ms",
        "MiB",
    ):
        made.add_column(column, justify="left" if column == "server" else "right")
    by_name = {server.name.split(" ")[0].rstrip(":"): server for server in servers}
    vanilla, fastapi, limit = by_name["vanilla"], by_name["FastAPI"], by_name["limit"]
    for server in servers:
        made.add_row(
            server.name,
            f"{statistics.median(server.rates):,.0f}",
            f"{ratio(server.rates, vanilla.rates):.1f}",
            f"{ratio(server.rates, fastapi.rates):.1f}",
            f"{statistics.median(server.cpu):.0f}",
            f"{ratio(vanilla.cpu, server.cpu):.1f}",
            f"{100 * ratio(limit.cpu, server.cpu):.0f}",
            f"{statistics.median(server.p99):.1f}",
            f"{server.memory():.0f}",
        )
    return made


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the ratios of the same round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


@click.command()
@click.option("--rounds", default=7, show_default=True, help="Rounds of each server.")
@click.option("--connections", default=8, show_default=True, help="Connections, each with one request under way.")
@click.option("--scale", default=1.0, show_default=True, help="Scales the requests of a round.")
@click.option("--trees", default=200, show_default=True, help="Trees of the model, 31 leaves each.")
def main(rounds: int, connections: int, scale: float, trees: int) -> None:
    """Measure all servers side by side."""
    console = Console(stderr=False, width=150)
    with tempfile.TemporaryDirectory(prefix="vigil-bench-") as name:
        folder = Path(name)
        console.print("training the model ...")
        small_model(folder / "model", trees)
        with store(folder) as dsn:
            servers = contenders(dsn, folder, scale)
            events = bodies(max(server.requests for server in servers))
            with serving(servers, folder / "model", folder):
                for number in range(rounds + 1):
                    console.print("warm-up" if number == 0 else f"round {number} of {rounds}")
                    for server in servers:
                        one_round(server, events, connections)
                        if number == 0:
                            server.rates.clear(), server.cpu.clear(), server.p99.clear()
                console.print(table(servers))
                ours = next(server for server in servers if "lean" in server.name)
                console.print(log_cost(ours, events, connections))
            console.print(cold_starts([s for s in servers if "limit" not in s.name], folder / "model", folder))


if __name__ == "__main__":
    main()

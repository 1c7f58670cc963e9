"""`run`: the controller."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from types import FrameType
from typing import Any, Final

import click

from k8s.rollout import logs
from k8s.rollout.backend import Backend
from k8s.rollout.controller import Controller, TickReport
from k8s.rollout.desk import Desk
from k8s.rollout.errors import NotRunningError
from k8s.rollout.health import Health, HealthServer
from k8s.rollout.metrics import Metrics
from k8s.rollout.observed_evidence import ObservedEvidence
from k8s.rollout.settings import Settings
from k8s.rollout.tenure import Tenure
from k8s.rollout.ticking import Ticker
from k8s.rollout.webhook import Address, Webhook

HOOKED: Final = frozenset(
    {"rollout.verdict", "rollout.waits_for_approval", "rollout.undo_proposed", "rollout.undo_impossible"}
)
"""Events that the webhook sends: verdicts, and what waits for a person."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@click.command(
    "run", epilog="Ends with 0 at SIGTERM or Ctrl-C; with 6 when a controller runs already, or the lease is lost."
)
@click.option("--once", is_flag=True, help="One tick, and end: 0 when all of it was done, else 1.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), default=None, help="As ROLLOUT_METRICS_PORT.")
@click.pass_context
def run_command(ctx: click.Context, *, once: bool, metrics_port: int | None) -> None:
    """Decide and act, until SIGTERM. Killed at any moment and started again, it goes on from what the world shows."""
    desk: Desk = ctx.obj
    given = {} if metrics_port is None else {"metrics_port": metrics_port}
    settings = Settings(**given)  # type: ignore[arg-type]  # the others come from the environment
    logs.install(settings.log_format)
    with desk.backend() as backend, _held(backend, settings, desk, once=once) as tenure:
        done = _run(backend, settings, desk, tenure, once=once)
    ctx.exit(0 if done else 1)


@contextmanager
def _held(backend: Backend, settings: Settings, desk: Desk, *, once: bool) -> Iterator[Tenure]:
    """The lease, given back at the end. Raises HeldError, and NotRunningError where no controller can run."""
    if backend.lacks:
        raise NotRunningError(backend.lacks)
    tenure = Tenure(backend.lease, settings.identity, desk.clock, standby=settings.standby and not once)
    tenure.begin()
    try:
        yield tenure
    finally:
        tenure.end()


def _run(backend: Backend, settings: Settings, desk: Desk, tenure: Tenure, *, once: bool) -> bool:
    metrics = Metrics()
    with ExitStack() as stack:
        webhook = stack.enter_context(_webhook(settings, metrics))
        watched = replace(backend, evidence=ObservedEvidence(backend.evidence, metrics.see_obstacle))
        pace = _Pace(settings)
        ticker = Ticker(
            Controller(watched, desk.clock, confirm=tenure.confirm).tick,
            tenure,
            metrics,
            see=lambda report: _see(report, metrics, webhook, pace),
            changes=backend.changes,
        )
        if once:
            return ticker.once()
        stack.enter_context(_until_asked(ticker))

        def health() -> Health:
            return ticker.health(pace.seconds(), settings.stuck_seconds)

        metrics.ready.set_function(lambda: float(health().ready))
        if settings.metrics_port:
            server = HealthServer(settings.metrics_host, settings.metrics_port, health, metrics.registry)
            stack.enter_context(server)
        ticker.run(pace.seconds)
    return True


class _Pace:
    """Seconds between ticks: a sixth of the block of the plan that is in force."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._block = 30.0

    def seconds(self) -> float:
        return self._settings.tick_of(self._block)

    def see(self, report: TickReport) -> None:
        if report.rollout is not None:
            attempt = report.rollout.status.attempt
            self._block = (attempt.plan if attempt else report.rollout.spec.plan).block_seconds


def _see(report: TickReport, metrics: Metrics, webhook: Webhook | None, pace: _Pace) -> None:
    metrics.see(report)
    pace.see(report)
    for event in report.events:
        if webhook is not None and event.kind in HOOKED:
            webhook.send(event)


def _webhook(settings: Settings, metrics: Metrics) -> AbstractContextManager[Webhook | None]:
    if settings.webhook_url is None:
        return nullcontext()
    address = Address(
        settings.webhook_url.get_secret_value(),
        settings.webhook_secret.get_secret_value() if settings.webhook_secret else "",
        settings.webhook_tries,
        settings.webhook_seconds,
        settings.webhook_pause_seconds,
        settings.webhook_queue,
    )
    return Webhook(address, metrics.see_sent)


@contextmanager
def _until_asked(ticker: Ticker) -> Iterator[None]:
    """SIGTERM and Ctrl-C let the tick in hand end, and then the loop; a second one ends the process at once."""

    def ask(number: int, _frame: FrameType | None) -> None:
        ticker.end()
        signal.signal(number, signal.SIG_DFL)

    before: dict[int, Callable[..., Any] | int | None] = {each: signal.signal(each, ask) for each in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""A scorer process, put together from its settings; and the lean server that runs it on uvicorn."""

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from . import identity
from .access_log import AccessLog
from .app import App, Limits
from .crowd import Crowd
from .errors import LockError, ModelError, PortError
from .lean_protocol import lean_protocol, supports
from .metrics import LogCounts, ScorerMetrics
from .model_files import MODEL, ModelFile
from .prediction_log import PredictionLog
from .scorer import load, read
from .scoring import Scoring
from .settings import Settings


@dataclass(frozen=True)
class Process:
    """The parts of a scorer process, ready to be served."""

    app: App
    scoring: Scoring
    limits: Limits
    log: PredictionLog | None
    access_log: AccessLog
    settings: Settings

    def start(self) -> None:
        """Begin to take requests."""
        self.access_log.start()
        if self.log is not None:
            self.log.start()
        self.scoring.metrics.ready = True

    def stop(self) -> None:
        """Empty the log. Called when no request is open any more."""
        self.scoring.metrics.ready = False
        self.access_log.close()
        if self.log is not None:
            self.log.close(self.settings.drain_seconds)


def assemble(settings: Settings) -> Process:
    """The process for these settings. Raises ScorerError when the model can't answer here."""
    check_lock(settings)
    tag = settings.tag_in_development or identity.tag(identity.content_version(model=settings.model_dir))
    scorer = load(settings.model_dir, tag)
    counts = LogCounts()
    metrics = ScorerMetrics(settings.role, scorer.tag, native=scorer.native, log=counts)
    log = PredictionLog(settings.log_dsn, settings, counts) if settings.log_dsn else None
    metrics.log_state = log
    access_log = AccessLog(settings.access_log, settings.role, sys.stdout.buffer)
    scoring = Scoring(scorer, metrics, log=log, access_log=access_log if settings.access_log != "none" else None)
    limits = Limits(
        settings.max_body_bytes, settings.max_batch_bytes, settings.max_batch_events, Crowd(settings.concurrency())
    )
    return Process(App(scoring, limits), scoring, limits, log, access_log, settings)


def check_lock(settings: Settings) -> None:
    """Refuse a model that was locked for another environment than `settings.runtime_lock`. Raises LockError."""
    if settings.runtime_lock is None:
        return
    if not settings.runtime_lock.is_file():
        raise ModelError(f"SCORER_RUNTIME_LOCK names {settings.runtime_lock}, which is no file")
    here, needed = identity.file_sha256(settings.runtime_lock), _needed_lock(settings.model_dir)
    if here != needed:
        raise LockError(
            f"this Bento needs an environment made from the lock {needed[:12]}, but this one was made from {here[:12]} "
            f"({settings.runtime_lock}): use the image of that lock, or package the model again in this one"
        )


def _needed_lock(model_dir: Path) -> str:
    return read(model_dir / MODEL, ModelFile).lock_sha256


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then answer what is open and empty the log. Raises ScorerError."""
    process = assemble(settings)
    with _listen(settings) as listener, _signals_are_no_failure():
        server = uvicorn.Server(
            uvicorn.Config(
                process.app,
                loop="uvloop",
                http=_protocol(process),
                lifespan="off",
                ws="none",
                access_log=False,
                log_level="warning",
                server_header=False,
                date_header=False,
                timeout_keep_alive=settings.keep_alive_seconds,
                timeout_graceful_shutdown=round(settings.drain_seconds),
            )
        )
        process.start()
        try:
            server.run(sockets=[listener])
        finally:
            process.stop()


def _protocol(process: Process) -> type[asyncio.Protocol]:
    """The lean lane where this uvicorn has what it builds on, else uvicorn's own protocol."""
    if process.settings.lean and supports(HttpToolsProtocol):
        return lean_protocol(process.scoring, process.limits)
    return HttpToolsProtocol


def _listen(settings: Settings) -> socket.socket:
    """A listening socket. Without SO_REUSEPORT, so that a server left over from earlier is noticed."""
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise PortError(
            f"can't listen on {settings.host}:{settings.port}: {error.strerror}; set SCORER_PORT"
        ) from error
    return listener


@contextmanager
def _signals_are_no_failure() -> Iterator[None]:
    """Uvicorn drains, then raises the signal again: this keeps an orderly end from looking like a crash."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

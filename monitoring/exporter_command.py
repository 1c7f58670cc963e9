"""`python -m monitoring exporter`: serves what the store says of drift, quality and labels to Prometheus."""

import signal

import click
from prometheus_client import CollectorRegistry

from . import exporter
from .database import session
from .environment import settings
from .exporter_server import ExporterServer


@click.command(name="exporter")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=9_187, show_default=True, help="0: any that is free.")
def command(host: str, port: int) -> None:
    """Serve /metrics, /livez and /readyz until SIGTERM or Ctrl-C.

    The store may be away: /metrics then answers `vigil_store_up 0`, and /readyz 503 with the reason. Exit code 0: it
    was told to end; 2: the address can't be listened on.
    """
    dsn = settings().dsn.get_secret_value()
    ends = {signal.SIGTERM, signal.SIGINT}
    found = exporter.Exporter(lambda: _seen(dsn))
    registry = CollectorRegistry()
    registry.register(found)
    try:
        server = ExporterServer(host, port, found.problem, registry)
    except OSError as error:
        raise click.UsageError(f"can't listen on {host}:{port}: {error}; choose another --port") from error
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before any thread: they wait for `sigwait` alone
    with server:
        click.echo(f"metrics at http://{host}:{server.port}/metrics")
        signal.sigwait(ends)
    click.echo("told to end")


def _seen(dsn: str) -> exporter.Seen:
    with session(dsn) as connection:
        return exporter.look(connection)

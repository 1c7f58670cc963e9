"""A million requests against one scorer with its log on: does its memory stay what it was?

`python -m tests.bench.soak [--requests N]`. Bounded, on loopback, and ends by itself; exit code 1 when the memory after
the last tenth is more than 5 % above that after the second (the first fills caches and queues).
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from tests.bench import load, serving

TOLERANCE = 1.05


@click.command()
@click.option("--requests", default=1_000_000, show_default=True)
@click.option("--connections", default=16, show_default=True)
def main(requests: int, connections: int) -> None:
    """Send the requests in ten parts and look at the memory after each."""
    console = Console()
    part = requests // 10
    with tempfile.TemporaryDirectory(prefix="vigil-soak-") as name:
        folder = Path(name)
        serving.small_model(folder / "model", trees=200)
        with serving.store(folder) as dsn:
            scorer = serving.lean(dsn, folder)
            events = [
                load.request(body, entity=f"e-{number % 997}") for number, body in enumerate(serving.bodies(part))
            ]
            with serving.serving([scorer], folder / "model", folder):
                memory = []
                for number in range(1, 11):
                    measured = asyncio.run(load.run(scorer.port, events, connections))
                    memory.append(scorer.memory())
                    console.print(
                        f"{number * part:>9,} requests   {part / measured.seconds:>7,.0f}/s   {memory[-1]:.1f} MiB"
                        f"   refused {measured.refused}"
                    )
    flat = memory[-1] <= TOLERANCE * memory[1]
    console.print(f"memory {'is flat' if flat else 'GREW'}: {memory[1]:.1f} -> {memory[-1]:.1f} MiB")
    sys.exit(0 if flat else 1)


if __name__ == "__main__":
    main()

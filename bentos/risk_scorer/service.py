"""The BentoML service: the same app, mounted, for `bentoml serve` and `bentoml build`."""

import bentoml

from .app import Receive, Scope, Send
from .process import Process, assemble
from .settings import Settings


class Mounted:
    """The app of a process that begins with BentoML's worker: building a Bento imports this module without a model."""

    def __init__(self) -> None:
        self.process: Process | None = None

    def start(self) -> None:
        """Load the model and begin to take requests. Raises ScorerError."""
        self.process = assemble(Settings())
        self.process.start()

    def stop(self) -> None:
        """Empty the log."""
        if self.process is not None:
            self.process.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand an HTTP request on, with its path as the app knows it."""
        if self.process is None:
            raise RuntimeError("the service has not been started")
        await self.process.app({**scope, "path": scope["path"].removeprefix(scope.get("root_path", ""))}, receive, send)


mounted = Mounted()


@bentoml.service(name="risk_scorer", metrics={"enabled": False}, workers=1)
@bentoml.asgi_app(mounted, path="/")
class RiskScorer:
    """Scores events for risk."""

    def __init__(self) -> None:
        mounted.start()

    async def __is_ready__(self) -> bool:
        """BentoML's own /readyz asks this."""
        return mounted.process is not None and mounted.process.scoring.metrics.ready

    @bentoml.on_shutdown  # type: ignore[untyped-decorator] # bentoml ships no types for it
    def stop(self) -> None:
        """BentoML calls this when its worker ends."""
        mounted.stop()

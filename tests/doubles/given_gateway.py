"""A gateway whose counters are what a test says they are."""

from datetime import datetime, timedelta

from k8s.rollout.envoy_stats import Counters, GatewayAwayError, Instance, Snapshot
from k8s.rollout.routers import Role

_UP_SINCE = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


class GivenGateway:
    """`at` is the time that its next snapshot has. `away` is why there is none, while it is set."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.away = ""
        self.roles: dict[Role, Counters] = {"stable": Counters(), "canary": Counters(), "shadow": Counters()}

    def count(self, role: Role, answered: int = 0, failed: int = 0) -> None:
        self.roles[role] += Counters(answered + failed, failed)

    def snapshot(self) -> Snapshot:
        if self.away:
            raise GatewayAwayError(self.away)
        instance = Instance((self.at - _UP_SINCE).total_seconds(), dict(self.roles))
        return Snapshot(self.at, self.at + timedelta(milliseconds=1), {"http://127.0.0.1:1": instance})

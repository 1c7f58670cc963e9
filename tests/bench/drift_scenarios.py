"""The streams that the bench judges by, and what is asked of a rule on each.

Aims are those of the issue; where it has none, a stream is reported and nothing is asked, or the figure that the first
runs showed guards against getting worse. A delay counts windows from the one in which the change began: 2 is the least
that two windows of three can have.
"""

from dataclasses import dataclass

from tests.bench import drift_changes
from tests.bench.drift_changes import Change
from tests.bench.drift_people import EVENTS_A_DAY

ONSETS = (10, 20)
"""The live day on which a change sets in lies between these."""
WATCHED_DAYS = 14
FEW_EVENTS = 700


@dataclass(frozen=True)
class World:
    """What all streams of a kind have in common."""

    name: str
    events_a_day: int = EVENTS_A_DAY
    unrest: float = 1.0


ORDINARY = World("")
RESTLESS = World("restless", unrest=2.0)
SMALL = World("small", events_a_day=FEW_EVENTS)


@dataclass(frozen=True)
class Scenario:
    """A kind of stream. Rates are per 30 days of windows; `trigger` is what ends a delay."""

    name: str
    change: Change = drift_changes.nothing
    world: World = ORDINARY
    days: int = WATCHED_DAYS
    trigger: str = "drift"
    """drift: two of the last three windows; quality: a week; fault: a window."""
    false_windows_most: float | None = None
    """The upper 95 % limit of the rate of DRIFT windows may be so much."""
    days_most: int | None = None
    """The median delay may be so much."""
    found_least: float | None = None
    """Share of the streams in which the change is found within `days`."""
    never_drift: bool = False
    insufficient: bool = False
    """Every window has too few rows to be judged."""

    @property
    def unchanged(self) -> bool:
        return self.change is drift_changes.nothing


NONE = Scenario("none", false_windows_most=0.3)
SCENARIOS = (
    NONE,
    Scenario("none, restless days", world=RESTLESS),
    Scenario("none, 700 events a day", world=SMALL, false_windows_most=0.3),
    Scenario("amount x1.5", drift_changes.amounts, days_most=2, found_least=0.99),
    Scenario("amount x1.5, 700 events a day", drift_changes.amounts, world=SMALL, found_least=0.9),
    Scenario("device mix", drift_changes.devices, days_most=2, found_least=0.99),
    Scenario("new category", drift_changes.new_channel, days_most=2, found_least=0.99),
    Scenario("concept change", drift_changes.concept, trigger="quality", days_most=5, found_least=0.95),
    Scenario("20 % missing", drift_changes.losing, trigger="fault", days_most=1, found_least=0.99, never_drift=True),
    Scenario(
        "unknown category, refused",
        drift_changes.unknown_channel,
        trigger="fault",
        days_most=1,
        found_least=0.95,
        never_drift=True,
    ),
    Scenario("amount x1.5 over 3 weeks", drift_changes.slowly, days=22, found_least=0.95),
    Scenario("holiday week", drift_changes.holiday),
    Scenario("one field sent as 0", drift_changes.zeroing),
    Scenario("300 rows a day", drift_changes.few, never_drift=True, insufficient=True),
)

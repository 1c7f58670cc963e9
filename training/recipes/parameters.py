"""What the recipe `realistic` assumes of customers, fraud, records and labels, each figure with its reason.

"Chosen" means that no public figure is known that would fit every shop: the value gives data which are as hard as
card fraud is said to be, and may be changed. Money is in any currency; a median purchase costs about 30 of it.
"""

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from bentos.risk_scorer.events import Channel

CHANNELS: Final[tuple[str, ...]] = typing.get_args(Channel)
NEW_CHANNEL: Final = "in_app"
"""The channel that nobody uses before the drift `category` brings it: the shop's app, as if it came out that day."""

_ORDINARY_CHANNELS: Final = MappingProxyType(
    {"in_store": 0.38, "online": 0.34, "recurring": 0.16, "transfer": 0.07, "phone": 0.05}
)
_DEAREST_CHANNELS: Final = MappingProxyType(
    {"in_store": 0.8, "online": 1.1, "in_app": 0.9, "recurring": 0.6, "transfer": 3.5, "phone": 1.6}
)
_QUIET_NIGHT: Final = (
    *(0.30, 0.18, 0.12, 0.10, 0.12, 0.22, 0.45, 0.70, 0.95, 1.10, 1.20, 1.30),
    *(1.45, 1.40, 1.25, 1.20, 1.30, 1.50, 1.70, 1.75, 1.55, 1.25, 0.85, 0.50),
)


@dataclass(frozen=True)
class Customers:
    """Who the entities are, and how they pay when all is well."""

    events_each: float = 25.0
    """Events an entity has in the window, on average. Chosen: four a week, so that most have a history."""

    activity_sigma: float = 1.2
    """Log-normal spread of activity. Chosen: the busiest tenth makes about half of the events, as customers do."""

    amount_median: float = 30.0
    amount_sigma_between: float = 0.7
    amount_sigma_within: float = 0.85
    """Amounts are log-normal around a scale that is the customer's own. Together a log-normal of sigma 1.1: the mean
    is twice the median and the 99th percentile 13 times it; payments are heavy-tailed everywhere."""

    amount_by_channel: Mapping[str, float] = field(default_factory=lambda: _DEAREST_CHANNELS)
    """Factor of the amount in each channel. Chosen: a large transfer is ordinary, a large subscription is not. So
    the amount means something else in each channel, which a sum of effects can't say."""

    channels: Mapping[str, float] = field(default_factory=lambda: _ORDINARY_CHANNELS)
    channel_habit: float = 3.0
    """Mean shares of the channels, and how much customers are alike (Dirichlet concentration; smaller: each has
    channels of his own)."""

    age_mean_days: float = 300.0
    """Accounts are opened at an even rate: their age is exponential with this mean, and each grows by a day a day. The
    exponential distribution has no memory, so the mix of ages is the same on each day: new customers come in as the
    others grow older, and without drift there is none. Most new accounts are honest."""

    new_device_share: float = 0.03
    new_device_share_at_first: float = 0.5
    new_device_days: float = 6.0
    """Share of sessions from a device not seen before: high on an account's first day, then falling with this time
    constant. So a new device means little on a new account, and more on an old one."""

    suspicious_device_share: float = 0.008
    privacy_share: float = 0.02
    privacy_suspicious_share: float = 0.6
    """Share of sessions from a device that looks suspicious; some customers always use a VPN, and look so mostly."""

    guest_share: float = 0.05
    """Customers who never log in: the age of their account is never known."""

    session_mean: float = 1.15
    frequent_share: float = 0.04
    frequent_session_mean: float = 4.0
    frequent_amount_factor: float = 0.25
    gap_seconds: float = 70.0
    """Payments come in sessions of this mean size (geometric), with exponential gaps. A few customers (games, transit)
    pay small amounts in long runs: high velocity alone is no fraud."""

    hour_weights: tuple[float, ...] = _QUIET_NIGHT
    weekday_weights: tuple[float, ...] = (0.94, 0.93, 0.96, 1.02, 1.17, 1.16, 0.82)
    day_sigma: float = 0.05
    """Traffic by hour of day and from Monday to Sunday, and the log-normal noise of single days. Chosen after the
    shape that retail has everywhere: evenings, the end of the week, little at night."""

    habit_hours: float = 2.0
    night_share: float = 0.04
    night_hours: float = 9.0
    """Customers come earlier or later than the others by a normal shift; some work at night, and pay then."""


@dataclass(frozen=True)
class FraudPattern:
    """One way of defrauding: an episode is some events of one entity within minutes, hours or days."""

    name: str
    share: float
    """Share of the fraudulent events."""

    mean_size: float
    gap_seconds: float
    """Events of an episode (geometric from 1) and the mean gap between them (exponential)."""

    night_share: float
    """Share of the episodes that begin between 0 and 5 o'clock, while the owner sleeps."""

    amount_median: float
    amount_sigma: float
    channels: Mapping[str, float]
    devices: tuple[float, float, float]
    """Shares of known, new and suspicious devices."""

    hidden_device_share: float = 0.0
    """Share of episodes that block whatever would recognise a device: `device_risk` is missing."""

    probe_share: float = 0.0
    probe_below: float = 3.0
    """Share of the episodes whose first event is a tiny amount, below this, to see whether the card works."""

    limits: tuple[float, ...] = ()
    """When given, amounts lie up to 8 % under one of these limits, above which the shop is known to look."""

    accounts_in_ring: int = 0
    age_median_days: float = 0.0
    ring_hours: float = 5.0
    """When positive, the entities are accounts opened for it (log-normal age, sigma 1), so many to a ring, which
    strikes within this mean time. Otherwise they are honest customers whose account or card was taken over."""


TAKEOVER: Final = FraudPattern(
    name="takeover",
    share=0.45,
    mean_size=5.0,
    gap_seconds=55.0,
    night_share=0.5,
    amount_median=110.0,
    amount_sigma=0.9,
    channels=MappingProxyType({"online": 0.62, "transfer": 0.28, "phone": 0.10}),
    devices=(0.30, 0.50, 0.20),
    hidden_device_share=0.12,
    probe_share=0.4,
)
"""A stranger empties an account in a hurry. That most fraud happens without the card in hand is public knowledge (the
reports on card fraud of the European Central Bank); the rest is chosen. Its first event shows no velocity yet."""

RING: Final = FraudPattern(
    name="ring",
    share=0.25,
    mean_size=2.5,
    gap_seconds=1500.0,
    night_share=0.15,
    amount_median=150.0,
    amount_sigma=0.6,
    channels=MappingProxyType({"online": 0.75, "transfer": 0.20, "in_store": 0.05}),
    devices=(0.30, 0.55, 0.15),
    hidden_device_share=0.15,
    limits=(50.0, 100.0, 250.0),
    accounts_in_ring=5,
    age_median_days=4.0,
)
"""Accounts opened to defraud, many by the same people. Amounts stay under limits, so their risk goes up and down with
the amount: trees can say that, one slope can't. Chosen."""

STOLEN_CARD: Final = FraudPattern(
    name="stolen card",
    share=0.3,
    mean_size=1.8,
    gap_seconds=4000.0,
    night_share=0.2,
    amount_median=60.0,
    amount_sigma=0.9,
    channels=MappingProxyType({"in_store": 0.35, "online": 0.50, "phone": 0.15}),
    devices=(0.55, 0.33, 0.12),
    hidden_device_share=0.08,
)
"""Few payments that look like the owner's. Hardly anyone could tell them: what keeps the PR-AUC from 1. Chosen."""

SCAM: Final = FraudPattern(
    name="scam",
    share=0.0,
    mean_size=2.0,
    gap_seconds=70_000.0,
    night_share=0.0,
    amount_median=480.0,
    amount_sigma=0.5,
    channels=MappingProxyType({"phone": 0.55, "transfer": 0.45}),
    devices=(0.97, 0.02, 0.01),
)
"""Where fraud moves to when the drift `concept` sets in: owners are talked into paying themselves, by day, from their
own devices, days apart. Nothing that the other patterns taught helps, and yet it can be learned."""


@dataclass(frozen=True)
class Missing:
    """Share of the events in which a field is missing for no reason."""

    amount: float = 0.001
    device_risk: float = 0.015
    velocity_5m: float = 0.003
    channel: float = 0.01
    account_age_days: float = 0.005
    """Chosen. Beside these, `account_age_days` is missing for guests and `device_risk` for those who hide: that a value
    is missing says something, too."""


@dataclass(frozen=True)
class Labels:
    """How the truth becomes a label, when, and whose eyes saw it."""

    random_review_share: float = 0.004
    review_most: float = 0.9
    """The old rules (`labels.suspected`) send events to people, who manage this share of them; a small random sample
    goes as well, without which nobody would ever learn what the rules don't see."""

    review_error: float = 0.02
    """Share of reviews that come to the wrong verdict. Chosen."""

    unreported_share: float = 0.12
    """Share of the frauds which nobody reviewed and no victim reports: they are labelled 0. Chosen; a bank's own
    estimate would be far less sure."""

    false_report_share: float = 0.0006
    """Share of honest payments that their owner disputes all the same (first-party misuse): labelled 1. Chosen."""

    review_hours: float = 6.0
    review_sigma: float = 0.7
    report_days: float = 2.0
    report_sigma: float = 0.8
    most_days: float = 45.0
    """Median time until a review's verdict and until a victim's report (log-normal), and the longest. Card schemes give
    up to 120 days for a dispute; a shop that gets labels from its own customers knows most within a week. Chosen so
    that six weeks of data have mature labels."""

    silence_days: float = 3.0
    """After so many days without a report an event counts as honest."""


@dataclass(frozen=True)
class Realistic:
    """All parameters of the recipe `realistic`."""

    fraud_share: float = 0.018
    """Share of the events that are fraud. Public sets lie between .17 % (the ULB card data) and 3.5 % (IEEE-CIS);
    chosen so that 100,000 events hold enough positives for an interval that says something."""

    customers: Customers = field(default_factory=Customers)
    patterns: tuple[FraudPattern, ...] = (TAKEOVER, RING, STOLEN_CARD)
    moved_pattern: FraudPattern = SCAM
    missing: Missing = field(default_factory=Missing)
    labels: Labels = field(default_factory=Labels)

    def __post_init__(self) -> None:
        if not 0 <= self.fraud_share < 1:
            raise ValueError(f"fraud_share is a share from 0 to less than 1; got {self.fraud_share}")
        if abs(sum(pattern.share for pattern in self.patterns) - 1) > 1e-9:
            raise ValueError("the shares of the fraud patterns must sum to 1")

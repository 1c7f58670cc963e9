"""How a challenger would differ live: both models' answers to the same logged inputs, without any label. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bentos.offline import Answers
from monitoring.evaluation import Gate

from .comparison import Change, Estimate, Prediction

FEWEST_ENTITIES: Final = 500
"""The shadow gate needs as many before it passes; below, a prediction would be a guess."""

MOST_NET_FLIPS: Final = 0.02
LEAST_RATIO: Final = 0.5
MOST_RATIO: Final = 2.0
"""A change beyond these is for a person to approve, however good the model looks on labels."""

MOST_NEW_REFUSALS: Final = 0.001
"""Share of inputs that the champion answers and the challenger may refuse: live, each would be an error."""

_DIGITS: Final = 9


@dataclass(frozen=True)
class Inputs:
    """Logged inputs in the order of their time: each one's entity as a number, and the first and last time."""

    entities: NDArray[np.int64]
    first: datetime | None = None
    last: datetime | None = None


def predict(inputs: Inputs, champion: Answers, challenger: Answers) -> Prediction | None:
    """The expected difference over the inputs that both answer; None when there is none."""
    both = np.flatnonzero(~champion.refused & ~challenger.refused)
    if len(both) == 0:
        return None
    entities = inputs.entities[both]
    flags = [each.flagged[both].astype(np.float64) for each in (champion, challenger)]
    difference = challenger.scores[both] - champion.scores[both]
    _, firsts = np.unique(entities, return_index=True)
    return Prediction(
        inputs=len(inputs.entities),
        first=inputs.first,
        last=inputs.last,
        champion_refused=int(champion.refused.sum()),
        challenger_refused=int((challenger.refused & ~champion.refused).sum()),
        by_entity=_change(np.arange(len(firsts)), flags[0][firsts], flags[1][firsts], difference[firsts]),
        by_event=_change(entities, flags[0], flags[1], difference),
    )


def approvals(prediction: Prediction) -> list[str]:
    """What of the expected change a person has to approve: too many flips, or far more or fewer flagged."""
    counts = (("entities", prediction.by_entity), ("events", prediction.by_event))
    return [
        sentence for unit, change in counts for sentence in (_flips(unit, change), _ratio(unit, change)) if sentence
    ]


def _flips(unit: str, change: Change) -> str:
    flips = change.net_flips
    if abs(flips.value) <= MOST_NET_FLIPS:
        return ""
    return f"net flips of {flips.value:+.2%} (se {flips.se:.2%}) over {change.n:,} {unit}, beyond {MOST_NET_FLIPS:.0%}"


def _ratio(unit: str, change: Change) -> str:
    ratio = change.flagged_ratio
    if ratio is None:
        none = change.challenger_flagged == 0
        return "" if none else f"{change.challenger_flagged:.2%} of {unit} flagged where the champion flags none"
    if LEAST_RATIO <= ratio <= MOST_RATIO:
        return ""
    return f"{change.challenger_flagged:.2%} of {unit} flagged, {ratio:.2f} times the champion's share"


def accepts_what_is_sent(prediction: Prediction) -> Gate:
    """The gate on events that the champion answers and the challenger would refuse."""
    share = prediction.challenger_refused / max(1, prediction.inputs - prediction.champion_refused)
    return Gate(
        name="accepts what is sent",
        verdict="passed" if share <= MOST_NEW_REFUSALS else "failed",
        detail=(
            f"{prediction.challenger_refused:,} of {prediction.inputs:,} logged inputs that the champion answers "
            f"would be refused, at most {MOST_NEW_REFUSALS:.1%} wanted"
        ),
        numbers={"refused_share": share, "limit": MOST_NEW_REFUSALS},
    )


def enough_inputs(prediction: Prediction | None) -> Gate:
    """The gate on the number of entities that a prediction rests on."""
    count = prediction.by_entity.n if prediction else 0
    return Gate(
        name="enough logged inputs",
        verdict="passed" if count >= FEWEST_ENTITIES else "failed",
        detail=f"{count:,} entities, at least {FEWEST_ENTITIES} wanted",
        numbers={"entities": count, "limit": FEWEST_ENTITIES},
    )


def _change(
    entities: NDArray[np.int64],
    champion: NDArray[np.float64],
    challenger: NDArray[np.float64],
    difference: NDArray[np.float64],
) -> Change:
    flagged, new_flagged = float(champion.mean()), float(challenger.mean())
    return Change(
        n=len(entities),
        net_flips=_mean(challenger - champion, entities),
        flips=_rounded((challenger != champion).mean()),
        score_difference=_mean(difference, entities),
        champion_flagged=_rounded(flagged),
        challenger_flagged=_rounded(new_flagged),
        flagged_ratio=_rounded(new_flagged / flagged) if flagged else None,
    )


def _mean(values: NDArray[np.float64], entities: NDArray[np.int64]) -> Estimate:
    """The mean, and its standard error when whole entities are the sample (linearised ratio; Cochran, 1977, ch. 6)."""
    mean = values.mean()
    _, place = np.unique(entities, return_inverse=True)
    residuals = np.bincount(place, weights=values - mean)
    count = len(residuals)
    if count < 2:
        return Estimate(value=_rounded(mean), se=0.0)
    se = np.sqrt(np.square(residuals).sum() * count / (count - 1)) / len(values)
    return Estimate(value=_rounded(mean), se=_rounded(se))


def _rounded(value: float | np.floating) -> float:
    return round(float(value), _DIGITS)

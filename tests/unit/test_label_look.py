"""A look at labelled pairs errs no more often than it may, whoever the entities are, and sees what it is for."""

import numpy as np
import pytest

from k8s.rollout.label_look import look_at
from k8s.rollout.labelled import Labelled, label_gate, level
from monitoring.label_pairs import LabelledPairs
from monitoring.ranking import Ranking


def pairs(rng: np.random.Generator, events: int = 3_000, entities: int = 1_000, worse: float = 0.0) -> LabelledPairs:
    """Both models see the same signal with a noise of their own; entities differ in how risky they are."""
    groups = np.sort(rng.integers(0, entities, events))
    groups = np.unique(groups, return_inverse=True)[1]
    risk = rng.normal(0, 0.8, entities)[groups]
    labels = (rng.random(events) < 1 / (1 + np.exp(2.3 - risk))).astype(np.int8)
    signal = labels * 1.5 + risk / 2 + rng.normal(0, 1, events)
    stable = signal + rng.normal(0, 0.3, events)
    return LabelledPairs(groups, labels, stable, signal + rng.normal(0, 0.3 + worse, events))


def test_two_models_that_are_the_same_are_never_told_apart() -> None:
    same = pairs(np.random.default_rng(1))
    look = look_at(LabelledPairs(same.groups, same.labels, same.stable, same.stable), 1, 0.005, 0.05)
    assert look is not None
    assert (look.difference, look.lower, look.upper) == (0, 0, 0)
    assert label_gate(Labelled((look,)), (300, 1000)).state == "ok"


def test_equal_models_fail_as_seldom_as_the_level_says_and_a_worse_one_is_seen() -> None:
    """120 pairs of equal models at alpha .05: 6 are expected; 14 would be a chance of 1 in 500."""
    rng = np.random.default_rng(2)
    looks = [look_at(pairs(rng), 1, 0.05, 0.05) for _ in range(120)]
    assert sum(look is not None and look.upper < 0 for look in looks) <= 13
    assert sum(look is not None and look.lower > 0 for look in looks) <= 13
    worse = look_at(pairs(rng, worse=2.0), 1, level(0.01, 2), 0.05)
    assert worse is not None
    assert label_gate(Labelled((worse,)), (300, 1000)).state == "failed"


def test_many_events_of_few_entities_say_little() -> None:
    """One model is wrong about whole entities: counted as single events, the rows look surer than they are."""
    rng = np.random.default_rng(3)
    few = pairs(rng, entities=60)
    risky = rng.random(60) < 0.3
    few = LabelledPairs(few.groups, risky[few.groups].astype(np.int8), few.stable, few.candidate)
    candidate = few.candidate + rng.normal(0, 2, 60)[few.groups]
    widths = []
    for groups in (few.groups, np.arange(len(few.labels))):
        look = look_at(LabelledPairs(groups, few.labels, few.stable, candidate), 1, 0.005, 0.05)
        assert look is not None
        widths.append(look.upper - look.lower)
    assert widths[0] > 2 * widths[1]


def test_the_difference_is_that_of_the_figures_and_the_same_at_each_call() -> None:
    found = pairs(np.random.default_rng(4))
    look = look_at(found, 2, 0.005, 0.05)
    assert look == look_at(found, 2, 0.005, 0.05)
    assert look is not None
    figures = [float(Ranking(found.labels, scores).counts().pr_auc()) for scores in (found.candidate, found.stable)]
    assert look.difference == pytest.approx(figures[0] - figures[1])
    assert (look.number, look.positives) == (2, found.positives)
    assert look.lower < look.difference < look.upper


def test_without_both_classes_there_is_nothing_to_look_at() -> None:
    found = pairs(np.random.default_rng(5), events=50)
    for labels in (np.zeros(50, np.int8), np.ones(50, np.int8)):
        assert look_at(LabelledPairs(found.groups, labels, found.stable, found.candidate), 1, 0.005, 0.05) is None

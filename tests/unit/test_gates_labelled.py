"""The label gate: planned looks only, and never in favour by being silent."""

import pytest

from k8s.rollout.labelled import Look, label_gate, level


def look(number: int = 1, positives: int = 400, difference: float = 0.0, half: float = 0.02) -> Look:
    return Look(number, positives, difference, difference - half, difference + half)


@pytest.mark.parametrize("looks", [[], [look(positives=120)], [look(number=5)], [look(number=0)]])
def test_no_labels_too_few_or_unplanned_looks_are_not_evaluated(looks: list[Look]) -> None:
    gate = label_gate(looks, planned=4)
    assert gate.state == "not evaluated"


def test_what_is_missing_is_said() -> None:
    assert label_gate([], 4).detail == "no labels yet"
    assert label_gate([look(positives=120)], 4).missing_units == 180


def test_a_loss_shown_at_any_look_fails_and_later_ones_do_not_take_it_back() -> None:
    assert label_gate([look(difference=-0.05), look(2, 900)], 4).state == "failed"


def test_more_positives_exclude_a_smaller_margin() -> None:
    assert label_gate([look(half=0.025)], 4).state == "ok"
    assert label_gate([look(half=0.035)], 4).state == "gathering"
    assert label_gate([look(positives=1000, half=0.025)], 4).state == "gathering"
    assert label_gate([look(positives=1000, half=0.015)], 4).state == "ok"


def test_looking_often_costs() -> None:
    assert level(0.01, 4) == pytest.approx(0.0025)
    with pytest.raises(ValueError, match="0 looks"):
        level(0.01, 0)

"""The label gate: planned looks only, and never in favour by being silent."""

import pytest

from k8s.rollout.labelled import Labelled, Look, due, label_gate, level

PLANNED = (300, 1000, 3000)


def gate(*looks: Look, planned: tuple[int, ...] = PLANNED) -> str:
    return label_gate(Labelled(looks), planned).state


def look(number: int = 1, positives: int = 400, difference: float = 0.0, half: float = 0.02) -> Look:
    return Look(number, positives, difference, difference - half, difference + half)


@pytest.mark.parametrize("looks", [[], [look(positives=120)], [look(number=4)], [look(number=0)]])
def test_no_labels_too_few_or_unplanned_looks_are_not_evaluated(looks: list[Look]) -> None:
    assert gate(*looks) == "not evaluated"


@pytest.mark.parametrize(
    ("labelled", "detail", "missing"),
    [
        (Labelled(), "no labels yet", 300),
        (Labelled(pairs=900), "0 positives among 900 labelled pairs, 300 are needed", 300),
        (Labelled(pairs=4000, positives=120), "120 positives among 4000 labelled pairs, 300 are needed", 180),
        (Labelled(problem="labels can't be read: gone"), "labels can't be read: gone", 300),
        (Labelled(pairs=400, positives=400), "400 positives among 400 labelled pairs, 300 are needed", None),
    ],
)
def test_what_is_missing_is_said(labelled: Labelled, detail: str, missing: float | None) -> None:
    found = label_gate(labelled, PLANNED)
    assert (found.state, found.detail, found.missing_units) == ("not evaluated", detail, missing)


def test_a_loss_shown_at_any_look_fails_and_later_ones_do_not_take_it_back() -> None:
    assert gate(look(difference=-0.05), look(2, 1000)) == "failed"


def test_what_was_looked_at_is_judged_also_while_labels_cannot_be_read() -> None:
    assert label_gate(Labelled((look(difference=-0.05),), problem="gone"), PLANNED).state == "failed"


def test_more_positives_exclude_a_smaller_margin() -> None:
    assert gate(look(half=0.025)) == "ok"
    assert gate(look(half=0.035)) == "gathering"
    assert gate(look(2, 1000, half=0.025)) == "gathering"
    assert gate(look(2, 1000, half=0.015)) == "ok"


def test_after_a_look_the_next_planned_one_is_what_is_missing() -> None:
    assert label_gate(Labelled((look(half=0.035),)), PLANNED).missing_units == 600
    assert label_gate(Labelled((look(3, 3100, half=0.035),)), PLANNED).missing_units is None


def test_of_looks_that_became_due_at_once_the_last_is_made_and_each_once() -> None:
    assert [due(PLANNED, positives, []) for positives in (0, 299, 300, 999, 1000, 9000)] == [None, None, 1, 1, 2, 3]
    assert due(PLANNED, 900, [look()]) is None
    assert due(PLANNED, 1000, [look()]) == 2
    assert due(PLANNED, 400, [look(2, 1000)]) is None


def test_looking_often_costs() -> None:
    assert level(0.01, 4) == pytest.approx(0.0025)
    with pytest.raises(ValueError, match="0 looks"):
        level(0.01, 0)

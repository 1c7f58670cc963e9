from bentos.risk_scorer.events import Event
from bentos.risk_scorer.features import COLUMNS
from bentos.risk_scorer.reasons import MOST, reasons

EVENT = Event(amount=249.9, hour=2, device_risk=None, velocity_5m=7, channel="in_store")


def test_a_reason_says_the_value_in_words() -> None:
    (reason,) = reasons(EVENT, {"amount": 1.5, "hour": -2.0})
    assert reason.code == "AMOUNT"
    assert reason.text == "The amount of the payment (249.9) raised the risk."
    assert reason.effect == 1.5


def test_a_value_that_is_not_known_is_said_to_be_so() -> None:
    (reason,) = reasons(EVENT, {"device_risk": 0.3})
    assert reason.code == "DEVICE_RISK_UNKNOWN"
    assert reason.text == "The risk level of the device is not known, which raised the risk."


def test_a_derived_column_is_told_by_the_fields_that_make_it() -> None:
    (reason,) = reasons(EVENT, {"amount_x_velocity": 0.3})
    assert "249.9" in reason.text
    assert "events in the last five minutes (7)" in reason.text


def test_a_category_is_written_as_people_do() -> None:
    (reason,) = reasons(EVENT, {"channel": 0.1})
    assert "(in store)" in reason.text


def test_the_strongest_come_first_and_not_too_many() -> None:
    effects = {column: float(number) for number, column in enumerate(COLUMNS)}
    found = reasons(EVENT, effects)
    assert len(found) == MOST
    assert [reason.effect for reason in found] == sorted((reason.effect for reason in found), reverse=True)


def test_where_nothing_raised_the_score_there_is_no_reason() -> None:
    assert reasons(EVENT, dict.fromkeys(COLUMNS, -1.0)) == []

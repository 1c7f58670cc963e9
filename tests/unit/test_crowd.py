import asyncio

import pytest

from bentos.risk_scorer.crowd import Crowd
from bentos.risk_scorer.problems import Refused


def run(scenario) -> object:
    return asyncio.run(scenario())


def test_what_one_turn_of_the_loop_finds_is_counted_together_and_the_rest_refused() -> None:
    async def scenario() -> None:
        crowd = Crowd(3)
        for _ in range(3):
            crowd.admit()
        with pytest.raises(Refused) as refused:
            crowd.admit()
        assert refused.value.problem.status == 503
        assert (b"retry-after", b"1") in refused.value.problem.headers

    run(scenario)


def test_the_next_turn_begins_anew() -> None:
    async def scenario() -> None:
        crowd = Crowd(2)
        for _ in range(5):
            crowd.admit()
            crowd.admit()
            await asyncio.sleep(0)

    run(scenario)


def test_requests_whose_body_is_still_on_its_way_count_for_as_long_as_they_wait() -> None:
    async def scenario() -> None:
        crowd = Crowd(2)
        crowd.admit()
        with crowd.waiting():
            await asyncio.sleep(0)
            crowd.admit()
            with pytest.raises(Refused):
                crowd.admit()
        await asyncio.sleep(0)
        crowd.admit()
        crowd.admit()

    run(scenario)

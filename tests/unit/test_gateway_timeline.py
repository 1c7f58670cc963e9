"""Failures without a row: each belongs to one block, whatever ticks, gaps and restarts there are."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s.rollout.envoy_stats import Counters, GatewayAwayError, Instance, Snapshot, growth, parse
from k8s.rollout.gateway_timeline import COUNTED, Counted, Mark, counted, thinned
from k8s.rollout.kubernetes_backend import proxied

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
BLOCK = timedelta(seconds=30)


def snapshot(second: float, failed: int, charged: int = 0, uptime: float | None = None, name: str = "a") -> Snapshot:
    at = AT + timedelta(seconds=second)
    instance = Instance(1000 + second if uptime is None else uptime, {"canary": Counters(charged, failed)})
    return Snapshot(at, at + timedelta(milliseconds=10), {name: instance})


def read(number: int, mark: Mark | None, snapshots: Sequence[Snapshot]) -> Counted | None:
    return counted(AT + number * BLOCK, AT + (number + 1) * BLOCK, mark, snapshots)


def failures(snapshots: Sequence[Snapshot], blocks: int) -> list[int]:
    mark, found = None, []
    for number in range(blocks):
        block = read(number, mark, snapshots)
        assert block is not None
        found.append(block.failed["canary"])
        mark = block.mark
    return found


def test_a_failure_belongs_to_the_block_in_which_it_was_counted():
    ticks = [snapshot(second, failed=3 if second > 40 else 0) for second in range(-5, 100, 5)]
    assert failures(ticks, 3) == [0, 3, 0]


def test_blocks_without_snapshots_share_what_was_counted_meanwhile():
    assert failures([snapshot(-1, 0), snapshot(0, 0), snapshot(300, 100)], 10) == [10] * 10


def test_there_is_nothing_to_tell_before_a_snapshot_after_the_end():
    assert read(0, None, []) is None
    assert read(0, None, [snapshot(-1, 0), snapshot(29.9, 0)]) is None
    assert read(0, None, [snapshot(-1, 0), snapshot(30, 0)]) is not None


def test_the_first_block_of_a_controller_that_came_late_begins_with_what_it_sees_first():
    block = read(0, None, [snapshot(100, failed=70), snapshot(130, failed=75)])
    assert block is not None
    assert block.failed["canary"] == 0
    assert failures([snapshot(10, failed=70), snapshot(40, failed=76), snapshot(70, failed=76)], 2) == [4, 2]


def test_the_answered_are_those_between_the_snapshots_around_the_block():
    ticks = [snapshot(-4, 1, 11), snapshot(-1, 1, 21), snapshot(15, 2, 40), snapshot(31, 5, 60), snapshot(62, 5, 99)]
    block = read(0, None, ticks)
    assert block is not None
    assert block.answered == {"stable": 0, "canary": 60 - 21 - (5 - 1), "shadow": 0}
    assert (block.since, block.until) == (ticks[1].began, ticks[3].ended)
    after = read(1, block.mark, ticks)
    assert after is not None
    assert (after.since, after.answered["canary"]) == (ticks[3].began, 39)


def test_a_mark_survives_being_written_down():
    block = read(0, None, [snapshot(-1, 0), snapshot(45, 10)])
    assert block is not None
    assert COUNTED.validate_json(COUNTED.dump_json(block)) == block


counts = st.integers(0, 50)


@given(
    gains=st.lists(st.tuples(st.floats(0.1, 100), counts, st.booleans()), min_size=1, max_size=40),
    restart=st.integers(0, 10),
)
def test_every_failure_counts_once_whatever_restarts_and_gaps_there_are(gains, restart):
    """The Envoy restarts where a gain says so; the controller forgets its snapshots at block `restart`."""
    second, failed, uptime, total = -1.0, 100, 500.0, 0
    ticks = [snapshot(second, failed, uptime=uptime)]
    for seconds, gain, restarted in gains:
        # Two restarts within the steps of Envoy's uptime can't be told from none.
        seconds += 11 * restarted  # noqa: PLW2901
        second, uptime, failed = second + seconds, uptime + seconds, failed + gain
        if restarted:
            failed, uptime = gain, 0.0
        total += gain
        ticks.append(snapshot(second, failed, uptime=uptime))
    last = max(0, int(second // 30))
    mark, found, forgotten = None, 0, list(ticks)
    for number in range(last):
        if number == restart and mark:
            forgotten = [tick for tick in ticks if tick.began > mark.snapshot.began]
        block = read(number, mark, forgotten)
        assert block is not None
        assert min(block.failed.values()) >= 0
        mark, found = block.mark, found + block.failed["canary"]
    if mark is None:
        return
    later = sum(gain for tick, (_, gain, _) in zip(ticks[1:], gains, strict=True) if tick.began > mark.snapshot.began)
    before = total - found - mark.rest["canary"] - later
    first = next(number for number, tick in enumerate(ticks) if tick.began >= AT)
    # Failures before block 0 are nobody's; those between the snapshots around its start may be.
    assert sum(gain for _, gain, _ in gains[: first - 1]) <= before <= sum(gain for _, gain, _ in gains[:first])


def test_an_envoy_whose_uptime_hardly_rose_was_restarted():
    assert growth(snapshot(0, 1, 10, uptime=5), snapshot(60, 3, 30, uptime=6))["canary"] == Counters(30, 3)
    assert growth(snapshot(0, 1, 10, uptime=5), snapshot(9, 3, 30, uptime=5))["canary"] == Counters(20, 2)


def test_a_counter_that_fell_began_again_at_zero():
    assert growth(snapshot(0, 90, 100), snapshot(5, 4, 40))["canary"] == Counters(40, 4)


def test_an_envoy_whose_uptime_fell_was_restarted_even_if_it_has_counted_more_since():
    assert growth(snapshot(0, 1, 10, uptime=500), snapshot(5, 3, 30, uptime=2))["canary"] == Counters(30, 3)


def test_several_envoys_add_up_and_a_new_one_counts_from_its_start():
    before = Snapshot(AT, AT, {"a": _instance(500, 10, 1)})
    after = Snapshot(AT + BLOCK, AT + BLOCK, {"a": _instance(530, 15, 2), "b": _instance(20, 7, 3)})
    assert growth(before, after)["canary"] == Counters(12, 4)


def test_an_envoy_that_ran_before_it_was_known_counts_from_when_it_is():
    before = Snapshot(AT, AT, {"a": _instance(500, 10, 1)})
    between = Snapshot(AT + BLOCK, AT + BLOCK, {"a": _instance(530, 10, 1), "b": _instance(9000, 700, 3)})
    after = Snapshot(AT + 2 * BLOCK, AT + 2 * BLOCK, {"a": _instance(560, 10, 1), "b": _instance(9030, 705, 3)})
    assert growth(before, between)["canary"] == Counters(0, 0)
    assert growth(between, after)["canary"] == Counters(5, 0)


def test_an_envoy_that_is_gone_is_no_loss_of_the_others_counts():
    before = Snapshot(AT, AT, {"a": _instance(500, 10, 1), "b": _instance(500, 10, 1)})
    after = Snapshot(AT + BLOCK, AT + BLOCK, {"b": _instance(530, 12, 1)})
    assert growth(before, after)["canary"] == Counters(2, 0)


def _instance(uptime: float, charged: int, failed: int) -> Instance:
    return Instance(uptime, {"canary": Counters(charged, failed)})


def test_thinning_keeps_the_newest_and_the_oldest():
    ticks = [snapshot(second, 0) for second in range(100)]
    kept = thinned(ticks, 80)
    assert (kept[0], kept[-50:], len(kept)) == (ticks[0], ticks[-50:], 75)
    assert thinned(ticks, 100) == ticks


TEXT = """\
# TYPE envoy_cluster_upstream_rq_xx counter
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="httproute/v/s/rule/0/backend/1"} 5
envoy_cluster_upstream_rq_xx{envoy_response_code_class="4",envoy_cluster_name="httproute/v/s/rule/0/backend/1"} 9
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="httproute/v/s/rule/0/backend/1"} 1.4e+01
envoy_cluster_upstream_rq_timeout{envoy_cluster_name="httproute/v/s/rule/0/backend/1"} 2
envoy_cluster_upstream_cx_none_healthy{envoy_cluster_name="httproute/v/s/rule/0/backend/1"} 1
envoy_cluster_upstream_rq_timeout{envoy_cluster_name="another"} 200
nonsense
envoy_server_uptime{} 15
"""


def test_the_counters_are_read_by_the_clusters_names():
    found = parse(TEXT, {"httproute/v/s/rule/0/backend/1": "canary", "not there": "stable"})
    assert found == Instance(15, {"canary": Counters(19, 3), "stable": Counters()})


@pytest.mark.parametrize("text", ["", TEXT.replace("backend/1", "backend/7"), TEXT.replace("server_uptime", "x")])
def test_an_answer_without_our_counters_is_no_snapshot(text):
    with pytest.raises(GatewayAwayError, match="backend/1"):
        parse(text, {"httproute/v/s/rule/0/backend/1": "canary"})


PROXY = """\
envoy_cluster_upstream_rq_timeout{envoy_cluster_name="httproute/v/scorer/rule/0-mirror-0"} 4
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="httproute/v/scorer/rule/0-mirror-0"} 84
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="httproute/v/scorer/rule/0/backend/1"} 56
envoy_cluster_membership_total{envoy_cluster_name="httproute/v/scorer/rule/0-mirror-0"} 1
envoy_cluster_membership_total{envoy_cluster_name="httproute/v/scorer/rule/0/backend/1"} 1
envoy_server_state{} 0
envoy_server_uptime{} 6100
"""
"""A proxy of Envoy Gateway 1.9.1 while stable has the weight 0, which drops its cluster and moves no other's name."""

IDLE = """\
envoy_cluster_membership_total{envoy_cluster_name="httproute/v/scorer/rule/0/backend/0"} 1
envoy_server_state{} 0
envoy_server_uptime{} 20
"""
"""One that was asked nothing yet: Envoy makes a cluster's counters with its first request."""

BEGINNING = """\
envoy_server_state{} 3
envoy_server_uptime{} 0
"""


def test_a_cluster_of_weight_0_has_counted_nothing():
    assert parse(PROXY, proxied("v", "scorer")).roles == {
        "stable": Counters(), "canary": Counters(56), "shadow": Counters(84, 4),
    }  # fmt: skip


@pytest.mark.parametrize("text", [IDLE, BEGINNING])
def test_an_envoy_that_nobody_asked_anything_has_counted_nothing(text):
    assert set(parse(text, proxied("v", "scorer")).roles.values()) == {Counters()}


def test_an_envoy_that_serves_another_namespace_is_no_envoy_of_ours():
    with pytest.raises(GatewayAwayError, match="is it the right Envoy"):
        parse(IDLE, proxied("elsewhere", "scorer"))


def test_a_cluster_that_was_dropped_and_came_back_counts_from_zero():
    names = proxied("v", "scorer")

    def at(second: float, text: str) -> Snapshot:
        text = text.replace("envoy_server_uptime{} 6100", f"envoy_server_uptime{{}} {6100 + second}")
        time = AT + timedelta(seconds=second)
        return Snapshot(time, time, {"a": parse(text, names)})

    dropped = PROXY.replace("rule/0/backend/1", "rule/0/backend/9")
    back = PROXY.replace('backend/1"} 56', 'backend/1"} 7')
    assert growth(at(0, PROXY), at(5, dropped))["canary"] == Counters()
    assert growth(at(5, dropped), at(10, back))["canary"] == Counters(7)
    assert growth(at(0, PROXY), at(10, back))["canary"] == Counters(7)

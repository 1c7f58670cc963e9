"""The split in an HTTPRoute: written, read back, and nothing else changed."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s.local.gateway_manifests import GATEWAY, read
from k8s.rollout.routers import RouteError, Split, SplitError, split_of, with_split

TEMPLATE = read(GATEWAY / "httproute.yaml")

splits = st.builds(lambda canary, mirror: Split(100 - canary, canary, mirror), st.integers(0, 100), st.integers(0, 100))


@given(splits, splits)
def test_what_was_written_is_read_whatever_was_there_before(first: Split, second: Split) -> None:
    assert split_of(with_split(with_split(TEMPLATE, first), second)) == second


@given(splits)
def test_stable_is_first_and_the_weights_add_up(split: Split) -> None:
    backends = with_split(TEMPLATE, split)["spec"]["rules"][0]["backendRefs"]
    assert [each["name"] for each in backends] == ["scorer-stable", "scorer-canary"]
    assert sum(each["weight"] for each in backends) == 100


@given(splits)
def test_nothing_but_weights_and_mirror_changes(split: Split) -> None:
    assert with_split(with_split(TEMPLATE, split), Split(100, 0)) == TEMPLATE


def test_the_mirror_goes_to_the_shadow_with_its_share() -> None:
    (mirror,) = with_split(TEMPLATE, Split(75, 25, 40))["spec"]["rules"][0]["filters"]
    backend = {"name": "scorer-shadow", "port": 3000}
    assert mirror == {"type": "RequestMirror", "requestMirror": {"backendRef": backend, "percent": 40}}


def test_without_a_mirror_there_is_no_filter() -> None:
    assert "filters" not in with_split(with_split(TEMPLATE, Split(75, 25, 40)), Split(75, 25))["spec"]["rules"][0]


def test_filters_of_somebody_else_stay() -> None:
    route = copy.deepcopy(TEMPLATE)
    other = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["server"]}}
    route["spec"]["rules"][0]["filters"] = [other]
    changed = with_split(with_split(route, Split(75, 25, 100)), Split(75, 25))
    assert changed["spec"]["rules"][0]["filters"] == [other]


def test_a_mirror_without_a_share_takes_everything() -> None:
    route = with_split(TEMPLATE, Split(100, 0, 5))
    del route["spec"]["rules"][0]["filters"][0]["requestMirror"]["percent"]
    assert split_of(route).mirror == 100


def _swapped(route: dict[str, Any]) -> None:
    route["spec"]["rules"][0]["backendRefs"].reverse()


def _two_rules(route: dict[str, Any]) -> None:
    route["spec"]["rules"] *= 2


def _no_canary(route: dict[str, Any]) -> None:
    del route["spec"]["rules"][0]["backendRefs"][1]


@pytest.mark.parametrize("spoil", [_swapped, _two_rules, _no_canary, dict.clear])
def test_a_route_of_another_form_is_refused(spoil: Any) -> None:
    route = copy.deepcopy(TEMPLATE)
    spoil(route)
    with pytest.raises(RouteError):
        split_of(route)
    with pytest.raises(RouteError):
        with_split(route, Split(50, 50))


def test_two_mirrors_are_refused() -> None:
    route = with_split(TEMPLATE, Split(100, 0, 5))
    route["spec"]["rules"][0]["filters"] *= 2
    with pytest.raises(RouteError, match="2 times"):
        split_of(route)


def test_weights_that_are_no_split_are_refused() -> None:
    route = copy.deepcopy(TEMPLATE)
    route["spec"]["rules"][0]["backendRefs"][1]["weight"] = 30
    with pytest.raises(SplitError, match="130"):
        split_of(route)

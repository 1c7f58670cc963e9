"""The order of a roll: new copies are ready before old ones go, whatever happens to them meanwhile."""

from hypothesis import given
from hypothesis import strategies as st

from k8s.local.rolling import Seen, Wish, next_moves

TAGS = st.sampled_from(["a", "b", "c"])
WISHES = st.builds(Wish, TAGS, st.integers(0, 4))


@st.composite
def _copies(draw: st.DrawFn) -> list[Seen]:
    numbers = draw(st.lists(st.integers(0, 20), unique=True, max_size=6))
    return [Seen(number, draw(TAGS), draw(st.booleans())) for number in sorted(numbers)]


@given(WISHES, _copies())
def test_never_fewer_answer_than_before_up_to_what_is_wanted(wish: Wish, copies: list[Seen]) -> None:
    moves = next_moves(wish, copies)
    assert len(moves.serving) == min(wish.copies, sum(each.ready for each in copies))


@given(WISHES, _copies())
def test_only_ready_copies_serve_and_none_that_leaves(wish: Wish, copies: list[Seen]) -> None:
    moves = next_moves(wish, copies)
    assert moves.serving <= {each.number for each in copies if each.ready}
    assert not moves.serving & moves.leave


@given(WISHES, _copies())
def test_a_copy_of_another_version_serves_only_while_the_right_ones_are_too_few(wish: Wish, copies: list[Seen]) -> None:
    moves = next_moves(wish, copies)
    right_ready = sum(each.ready for each in copies if each.tag == wish.tag)
    others = [each for each in copies if each.number in moves.serving and each.tag != wish.tag]
    assert len(others) <= max(0, wish.copies - right_ready)


@given(WISHES, _copies())
def test_it_ends_with_what_is_wanted(wish: Wish, copies: list[Seen]) -> None:
    """Whatever is begun becomes ready at once, and whatever leaves is gone at once."""
    fresh = 100
    for _ in range(5):
        moves = next_moves(wish, copies)
        copies = [Seen(each.number, each.tag, ready=True) for each in copies if each.number not in moves.leave]
        copies += [Seen(fresh + number, wish.tag or "", ready=False) for number in range(moves.begin)]
        fresh += moves.begin
    assert [each.tag for each in copies] == [wish.tag] * wish.copies
    assert moves.begin == 0


def test_without_a_version_nothing_is_begun() -> None:
    assert next_moves(Wish(None, 2), []).begin == 0
    assert next_moves(Wish(None, 0), [Seen(1, "a", ready=True)]).leave == {1}


def test_the_oldest_of_the_right_copies_stay() -> None:
    copies = [Seen(1, "a", ready=True), Seen(2, "a", ready=True), Seen(3, "a", ready=False)]
    assert next_moves(Wish("a", 1), copies).leave == {2, 3}

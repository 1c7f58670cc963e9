"""What to do next with a role's copies, from what is wanted and what is there. Pure.

New copies are ready before old ones go, so that never fewer answer than before: the order of a Deployment whose
`maxUnavailable` is 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wish:
    """What a role is to run. `tag` None: no version assigned, so nothing can."""

    tag: str | None = None
    copies: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """A copy that is not leaving. `number` rises with every copy of the role that is begun."""

    number: int
    tag: str
    ready: bool


@dataclass(frozen=True, slots=True)
class Moves:
    """How many copies to begin, which are to get requests, and which are to leave (both by their numbers)."""

    begin: int
    serving: frozenset[int]
    leave: frozenset[int]


def next_moves(wish: Wish, copies: Sequence[Seen]) -> Moves:
    """The moves for a role now; to be asked again whenever a copy became ready or went."""
    right = sorted((each for each in copies if each.tag == wish.tag), key=lambda each: (not each.ready, each.number))
    kept = right[: wish.copies]
    ready = [each.number for each in kept if each.ready]
    # One that does not answer is of no use to anybody any more; the newest of the others are the first to go.
    others = sorted(each.number for each in copies if each.tag != wish.tag and each.ready)
    held = others[: max(0, wish.copies - len(ready))]
    stay = {each.number for each in kept} | set(held)
    return Moves(
        begin=wish.copies - len(kept) if wish.tag is not None else 0,
        serving=frozenset((*ready, *held)),
        leave=frozenset(each.number for each in copies) - stay,
    )

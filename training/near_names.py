"""The name that a person probably meant."""

import difflib
from collections.abc import Sequence
from typing import Final

_NEAR: Final = 0.6
"""Share of letters in common, as difflib counts it: 'amuont' is near to 'amount', 'class' is not near to 'label'."""


def hint(name: str, known: Sequence[str]) -> str:
    """' (did you mean Amount?)', or nothing where no known name is near. Upper and lower case are the same."""
    lower = {each.lower(): each for each in reversed(known)}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=_NEAR)
    return f" (did you mean {lower[near[0]]}?)" if near else ""

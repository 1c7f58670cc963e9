"""How a rollout ended, as the exit code of `watch` and `start --wait`, for scripts."""

from typing import Final

from k8s.rollout.model_rollout import Attempt, ModelRollout, Outcome

CODES: Final = {
    Outcome.PROMOTED: 0,
    Outcome.ROLLED_BACK: 10,
    Outcome.INCONCLUSIVE: 11,
    Outcome.ABORTED: 12,
    Outcome.SUPERSEDED: 13,
}
"""`errors.RefusedError` has 14."""

UNDECIDED: Final = 15
"""The time that `--timeout` gave was over first."""

EPILOG: Final = """\b
Exit codes of start --wait and watch, by how the rollout ended:
  0    promoted
  10   rolled back: the model is banned
  11   inconclusive: the evidence did not suffice by the deadline
  12   aborted by a person
  13   superseded by another model
  14   refused: it may not start
  15   undecided when --timeout was over
Of every command:
  2    a wrong call
  3    a file, or the rollout's own object, that can't be used
  4    what was asked for does not fit what is going on
  5    no stack or cluster to talk to, or a part of it does not answer
  6    a controller runs already
  130  interrupted
"""


def ended(now: ModelRollout, tag: str, before: str | None) -> Attempt | None:
    """The attempt of `tag` that has ended, carried out and all, since the one whose id is `before`; None: not yet."""
    last = now.status.last
    if last is None or last.id == before or last.candidate != tag or last.verdict is None:
        return None
    return last


def code(attempt: Attempt) -> int:
    """The exit code of an attempt that has ended."""
    if attempt.verdict is None:
        raise ValueError(f"the attempt {attempt.id} has no verdict")
    return CODES[attempt.verdict.outcome]

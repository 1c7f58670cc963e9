"""How a rollout ended, as the exit code of `watch` and `start --wait`, for scripts."""

from dataclasses import dataclass
from typing import Final

from k8s.rollout.errors import RefusedError
from k8s.rollout.model_rollout import Attempt, ModelRollout, Outcome, Phase

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

INTERRUPTED: Final = 130

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
  7    replay: a decision comes out otherwise than it was recorded
  130  interrupted
"""


def code(attempt: Attempt) -> int:
    """The exit code of an attempt that has ended."""
    if attempt.verdict is None:
        raise ValueError(f"the attempt {attempt.id} has no verdict")
    return CODES[attempt.verdict.outcome]


@dataclass(frozen=True)
class Followed:
    """One model's way that somebody follows; `before` is the attempt that had ended last when that began."""

    tag: str
    before: str | None

    def end(self, now: ModelRollout) -> tuple[int, str] | None:
        """Exit code and sentence once it has ended, carried out and all; None: not yet."""
        status, spec = now.status, now.spec
        last = status.last
        if last is not None and last.id != self.before and last.candidate == self.tag and last.verdict is not None:
            verdict = last.verdict
            return code(last), f"{self.tag} is {verdict.outcome} by '{verdict.gate}': {verdict.reason}"
        if status.attempt is not None and status.attempt.candidate == self.tag:
            return None
        if spec.candidate is None:
            return CODES[Outcome.ABORTED], f"{self.tag} was taken back before it began"
        if spec.candidate != self.tag:
            return CODES[Outcome.SUPERSEDED], f"{spec.candidate} is the candidate now, in place of {self.tag}"
        return _refusal(now, self.tag)


def followed(now: ModelRollout) -> Followed | None:
    """The way that a model is on, or about to begin; None: nothing is on its way."""
    status, spec = now.status, now.spec
    before = status.last.id if status.last else None
    if status.attempt is not None:
        return Followed(status.attempt.candidate, before)
    if spec.candidate is None or spec.candidate == status.stable:
        return None
    last, asked = status.last, spec.asked
    again = asked is not None and last is not None and last.verdict is not None and asked.at > last.verdict.at
    over = last is not None and last.candidate == spec.candidate and not again
    return None if over else Followed(spec.candidate, before)


def _refusal(now: ModelRollout, tag: str) -> tuple[int, str] | None:
    """What the controller said of a candidate that may not start, if it has looked since somebody asked for it."""
    status, asked = now.status, now.spec.asked
    if status.phase is not Phase.WAITING or not status.message.startswith(f"{tag} may not start"):
        return None
    unseen = asked is not None and (status.ticked_at is None or status.ticked_at < asked.at)
    return None if unseen else (RefusedError.exit_code, status.message)

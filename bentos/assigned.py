"""Brings the Bento that a pod was assigned to where its scorer looks for it: `python -m bentos.assigned`.

It runs in an init container. The scorer starts only after it has ended well, so a wrong tag or an altered artifact
leaves the pod not ready, with the reason as the last line of this container's log, which Kubernetes shows as its
termination message. Exit codes: those of `python -m bentos.artifacts`, 2 for wrong settings, and 10 for a pod that
ended while no version was assigned to it.
"""

import signal
import sys
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from .artifacts import ArtifactError, NotFoundError, pull

UNASSIGNED: Final = 10
_USAGE_ERROR: Final = 2


class Assignment(BaseSettings):
    """What the pod says about its model."""

    model_config = SettingsConfigDict(env_prefix="ASSIGNED_", frozen=True)

    tag: str = Field(
        "", description="risk_scorer:<version>, from the pod's annotation vigil.dev/tag; empty: no version assigned."
    )
    artifacts: str = Field(description="The artifact store: file:///absolute/path or s3://bucket/prefix.")
    home: Path = Field(Path("/bento"), description="BentoML home to pull into. `current` there is a link to the code.")


def bring(assignment: Assignment) -> Path:
    """The link to the code of the assigned Bento, pulled and verified. Raises ArtifactError."""
    folder = pull(assignment.tag, assignment.artifacts, assignment.home)
    link = assignment.home / "current"
    link.unlink(missing_ok=True)  # left by a run of this container that ended halfway
    link.symlink_to((folder / "src").relative_to(assignment.home))
    return link


def wait_for_the_end() -> int:
    """Waits until the pod is replaced by one with a version. To end instead would count as a crash, again and again."""
    sys.stderr.write("no version assigned: the annotation vigil.dev/tag of this pod is empty\n")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return UNASSIGNED


def main() -> int:
    """Do what the environment says; the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        assignment = Assignment()
    except ValidationError as error:
        problems = (f"ASSIGNED_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors())
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        return _USAGE_ERROR
    if not assignment.tag:
        return wait_for_the_end()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        sys.stdout.write(f"{assignment.tag} is at {bring(assignment)}\n")
    except NotFoundError as error:
        sys.stderr.write(f"no such artifact: {error}\n")
        return error.exit_code
    except ArtifactError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

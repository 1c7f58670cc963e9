"""A good candidate and a bad one on a cluster, under traffic: told as they happen, and judged at the end."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from k8s.demo.cluster import Cluster, Pipeline
from k8s.demo.errors import BrokenPromiseError, CommandError
from k8s.local import ledger
from k8s.local.story import Story
from k8s.rollout import plan_file
from k8s.rollout.model_rollout import Outcome
from k8s.rollout.plan import ShadowPlan
from k8s.rollout.verdict_codes import CODES
from training.comparison import EXIT_CODES

PLAN: Final = Path(__file__).with_name("plan.yaml")
PER_SECOND: Final = 80.0
LONGEST_LOAD_SECONDS: Final = 1_500.0
LONGEST_SECONDS: Final = 500.0
"""A rollout that takes longer did not end as it must."""

WARM_UP_ROWS: Final = 3_000
"""Logged requests that a comparison can rest on."""

MOST_TRAINED: Final = 5
"""Challengers that are tried: one that is worse than stable is refused by its comparison."""

POOL_PER_SECOND: Final = 12.0
POOL_RESERVE: Final = 16
CAREFUL_MIRROR: Final = 12
"""Per cent: what the leaking pool can bear, so that only the canary finds it out."""

_STEP_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Act:
    """One story: a candidate, its plan, how it must end."""

    title: str
    candidate: str
    plan: Path
    outcome: Outcome
    approved: str
    """Why a person lets it in; empty: its comparison does."""


def run(cluster: Cluster, url: str, image: str, console: Console) -> None:
    """Both stories. Raises DemoError when one does not end as it must, or cannot be told."""
    story = Story(console)
    with tempfile.TemporaryDirectory(prefix="vigil-demo-") as folder, Pipeline(cluster, image) as pipeline:
        cautious = careful(Path(folder))
        with _traffic(cluster, url, Path(folder), story) as book:
            challenger, reason = _challenger(cluster, pipeline, story)
            _tell(cluster, Act("A good candidate is promoted", challenger, PLAN, Outcome.PROMOTED, reason), story)
            leaking = pipeline.leaking(POOL_PER_SECOND, POOL_RESERVE)
            story.say(f"{leaking} is the same model; in its serving code a pool of connections runs dry")
            let_in = _compared(pipeline, challenger, leaking, story)
            if let_in is None:
                raise BrokenPromiseError("the comparison refuses the bad candidate already: nothing is left to show")
            _tell(cluster, Act("A bad candidate is rolled back", leaking, cautious, Outcome.ROLLED_BACK, let_in), story)
        judge(cluster, book, challenger, leaking, story)


def _challenger(cluster: Cluster, pipeline: Pipeline, story: Story) -> tuple[str, str]:
    """A model that its comparison with stable lets in, and why a person has to ('' when nobody has to)."""
    status = cluster.get("modelrollout", "scorer")["status"]
    stable, known = status["stable"], {status["stable"], *status.get("banned", {})}
    story.say(f"{stable} is stable; in the cluster, a challenger is trained on the same events, with smaller trees")
    pipeline.invent()
    pipeline.pull(stable)
    for seed in range(1, MOST_TRAINED + 1):
        tag = pipeline.train(seed)
        if tag == stable:
            raise BrokenPromiseError(
                f"{stable} is this demo's own challenger: the story was told here before. To tell it again, begin with "
                "an empty namespace: kubectl delete namespace vigil"
            )
        _until_logged(cluster)
        reason = None if tag in known else _compared(pipeline, stable, tag, story)
        if reason is not None:
            return tag, reason
    raise BrokenPromiseError(f"none of {MOST_TRAINED} challengers is as good as {stable}")


@contextmanager
def _traffic(cluster: Cluster, url: str, folder: Path, story: Story) -> Iterator[Path]:
    """Events on the gateway from the beginning to the end, and the book of what was sent."""
    book, goes_on = folder / "ledger.jsonl", folder / "traffic.on"
    goes_on.touch()
    words = (
        "local", "traffic", "--url", url, "--rps", str(PER_SECOND), "--seconds", str(LONGEST_LOAD_SECONDS),
        "--pseudonyms", "40", "--ledger", str(book), "--while", str(goes_on),
    )  # fmt: skip
    story.say(f"traffic: {PER_SECOND:g} requests a second to {url} until the end")
    with (folder / "traffic.log").open("w", encoding="utf-8") as log:
        load = subprocess.Popen(  # noqa: S603 - our own words
            cluster.vigil(*words), env=dict(cluster.environment), cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield book
        goes_on.unlink()
        load.wait(60)
    finally:
        with suppress(ProcessLookupError):
            load.kill()
        load.wait()


def _until_logged(cluster: Cluster) -> None:
    """Waits for what a comparison rests on: the last day's requests."""
    deadline = time.monotonic() + _STEP_SECONDS
    while (rows := cluster.rows()) < WARM_UP_ROWS:
        if time.monotonic() > deadline:
            raise CommandError(
                f"the prediction store has {rows} rows after {_STEP_SECONDS:g} s: does the gateway answer?"
            )
        time.sleep(_POLL_SECONDS)


def _tell(cluster: Cluster, act: Act, story: Story) -> None:
    """One rollout to its verdict. Raises BrokenPromiseError when that is another one."""
    story.say(f"=== {act.title}: {act.candidate}")
    forced = ["--force"] if act.approved else []
    words = ["start", act.candidate, "--plan", str(act.plan), "--reason", act.approved or act.title, *forced]
    command = cluster.vigil("rollout", *words, "--wait", "--timeout", str(LONGEST_SECONDS))
    story.say(f"    vigil rollout {' '.join(words)} --wait")
    with subprocess.Popen(  # noqa: S603 - our own words
        command, env=dict(cluster.environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as following:
        for line in following.stdout or ():
            story.say(f"    {line.rstrip()}")
    for line in cluster.run("get", "modelrollouts").splitlines():
        story.say(f"    {line}")
    if following.returncode != CODES[act.outcome]:
        raise BrokenPromiseError(f"{act.title}: `vigil rollout start --wait` ended with {following.returncode}")


def _compared(pipeline: Pipeline, stable: str, tag: str, story: Story) -> str | None:
    """Why a person lets the candidate in; '' when its comparison does; None when that refuses it."""
    compared = pipeline.compare(stable, tag)
    verdict = next((name for name, code in EXIT_CODES.items() if code == compared.code), "")
    if not verdict:
        raise CommandError(f"training compare ended with {compared.code}: {compared.err.strip()[-800:]}")
    story.say(f"training compare of {tag} with {stable}: {verdict}")
    if compared.code == EXIT_CODES["needs approval"]:
        return "the demo approves of the expected change"
    return "" if compared.code == 0 else None


def careful(folder: Path) -> Path:
    """The plan with a smaller mirror, and no more asked of the shadow than so few requests can show."""
    plan = plan_file.read(PLAN)
    shadow = ShadowPlan(mirror=CAREFUL_MIRROR, min_entities=100, flip_margin=0.1, score_margin=0.15)
    file = folder / "careful.yaml"
    file.write_text(plan_file.written(plan.model_copy(update={"shadow": shadow})), encoding="utf-8")
    return file


def judge(cluster: Cluster, book: Path, challenger: str, leaking: str, story: Story) -> None:
    """Stable is the challenger, and every request that failed is one of the leaking pool's."""
    entries = list(ledger.read(book))
    failed = [each for each in entries if not each.answered]
    strange = [each for each in failed if each.status != 500 or each.error == "500: "]  # a scorer's 500 has a body
    status = cluster.get("modelrollout", "scorer")["status"]
    story.say(f"{len(entries):,} requests, {len(failed):,} failed; {status['stable']} is stable, {leaking} is banned")
    if status["stable"] != challenger or leaking not in status["banned"]:
        raise BrokenPromiseError(f"{status['stable']} is stable in the end, expected {challenger}")
    if strange:
        raise BrokenPromiseError(f"{len(strange)} requests failed that were not the leaking pool's: {strange[0].error}")

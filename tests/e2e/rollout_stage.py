"""A namespace in which candidates are rolled out: its controller, its one object, and what is on record about both."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from k8s.rollout import custom_resource, plan_file
from k8s.rollout.kubernetes_api import connect
from k8s.rollout.kubernetes_store import KubernetesStore
from k8s.rollout.model_rollout import Attempt, ModelRollout, Verdict
from k8s.rollout.plan import Plan
from tests.e2e import candidates
from tests.e2e.kubectl import Object, until
from tests.e2e.load import Measured, Running
from tests.e2e.place import READY_SECONDS, Place
from tests.e2e.weights import Weights

CONTROLLER: Final = "app.kubernetes.io/name=rollout-controller"
DEPLOYMENT: Final = "deployment/rollout-controller"

LOAD_PER_SECOND: Final = 80.0
ENTITIES: Final = 4_000
LONGEST_SECONDS: Final = 300.0
"""Of a rollout whose controller lives."""


@dataclass
class Stage:
    """`models` are tags by name; `BASE` is stable when a stage is new."""

    place: Place
    models: dict[str, str]
    _loads: int = field(default=0, init=False)
    _before: str | None = field(default=None, init=False)
    """The attempt that had ended last when the newest candidate was proposed."""
    _is_new: bool = field(default=True, init=False)

    # -- the controller ------------------------------------------------------------------------------------------

    def controllers(self) -> list[Object]:
        return self.place.kubectl.pods(CONTROLLER)

    def scale(self, copies: int) -> None:
        """So many controllers; with 0, returns once none is left."""
        self.place.control(copies)

    def running(self) -> list[str]:
        """Names of the controllers' pods that run."""
        return [each["metadata"]["name"] for each in self.controllers() if each["status"]["phase"] == "Running"]

    def leader(self) -> str:
        """The pod that holds the lease; '' when nobody does."""
        holder = self.place.kubectl.get("lease", "rollout")["spec"].get("holderIdentity") or ""
        return next((name for name in self.running() if name in holder), "")

    def kill(self, name: str = "") -> None:
        """Ends a controller's pod at once, as when its node is gone."""
        name = name or self.controllers()[-1]["metadata"]["name"]
        self.place.kubectl("delete", "pod", name, "--force", "--grace-period=0", "--wait=false")

    def until_led(self) -> None:
        """Returns once a controller is ready: it has the lease, and its ticks succeed."""
        self.place.kubectl("rollout", "status", DEPLOYMENT, "--timeout=120s", seconds=130)

    # -- the object ----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """As `kubectl` names it."""
        return f"modelrollout/{custom_resource.NAME}"

    def raw(self) -> Object:
        return self.place.kubectl.get(self.name)

    def give(self, spec: Object) -> None:
        """Puts back what was wanted, and nothing of what happened: as whoever keeps objects in git would."""
        kept = {"apiVersion": f"{custom_resource.GROUP}/{custom_resource.VERSION}", "kind": custom_resource.KIND}
        self.place.kubectl.apply([{**kept, "metadata": {"name": custom_resource.NAME}, "spec": spec}])

    def read(self) -> ModelRollout:
        """The object as the controller reads it."""
        return KubernetesStore(connect(self.place.namespace)).read()

    def attempt(self) -> Attempt:
        """The attempt that is on its way."""
        found = self.read().status.attempt
        assert found is not None, self.read().status.message
        return found

    def last(self) -> Attempt:
        """The attempt that ended last."""
        found = self.read().status.last
        assert found is not None, self.read().status.message
        return found

    def propose(self, name: str, plan: Plan, *more: str) -> str:
        """Makes a candidate of `models` the candidate, by the command that a person types; returns its tag."""
        self.mark()
        words = ("--plan", str(self.plan_file(name, plan)), "--by", "a test", "--reason", name)
        self.vigil("start", self.models[name], *words, *more)
        return self.models[name]

    def mark(self) -> None:
        """Whatever ended until now is no longer what `until_over` waits for."""
        last = self.read().status.last
        self._before = last.id if last is not None else None

    def plan_file(self, name: str, plan: Plan) -> Path:
        file = self.place.folder / f"{name}.yaml"
        file.write_text(plan_file.written(plan), encoding="utf-8")
        return file

    def vigil(self, *words: str, code: int = 0) -> str:
        """What `vigil rollout` says, which must end with this code."""
        ended = self.place.vigil(*words)
        assert ended.returncode == code, (words, ended.returncode, ended.stdout[-2000:], ended.stderr[-2000:])
        return ended.stdout

    def until_so(self, condition: Callable[[ModelRollout], Any], what: str, seconds: float = LONGEST_SECONDS) -> Any:
        """What the condition answers of the object, once that is true."""
        seen: list[ModelRollout] = []

        def now() -> Any:
            seen[:] = [self.read()]
            return condition(seen[0])

        try:
            return until(now, what, seconds)
        except AssertionError as error:
            status = seen[0].status if seen else None
            said = f"{status.phase}: {status.message}" if status else "the object was never read"
            raise AssertionError(f"{what}: not so within {seconds:g} s. {said}") from error

    def until_over(self, tag: str, seconds: float = LONGEST_SECONDS, *, going_on: bool = False) -> Verdict:
        """The verdict of a candidate, once it is carried out. `going_on`: another one may be on its way by then."""

        def over(now: ModelRollout) -> Verdict | None:
            return self.verdict(now, tag) if going_on or now.status.attempt is None else None

        verdict: Verdict = self.until_so(over, f"{tag} has its verdict", seconds)
        return verdict

    def verdict(self, now: ModelRollout, tag: str) -> Verdict | None:
        """Of the candidate that was proposed last; None while it is not carried out."""
        last = now.status.last
        is_ours = last is not None and last.candidate == tag and last.id != self._before
        return last.verdict if last is not None and is_ours else None

    def until_weight(self, weight: int, seconds: float = LONGEST_SECONDS) -> None:
        """Returns once the canary has this weight, and it is recorded."""

        def has(now: ModelRollout) -> bool:
            found = now.status.attempt
            return found is not None and bool(found.weights) and round(found.weights[-1][1] * 100) == weight

        self.until_so(has, f"the canary has {weight} %", seconds)

    def stands(self, stable: str, copies: int = 1) -> None:
        """Nothing is on its way, and stable runs this model in so many copies; a stage that is otherwise is cleared."""
        status, found = self.read().status, self.place.look("stable")
        idle = not self._is_new and status.attempt is None and status.stable == found.tag == self.models[stable]
        if not (idle and (found.wanted, found.ready) == (copies, copies) and len(self.running()) == 1):
            self.clear(stable, copies)

    def clear(self, stable: str = candidates.BASE, copies: int = 1) -> None:
        """No rollout is known, stable runs this model, and a controller that knows no more leads."""
        self._is_new = False
        self.scale(0)
        self.place.kubectl("delete", self.name, "--ignore-not-found")
        self.place.run("stable", self.models[stable], copies)
        self.place.split(100, 0, 0)
        self.scale(1)
        self.until_led()
        self.until_so(lambda now: now.status.stable == self.models[stable], f"{stable} is taken over as stable", 60)

    # -- what is on record ---------------------------------------------------------------------------------------

    def predict(self, *names: str, stable: str = candidates.BASE) -> None:
        """Adds a comparison of each with stable, as the trainer: of the same model, they should do the same live."""
        dsn = self.place.secret("prediction-store-trainer")["dsn"].replace("@prediction-store:", "@127.0.0.1:")
        values = ", ".join(
            f"('{self.models[stable]}', '{self.models[name]}', now(), 'accepted', '{{}}', now(), now(), 1000,"
            " 0, 0, 0, 0, 1)"
            for name in names
        )
        columns = (
            "stable, candidate, made_at, verdict, numbers, inputs_from, inputs_until, entities, net_flips, "
            "net_flips_se, score_difference, score_difference_se, flagged_ratio"
        )
        statement = f"insert into comparisons ({columns}) values {values}"  # noqa: S608 - tags of these tests' own
        self.place.kubectl("exec", "prediction-store-0", "--", "psql", dsn, "--command", statement)

    def events(self, attempt: str) -> list[tuple[str, str, dict[str, Any]]]:
        """Kind, message and numbers of an attempt's events in the history, in their order."""
        found = self.place.sql(
            f"select kind, message, numbers from rollout_events where attempt = '{attempt}' order by at, number"  # noqa: S608
        )
        return [(kind, message, json.loads(numbers)) for kind, message, numbers in found]

    def kinds(self, attempt: str) -> list[str]:
        return [kind for kind, _, _ in self.events(attempt)]

    def told(self) -> list[Object]:
        """The Events of the object, oldest first, as `kubectl describe` lists them."""
        found = self.place.kubectl.get("events", "--field-selector", "involvedObject.kind=ModelRollout")["items"]
        return sorted(found, key=lambda each: each["metadata"]["creationTimestamp"])

    def history_is_whole(self, attempt: str) -> int:
        """How many decisions were recorded; each follows from the evidence, no block and no event is there twice."""
        said = self.place.kubectl("exec", DEPLOYMENT, "--", "python", "-m", "k8s.rollout", "replay", attempt, "--json")
        report = json.loads(said)
        assert report["agrees"], report
        found = self.place.sql(f"select number from rollout_events where attempt = '{attempt}'")  # noqa: S608
        assert len({number for (number,) in found}) == len(found)
        decisions: int = report["decisions"]
        return decisions

    # -- traffic -------------------------------------------------------------------------------------------------

    @contextmanager
    def load(self, *, at_least: int = 0, per_second: float = LOAD_PER_SECOND) -> Iterator["Traffic"]:
        """Traffic from its beginning to its end, and every weight that the route has meanwhile."""
        self._loads += 1
        prefix = f"load{os.getpid()}-{self._loads}"  # a namespace that was kept has rows of earlier ones
        sent = candidates.events(prefix, ENTITIES)
        with (
            Weights(self.place.kubectl) as weights,
            Running(self.place.url, prefix, at_least=at_least, per_second=per_second, sent=sent) as running,
        ):
            until(running.after(1), "the first second of load")
            yield Traffic(self.place, prefix, running, weights)


@dataclass
class Traffic:
    """A load that goes on, and what came of it."""

    place: Place
    prefix: str
    running: Running
    weights: Weights

    def ended(self) -> Measured:
        """What it came to. The prediction store has one row of stable or canary for each score, and no other.

        An answer that the scorer did not mean to give (500) has none.
        """
        came = self.running.measured()
        scored = {each.request_id for each in came.entries if each.answered}
        rows = self.place.rows_once_whole(self.prefix, len(scored), "stable", "canary", seconds=READY_SECONDS)
        found = {row.request_id for row in rows}
        assert len(rows) == len(found)
        assert scored <= found <= came.request_ids, (len(scored - found), len(found - came.request_ids))
        return came


def rises(weights: list[int]) -> list[int]:
    """The weights that are higher than the one before."""
    return [now for before, now in pairwise(weights) if now > before]

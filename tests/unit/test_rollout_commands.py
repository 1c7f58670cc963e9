"""What people ask of a rollout, and what they are answered; every world here is in memory."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from k8s.rollout import plan_file
from k8s.rollout.cli import main
from k8s.rollout.errors import FileError
from k8s.rollout.model_rollout import (
    Attempt,
    Ban,
    ModelRollout,
    Outcome,
    Pause,
    Phase,
    Request,
    Spec,
    Status,
    Verdict,
)
from k8s.rollout.plan import Plan
from k8s.rollout.routers import Split
from tests.doubles.memory_backend import BEGINNING, CANDIDATE, STABLE, World

OTHER = "risk_scorer:aaaaaaaaaaaa"


def run(world: World, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, obj=world.desk(), catch_exceptions=False)


def attempt(outcome: Outcome | None = None, tag: str = CANDIDATE, plan: Plan | None = None, number: int = 1) -> Attempt:
    verdict = Verdict(outcome=outcome, gate="errors", reason="why", at=BEGINNING) if outcome else None
    return Attempt(
        id=f"attempt-{number}", candidate=tag, stable=STABLE, started_at=BEGINNING, plan=plan or Plan(), verdict=verdict
    )


def rolling(**fields: object) -> ModelRollout:
    """A canary on its way."""
    return ModelRollout(
        spec=Spec(candidate=CANDIDATE), status=Status(stable=STABLE, phase=Phase.CANARY, attempt=attempt(), **fields)
    )


def idle(**fields: object) -> ModelRollout:
    return ModelRollout(status=Status(stable=STABLE, **fields))


def test_start_makes_a_model_the_candidate_and_records_who_asked() -> None:
    world = World(idle())
    ended = run(world, "start", CANDIDATE, "--by", "ann", "--reason", "better recall")
    spec = world.store.read().spec
    assert ended.exit_code == 0, ended.output
    assert (spec.candidate, spec.asked.by, spec.asked.reason, spec.asked.at) == (
        CANDIDATE,
        "ann",
        "better recall",
        BEGINNING,
    )
    assert "No controller runs" in ended.output


def test_start_says_nothing_of_a_controller_where_one_runs() -> None:
    assert "No controller" not in run(World(idle()).attended(), "start", CANDIDATE).output


def test_start_takes_a_plan_from_a_file_and_leaves_the_objects_own_otherwise(tmp_path: Path) -> None:
    world, file = World(idle()), tmp_path / "plan.yaml"
    file.write_text("shadow: null\nalpha: 0.02\n")
    assert run(world, "start", CANDIDATE, "--plan", str(file)).exit_code == 0
    assert world.store.read().spec.plan == Plan(shadow=None, alpha=0.02)
    assert run(world, "start", OTHER).exit_code == 0
    assert world.store.read().spec.plan == Plan(shadow=None, alpha=0.02)


def test_start_forgets_what_was_wished_for_an_earlier_candidate() -> None:
    world = World(rolling())
    assert run(world, "promote", "--force", "--reason", "fire", "--by", "ann").exit_code == 0
    assert run(world, "abort").exit_code == 0
    assert run(world, "start", OTHER).exit_code == 0
    spec = world.store.read().spec
    assert (spec.promotion, spec.abort, spec.forced) == (None, None, None)


def test_start_says_what_it_supersedes() -> None:
    assert f"{CANDIDATE} is superseded" in run(World(rolling()), "start", OTHER).output


def test_a_banned_model_is_refused_unless_forced_with_a_reason() -> None:
    ban = Ban(at=BEGINNING, gate="flagged up", reason="twice as many")
    world = World(idle(banned={CANDIDATE: ban}))
    refused = run(world, "start", CANDIDATE)
    assert refused.exit_code == 14
    assert "'flagged up': twice as many" in refused.output
    assert world.store.read().spec.candidate is None
    assert run(world, "start", CANDIDATE, "--force").exit_code == 2
    assert run(world, "start", CANDIDATE, "--force", "--reason", "labels were late", "--by", "ann").exit_code == 0
    assert world.store.read().spec.forced.reason == "labels were late"


@pytest.mark.parametrize(
    ("rollout", "arguments", "words"),
    [
        (idle(), ["start", STABLE], "is stable already"),
        (rolling(), ["start", CANDIDATE], "is on its way since 2026-11-23 21:00 UTC"),
        (idle(), ["abort"], "no rollout on its way to abort"),
        (idle(), ["promote"], "no rollout on its way to promote"),
        (idle(), ["undo"], "nothing to go back to"),
        (rolling(previous=OTHER), ["undo"], "abort it first"),
        (rolling(), ["promote"], "approval: auto"),
        (idle(), ["watch"], "nothing is on its way, and nothing was before"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_goes_on_instead(
    rollout: ModelRollout, arguments: list[str], words: str
) -> None:
    world = World(rollout)
    ended = run(world, *arguments)
    assert (ended.exit_code, ended.output.startswith("error: ")) == (4, True), ended.output
    assert words in ended.output
    assert world.store.read().spec == rollout.spec


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.WAITING])
def test_a_candidate_that_waits_to_be_let_in_can_be_aborted(phase: Phase) -> None:
    status = Status(stable=STABLE, phase=phase, message=f"{CANDIDATE} may not start: no comparison")
    world = World(ModelRollout(spec=Spec(candidate=CANDIDATE), status=status))
    ended = run(world, "abort", "--reason", "second thoughts", "--by", "ann")
    assert ended.exit_code == 0, ended.output
    abort = world.store.read().spec.abort
    assert (abort.tag, abort.by, abort.reason) == (CANDIDATE, "ann", "second thoughts")


def test_a_candidate_is_aborted_once_before_it_began() -> None:
    world = World(ModelRollout(spec=Spec(candidate=CANDIDATE), status=Status(stable=STABLE, phase=Phase.WAITING)))
    assert run(world, "abort").exit_code == 0
    assert run(world, "abort").exit_code == 4
    assert run(world, "start", CANDIDATE).exit_code == 0
    assert run(world, "abort").exit_code == 0


def test_undo_does_not_bring_back_a_banned_model() -> None:
    ban = Ban(at=BEGINNING, gate="crash", reason="half of its answers failed")
    world = World(idle(previous=OTHER, banned={OTHER: ban}))
    refused = run(world, "undo")
    assert refused.exit_code == 14, refused.output
    assert "'crash': half of its answers failed" in refused.output
    assert world.store.read().spec.candidate is None


def test_a_candidate_that_had_its_verdict_does_not_wait_to_be_let_in() -> None:
    over = attempt(Outcome.ROLLED_BACK)
    asked = Request(tag=CANDIDATE, by="ann", reason="start", at=BEGINNING - timedelta(minutes=1))
    status = Status(stable=STABLE, phase=Phase.WAITING, last=over)
    world = World(ModelRollout(spec=Spec(candidate=CANDIDATE, asked=asked), status=status))
    assert run(world, "abort").exit_code == 4


@pytest.mark.parametrize("command", ["abort", "promote", "undo"])
def test_a_verdict_that_is_being_carried_out_is_not_changed(command: str) -> None:
    status = Status(stable=STABLE, previous=OTHER, attempt=attempt(Outcome.ROLLED_BACK))
    world = World(ModelRollout(spec=Spec(candidate=CANDIDATE), status=status))
    ended = run(world, command)
    assert ended.exit_code == 4
    assert "carried out" in ended.output


def test_pause_and_resume_say_what_they_found() -> None:
    world = World(rolling())
    assert "paused; " in run(world, "pause", "--reason", "holiday", "--by", "ann").output
    assert world.store.read().spec.paused == Pause(by="ann", reason="holiday", at=BEGINNING)
    assert "paused already, by ann: holiday" in run(world, "pause", "--by", "bob").output
    assert world.store.read().spec.paused.by == "ann"
    assert run(world, "resume").output == "it goes on\n"
    assert world.store.read().spec.paused is None
    assert run(world, "resume").output == "nothing was paused\n"


def test_promote_approves_and_with_force_skips_the_gates() -> None:
    world = World(
        ModelRollout(
            spec=Spec(candidate=CANDIDATE), status=Status(stable=STABLE, attempt=attempt(plan=Plan(approval="manual")))
        )
    )
    assert run(world, "promote", "--by", "ann").exit_code == 0
    assert not world.store.read().spec.promotion.skip_gates
    assert run(world, "promote", "--force").exit_code == 2
    forced = run(world, "promote", "--force", "--reason", "stable is worse", "--by", "ann")
    assert "BY FORCE" in forced.output
    wanted = world.store.read().spec.promotion
    assert (wanted.skip_gates, wanted.by, wanted.reason) == (True, "ann", "stable is worse")


def test_undo_wants_the_previous_model_without_gates_and_says_why() -> None:
    world = World(idle(previous=OTHER))
    assert run(world, "undo", "--reason", "complaints", "--by", "ann").exit_code == 0
    spec = world.store.read().spec
    assert (spec.candidate, spec.promotion.tag, spec.promotion.skip_gates) == (OTHER, OTHER, True)
    assert spec.promotion.reason == "undo: complaints"


@pytest.mark.parametrize("tag", ["x", "risk_scorer", "Risk:1", "risk_scorer:", "risk_scorer:a b", "--", "a:b\n"])
def test_what_is_no_tag_is_a_wrong_call(tag: str) -> None:
    ended = run(World(idle()), "start", tag)
    assert ended.exit_code == 2, ended.output


@pytest.mark.parametrize("words", ["", " ", "two\nlines", "x" * 501])
def test_a_reason_that_the_record_can_not_hold_is_a_wrong_call(words: str) -> None:
    ended = run(World(rolling()), "pause", "--by", "ann", "--reason", words or " ")
    assert ended.exit_code == 2, ended.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("alpha: 2", "plan.yaml:1: alpha: "),
        ("beta: .1\ncanary:\n  steps:\n  - {weight: 60, errors: .1, over_slo: .1, flagged: .1}", "plan.yaml:4: "),
        ("beta: .1\nalhpa: .1", "plan.yaml:2: alhpa: there is no such field"),
        ("beta: .1\nbeta: .2", "plan.yaml:2: beta stands there twice"),
        ("canary: [", "plan.yaml:1: no YAML"),
        ("- 1", "plan.yaml:1: a plan is a mapping"),
        ("beta: \x00", "plan.yaml: no YAML"),
        ("[" * 3000, "plan.yaml: no YAML: it is nested too deeply"),
        ("windows: &a [*a]", "plan.yaml:1: "),
        ("alpha: .01\nwindows: [{start: 22:00Z}]", "plan.yaml:2: windows[0].start: 22:00:00+00:00 names a time zone"),
        ("slo_ms: yes", "plan.yaml:1: slo_ms: "),
        ("beta: .1\nlabels:\n  looks: [1000, 300]", "plan.yaml:3: labels.looks: the looks are at 1000, 300 positives"),
        ("labels:\n  looks:\n  - 300\n  - 20\n", "plan.yaml:4: labels.looks[1]: "),
        ("labels: {looks: []}", "plan.yaml:1: labels.looks: "),
        ("labels: {required: perhaps}", "plan.yaml:1: labels.required: "),
        ("shadow: null\nlabels: {required: true}", "plan.yaml:2: labels: required labels need pairs"),
        ("labels: {required: true}\nshadow: null", "plan.yaml:1: labels: required labels need pairs"),
        ("a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1},' * 9}]\n" for n in range(1, 12)), "a0: there is no"),
    ],
)
def test_a_bad_plan_is_refused_with_its_line_and_nothing_is_started(tmp_path: Path, text: str, words: str) -> None:
    file, world = tmp_path / "plan.yaml", World(idle())
    file.write_text(text)
    ended = run(world, "start", CANDIDATE, "--plan", str(file))
    assert (ended.exit_code, words in ended.output) == (3, True), ended.output
    assert world.store.read().spec.candidate is None


def test_a_plan_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    assert run(World(idle()), "start", CANDIDATE, "--plan", str(tmp_path / "no.yaml")).exit_code == 3
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    assert run(World(idle()), "start", CANDIDATE, "--plan", str(tmp_path / "bytes.yaml")).exit_code == 3


def test_a_written_plan_reads_as_itself_and_times_of_day_are_no_numbers() -> None:
    text = "windows: [{days: [mon, fri], start: 22:00, end: 06:30}]\nalpha: 1e-2\nshadow: null\napproval: manual\n"
    plan = plan_file.parsed(text, "x")
    assert (plan.windows[0].start.hour, plan.windows[0].end.minute, plan.alpha) == (22, 30, 0.01)
    assert plan_file.parsed(plan_file.written(plan), "x") == plan


def test_yes_is_yes_where_a_plan_asks_for_it() -> None:
    plan = plan_file.parsed("labels: {looks: [400, 800], required: yes}", "x")
    assert plan.requires_labels
    assert plan_file.parsed(plan_file.written(plan), "x") == plan
    assert plan_file.parsed("labels: null", "x").labels is None


def test_a_plan_that_makes_objects_of_python_is_refused() -> None:
    with pytest.raises(FileError, match="no YAML"):
        plan_file.parsed("alpha: !!python/object/apply:os.getcwd []", "x")


def test_the_example_plan_is_what_the_schema_writes() -> None:
    example = Path(__file__).parents[2] / "k8s" / "rollout" / "plan.example.yaml"
    assert example.read_text(encoding="utf-8") == plan_file.written(Plan()), "write it again with `make docs`"


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.PROMOTED, 0),
        (Outcome.ROLLED_BACK, 10),
        (Outcome.INCONCLUSIVE, 11),
        (Outcome.ABORTED, 12),
        (Outcome.SUPERSEDED, 13),
    ],
)
def test_start_and_wait_ends_with_the_code_of_the_verdict(outcome: Outcome, code: int) -> None:
    def controller(world: World) -> None:
        found = world.store.read()
        if found.status.attempt is None:
            status = found.status.model_copy(update={"attempt": attempt(), "phase": Phase.CANARY, "message": "at 5 %"})
        else:
            status = found.status.model_copy(update={"attempt": None, "last": attempt(outcome), "message": "over"})
        world.store.write_status(status, found.version)

    # An earlier attempt of the same model is not taken for this one.
    world = World(idle(last=attempt(Outcome.ABORTED, number=0)), then=controller).attended()
    ended = run(world, "start", CANDIDATE, "--wait")
    assert ended.exit_code == code, ended.output
    assert f"{CANDIDATE} is {outcome} by 'errors': why" in ended.output
    assert "Canary: at 5 %" in ended.output
    again = run(world, "watch", "--json")
    assert (again.exit_code, json.loads(again.output)["exit_code"]) == (code, code)


def test_waiting_for_a_model_that_may_not_start_ends_with_14_once_a_controller_has_looked() -> None:
    def controller(world: World) -> None:
        found = world.store.read()
        told = {"phase": Phase.WAITING, "message": f"{CANDIDATE} may not start: no prediction", "ticked_at": world.now}
        world.store.write_status(found.status.model_copy(update=told), found.version)

    before = {"phase": Phase.WAITING, "message": f"{CANDIDATE} may not start: of yesterday"}
    yesterday = BEGINNING - timedelta(days=1)
    world = World(idle(ticked_at=yesterday, **before), then=controller)
    ended = run(world, "start", CANDIDATE, "--wait")
    assert ended.exit_code == 14
    assert ended.output.splitlines()[-1] == f"{CANDIDATE} may not start: no prediction"


def test_waiting_ends_when_another_model_becomes_the_candidate() -> None:
    def somebody(world: World) -> None:
        world.store.change_spec(lambda spec: spec.model_copy(update={"candidate": OTHER}))

    ended = run(World(idle(), then=somebody), "start", CANDIDATE, "--wait")
    assert ended.exit_code == 13


def test_watch_gives_up_after_its_timeout() -> None:
    ended = run(World(rolling()), "watch", "--timeout", "5")
    assert ended.exit_code == 15
    assert "undecided after 5 s" in ended.output


def test_split_sets_the_weights_where_no_controller_does() -> None:
    world = World(idle())
    for role in ("stable", "canary"):
        world.fleet.assign(role, STABLE)
        world.fleet.scale(role, 1)
    ended = run(world, "split", "--weights", "80,20", "--mirror", "100", "--json")
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.output) == {"stable": 80, "canary": 20, "mirror": 100}
    assert world.router.current() == Split(80, 20, 100)


def test_split_is_refused_while_a_controller_has_the_lease() -> None:
    world = World(idle()).attended()
    ended = run(world, "split", "--weights", "80,20")
    assert ended.exit_code == 6
    assert "another process" in ended.output
    assert world.router.current().canary == 0


def test_split_is_refused_for_a_role_without_a_ready_copy() -> None:
    world = World(idle())
    ended = run(world, "split", "--weights", "100,0")
    assert (ended.exit_code, "stable has no ready copy" in ended.output) == (4, True)


@pytest.mark.parametrize("weights", ["80", "80,30", "a,b", "80,20,0", "-1,101", "80.5,19.5"])
def test_weights_that_are_no_split_are_a_wrong_call(weights: str) -> None:
    assert run(World(idle()), "split", "--weights", weights).exit_code == 2


def test_every_command_answers_in_json() -> None:
    world = World(rolling()).attended()
    for arguments in (["pause"], ["resume"], ["abort"], ["start", OTHER]):
        assert "spec" in json.loads(run(world, *arguments, "--json").output)
    status = json.loads(run(world, "status", "--json").output)
    assert status["status"]["attempt"]["candidate"] == CANDIDATE
    assert status["split"] == {"stable": 100, "canary": 0, "mirror": 0}
    assert status["controller"]["who"] == "another process"

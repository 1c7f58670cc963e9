"""What every store of a rollout's object promises, asked of each implementation; and what a file may hold instead."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k8s.rollout.decide import CanaryState
from k8s.rollout.file_store import FORMAT, FileStore
from k8s.rollout.kubernetes_store import KubernetesStore
from k8s.rollout.memory_store import MemoryStore
from k8s.rollout.model_rollout import Attempt, Event, ModelRollout, Pause, Spec, Status
from k8s.rollout.plan import Plan
from k8s.rollout.stores import ConflictError, RolloutStore, StoreError, UnreadableError
from tests.doubles.memory_cluster import MemoryCluster

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
MODEL = "risk_scorer:0123456789ab"


@pytest.fixture(params=["memory", "file", "kubernetes objects", pytest.param("cluster", marks=pytest.mark.cluster)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RolloutStore:
    match request.param:
        case "memory":
            return MemoryStore()
        case "file":
            return FileStore(tmp_path / "state" / "rollout.json")
        case "kubernetes objects":
            return KubernetesStore(MemoryCluster())  # type: ignore[arg-type]
        case _:
            request.getfixturevalue("namespace")("delete", "modelrollouts", "--all")
            return KubernetesStore(request.getfixturevalue("real_cluster"))


def candidate(tag: str | None) -> Callable[[Spec], Spec]:
    return lambda spec: spec.model_copy(update={"candidate": tag})


def full_status() -> Status:
    attempt = Attempt(
        id="one",
        candidate=MODEL,
        stable="risk_scorer:ffff",
        started_at=NOW,
        plan=Plan(),
        weights=((NOW, 0.05),),
        canary=CanaryState(block=7, failed="errors", why="too many"),
    )
    event = Event(number=3, at=NOW, attempt="one", kind="rollout.step", message="5 %", numbers={"weight": 5})
    return Status(message="é 5 %", stable="risk_scorer:ffff", attempt=attempt, last=attempt, events=3, outbox=(event,))


def test_an_object_that_is_missing_reads_as_an_empty_one(store: RolloutStore) -> None:
    found = store.read()
    assert (found.spec, found.status) == (Spec(), Status())


def test_what_was_written_is_read_again_whole(store: RolloutStore) -> None:
    store.change_spec(candidate(MODEL))
    written = store.write_status(full_status(), store.read().version)
    assert store.read() == written
    assert (written.spec.candidate, written.status) == (MODEL, full_status())


def test_a_status_is_refused_when_somebody_wrote_in_between(store: RolloutStore) -> None:
    before = store.read()
    store.change_spec(candidate(MODEL))
    with pytest.raises(ConflictError):
        store.write_status(Status(message="late"), before.version)
    assert store.read().status == Status()
    assert store.read().spec.candidate == MODEL


def test_a_version_is_of_one_content(store: RolloutStore) -> None:
    first = store.write_status(Status(message="one"), store.read().version)
    second = store.write_status(Status(message="two"), first.version)
    assert second.version != first.version
    with pytest.raises(ConflictError):
        store.write_status(Status(message="three"), first.version)


def test_changing_the_spec_leaves_the_status_and_the_other_way_round(store: RolloutStore) -> None:
    store.write_status(full_status(), store.read().version)
    paused = Pause(by="ann", reason="lunch", at=NOW)
    store.change_spec(lambda spec: spec.model_copy(update={"paused": paused}))
    found = store.read()
    assert (found.status, found.spec.paused) == (full_status(), paused)


def test_a_change_that_raises_changes_nothing(store: RolloutStore) -> None:
    store.change_spec(candidate(MODEL))
    before = store.read()

    def refuse(spec: Spec) -> Spec:
        raise LookupError("not now")

    with pytest.raises(LookupError):
        store.change_spec(refuse)
    assert store.read() == before


def test_two_stores_of_one_file_see_each_other(tmp_path: Path) -> None:
    one, other = FileStore(tmp_path / "rollout.json"), FileStore(tmp_path / "rollout.json")
    one.change_spec(candidate(MODEL))
    assert other.read().spec.candidate == MODEL


def test_changes_at_the_same_time_are_all_made(tmp_path: Path) -> None:
    path = tmp_path / "rollout.json"

    def longer(spec: Spec) -> Spec:
        reason = f"{spec.paused.reason if spec.paused else ''}+"
        return spec.model_copy(update={"paused": Pause(by="ann", reason=reason, at=NOW)})

    def change() -> None:
        for _ in range(10):
            FileStore(path).change_spec(longer)

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    paused = FileStore(path).read().spec.paused
    assert paused is not None
    assert paused.reason == "+" * 40


def test_nothing_but_the_file_and_its_lock_is_left(tmp_path: Path) -> None:
    FileStore(tmp_path / "rollout.json").change_spec(candidate(MODEL))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rollout.json", "rollout.json.lock"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path / "rollout.json")
    store.change_spec(candidate(MODEL))
    before = store.read()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("k8s.rollout.file_store.os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        store.change_spec(candidate(None))
    monkeypatch.undo()
    assert store.read() == before
    assert len(list(tmp_path.iterdir())) == 2


def _good(tmp_path: Path) -> dict[str, object]:
    store = FileStore(tmp_path / "rollout.json")
    store.change_spec(candidate(MODEL))
    document: dict[str, object] = json.loads((tmp_path / "rollout.json").read_text())
    return document


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is no JSON"),
        ('{"kind": "ModelRoll', "is no JSON"),
        ("\x00\x00", "is no JSON"),
        ("[]", "is no ModelRollout"),
        ('{"kind": "Deployment"}', "is no ModelRollout"),
        ('{"kind": "ModelRollout"}', "has the format None"),
        ('{"kind": "ModelRollout", "format": true}', "has the format True"),
        ('{"kind": "ModelRollout", "format": 1, "spec": {"candidate": 7}}', "has a mistake at spec.candidate"),
        ('{"kind": "ModelRollout", "format": 1, "speck": {}}', "has a mistake at speck"),
    ],
)
def test_a_file_that_is_no_rollout_says_what_to_do_and_is_left_alone(
    tmp_path: Path, content: str, problem: str
) -> None:
    path = tmp_path / "rollout.json"
    path.write_text(content)
    store = FileStore(path)
    with pytest.raises(UnreadableError, match=problem) as caught:
        store.read()
    assert str(path) in str(caught.value)
    assert "move it away" in str(caught.value)
    with pytest.raises(UnreadableError):
        store.change_spec(candidate(None))
    with pytest.raises(UnreadableError):
        store.write_status(Status(), "")
    assert path.read_text() == content


def test_bytes_that_are_no_text_are_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "rollout.json"
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(UnreadableError):
        FileStore(path).read()


def test_a_newer_file_is_named_as_such(tmp_path: Path) -> None:
    document = _good(tmp_path) | {"format": FORMAT + 1, "colour": "blue"}
    (tmp_path / "rollout.json").write_text(json.dumps(document))
    with pytest.raises(UnreadableError, match="newer version"):
        FileStore(tmp_path / "rollout.json").read()


def test_an_edit_by_hand_is_a_change(tmp_path: Path) -> None:
    path = tmp_path / "rollout.json"
    document, before = _good(tmp_path), FileStore(path).read()
    path.write_text(json.dumps(document))
    with pytest.raises(ConflictError):
        FileStore(path).write_status(Status(), before.version)


def test_a_folder_that_can_not_be_made_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError, match="state"):
        FileStore(tmp_path / "state" / "rollout.json").change_spec(candidate(MODEL))
    with pytest.raises(StoreError, match="state"):
        FileStore(tmp_path / "state" / "rollout.json").read()


def test_an_unreachable_memory_store_raises_what_it_was_told() -> None:
    memory = MemoryStore(ModelRollout())
    memory.failure = StoreError("away")
    with pytest.raises(StoreError, match="away"):
        memory.read()

"""What is seen of a rollout in one moment."""

from datetime import UTC, datetime
from types import SimpleNamespace

from k8s.rollout.model_rollout import Event, ModelRollout, Status
from k8s.rollout.sight import look

AT = datetime(2026, 11, 24, 10, 5, 36, 700_000, tzinfo=UTC)


def test_an_event_that_the_cluster_was_told_of_and_the_history_was_not_is_seen_once() -> None:
    event = Event(number=7, at=AT, attempt="a", kind="rollout.step", message="the canary has all traffic")
    told = event.model_copy(update={"at": AT.replace(microsecond=0)})
    nothing = SimpleNamespace(current=lambda: None, look=lambda: None, holder=lambda: None)
    backend = SimpleNamespace(
        store=SimpleNamespace(read=lambda: ModelRollout(status=Status(outbox=(event,)))),
        router=nothing,
        fleet=nothing,
        lease=nothing,
        recent=lambda most: [told][:most],
    )
    assert [each.number for each in look(backend, AT).events] == [7]  # type: ignore[arg-type]

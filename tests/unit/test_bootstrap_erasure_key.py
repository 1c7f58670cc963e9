"""The key of erasures: made once, long enough, never replaced."""

from k8s.bootstrap import ERASURE_KEY, make_erasure_key
from k8s.rollout.kubernetes_api import Kind
from monitoring.settings import Settings
from tests.doubles.memory_cluster import MemoryCluster


def test_the_key_of_erasures_is_made_once_and_stays() -> None:
    cluster = MemoryCluster()
    assert make_erasure_key(cluster)  # type: ignore[arg-type]
    key = cluster.get(Kind.SECRETS, ERASURE_KEY)["stringData"]["key"]
    assert not make_erasure_key(cluster)  # type: ignore[arg-type]
    assert cluster.get(Kind.SECRETS, ERASURE_KEY)["stringData"]["key"] == key


def test_the_key_of_erasures_is_one_that_the_commands_take() -> None:
    cluster = MemoryCluster()
    make_erasure_key(cluster)  # type: ignore[arg-type]
    key = cluster.get(Kind.SECRETS, ERASURE_KEY)["stringData"]["key"]
    found = Settings(dsn="postgresql://x/y", erasure_key=key).erasure_key
    assert found is not None
    assert found.get_secret_value() == key

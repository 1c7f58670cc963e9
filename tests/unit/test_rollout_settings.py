"""What a controller is told: wrong values are refused at the start, by name, and secrets are never shown."""

import pytest
from pydantic import ValidationError

from k8s.rollout.settings import Settings, described

DSN = "postgresql://rollout:hidden-word@prediction-store:5432/vigil"


def test_a_cluster_is_described_by_three_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLOUT_DATABASE_DSN", DSN)
    monkeypatch.setenv("ROLLOUT_GATEWAY_STATS", "vigil-proxies.envoy-gateway-system.svc:19001")
    monkeypatch.setenv("ROLLOUT_STANDBY", "true")
    settings = Settings()
    assert settings.database_dsn is not None
    assert settings.database_dsn.get_secret_value() == DSN
    assert settings.standby


def test_a_dsn_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(ValidationError, match="is no connection string") as refused:
        Settings(database_dsn="postgresql:/hidden-word")  # type: ignore[arg-type]
    assert "hidden-word" not in "".join(each["msg"] for each in refused.value.errors())


@pytest.mark.parametrize(
    "address", ["", "proxies", "proxies:", "proxies:0", "proxies:99999", ":19001", "http://proxies:19001", "a b:1"]
)
def test_an_address_without_name_or_port_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="is no name:port"):
        Settings(gateway_stats=address)


def test_no_secret_is_in_what_is_printed() -> None:
    assert "hidden-word" not in repr(Settings(database_dsn=DSN))  # type: ignore[arg-type]


def test_every_variable_is_described() -> None:
    for name in Settings.model_fields:
        assert f"ROLLOUT_{name.upper()}: " in described()

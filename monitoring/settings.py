"""What this package's commands read from the environment."""

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .migrations import USERS


class Settings(BaseSettings):
    """`MONITORING_DSN` and the passwords that `migrate` sets."""

    model_config = SettingsConfigDict(env_prefix="MONITORING_")

    dsn: SecretStr = Field(
        description="Connection string of the prediction store, as in postgresql://user:password@host/database. The "
        "user must be the owner for migrate, partitions and retention, labeller for labels, reader for report, "
        "drift for quality, eraser for erase."
    )
    password_stable: SecretStr | None = Field(
        default=None, description="Password of the user stable; unset: unchanged."
    )
    password_canary: SecretStr | None = Field(
        default=None, description="Password of the user canary; unset: unchanged."
    )
    password_shadow: SecretStr | None = Field(
        default=None, description="Password of the user shadow; unset: unchanged."
    )
    password_reader: SecretStr | None = Field(
        default=None, description="Password of the user reader; unset: unchanged."
    )
    password_labeller: SecretStr | None = Field(
        default=None, description="Password of the user labeller; unset: unchanged."
    )
    password_trainer: SecretStr | None = Field(
        default=None, description="Password of the user trainer; unset: unchanged."
    )
    password_rollout: SecretStr | None = Field(
        default=None, description="Password of the user rollout; unset: unchanged."
    )
    password_drift: SecretStr | None = Field(default=None, description="Password of the user drift; unset: unchanged.")
    password_eraser: SecretStr | None = Field(
        default=None, description="Password of the user eraser; unset: unchanged."
    )
    erasure_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Secret of erase and retention, 16 characters at least and the same for both: finds rows of an "
        "erased entity that a scorer's spool brings later. Unset: they are not looked for.",
    )

    @field_validator("dsn")
    @classmethod
    def _parses(cls, dsn: SecretStr) -> SecretStr:
        try:
            conninfo_to_dict(dsn.get_secret_value())
        except ProgrammingError:
            raise ValueError("is no connection string, as in postgresql://user:password@host/database") from None
        return dsn

    def passwords(self) -> dict[str, str]:
        """The passwords that are set, by user."""
        secrets = {user: getattr(self, f"password_{user}") for user in USERS}
        return {user: secret.get_secret_value() for user, secret in secrets.items() if secret is not None}


def described() -> str:
    """One line for each variable, for `--help`."""
    lines = [f"MONITORING_{name.upper()}: {info.description}" for name, info in Settings.model_fields.items()]
    return "\n\n".join(lines)

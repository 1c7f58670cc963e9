"""Settings of the controller process, read from environment variables that begin with ROLLOUT_."""

import os
import re
import socket
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, HttpUrl, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ADDRESS: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?:[1-9][0-9]{0,4}")
_LAST_PORT: Final = 65535


def _identity() -> str:
    return f"{socket.gethostname()}, process {os.getpid()}"


class Settings(BaseSettings):
    """What a controller can be told. Each has a default that is right for one rollout on one machine."""

    model_config = SettingsConfigDict(env_prefix="ROLLOUT_", frozen=True, extra="ignore")

    state: Path | None = Field(
        None, description="Folder of the local stack to work on. Unset: `.vigil/local` below the working directory."
    )
    namespace: str = Field(
        "vigil", min_length=1, max_length=63, description="Namespace of the cluster that KUBECONFIG, or the pod, names."
    )
    database_dsn: SecretStr | None = Field(
        None,
        description="In a cluster: connection string of the prediction store, as in "
        "postgresql://rollout:password@host/database. Unset: no evidence, no history; commands that need neither work.",
    )
    gateway_stats: str | None = Field(
        None,
        description="In a cluster: name:port of the gateway's counters. The name's DNS entry lists every proxy (a "
        "headless Service), as in vigil-proxies.envoy-gateway-system.svc:19001. Unset: no evidence.",
    )
    identity: str = Field(
        default_factory=_identity,
        min_length=1,
        max_length=200,
        description="The lease's holder is shown by this name. Unset: host and process.",
    )
    standby: bool = Field(
        False,
        description="Wait while another controller holds the lease, and take over when it is given back or runs out. "
        "False: end with 6.",
    )
    tick_seconds: float | None = Field(
        None,
        ge=0.05,
        le=60,
        description="Time from one look at the world to the next, in seconds. Unset: a sixth of the plan's block, at "
        "least 0.2 and at most 5, so that a block is read soon after it closes.",
    )
    metrics_host: str = Field("127.0.0.1", description="Address that /metrics, /livez and /readyz listen on.")
    metrics_port: int = Field(0, ge=0, le=65535, description="Their port. 0: none is opened. A port in use is refused.")
    stuck_seconds: float = Field(
        60,
        gt=0,
        description="/livez fails when no tick has ended for so long, in seconds: the process hangs, restart it. "
        "Longer than any one call to the database or the cluster may take.",
    )
    webhook_url: SecretStr | None = Field(
        None, description="Verdicts are sent here by POST, as JSON. A secret, because such addresses hold tokens."
    )
    webhook_secret: SecretStr | None = Field(
        None, description="Key of the header X-Vigil-Signature: HMAC-SHA256 of the body. Unset: no such header."
    )
    webhook_tries: int = Field(5, ge=1, le=20, description="How often one verdict is tried before it is given up.")
    webhook_seconds: float = Field(5, gt=0, le=60, description="How long one try may take, in seconds.")
    webhook_pause_seconds: float = Field(
        1, gt=0, le=60, description="Pause after the first failed try, in seconds; each further one is twice as long."
    )
    webhook_queue: int = Field(
        100, ge=1, description="Verdicts that may wait. Beyond, the oldest is given up: the history has them all."
    )
    log_format: Literal["json", "text"] = Field("json", description="Form of the log's lines on standard error.")

    @field_validator("webhook_url")
    @classmethod
    def _is_http(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            HttpUrl(url.get_secret_value())
        return url

    @field_validator("database_dsn")
    @classmethod
    def _parses(cls, dsn: SecretStr | None) -> SecretStr | None:
        if dsn is not None:
            from psycopg import ProgrammingError  # noqa: PLC0415 - commands that need no database start without it
            from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - as above

            try:
                conninfo_to_dict(dsn.get_secret_value())
            except ProgrammingError:
                raise ValueError("is no connection string, as in postgresql://user:password@host/database") from None
        return dsn

    @field_validator("gateway_stats")
    @classmethod
    def _has_a_port(cls, address: str | None) -> str | None:
        if address is not None and not (_ADDRESS.fullmatch(address) and int(address.rpartition(":")[2]) <= _LAST_PORT):
            raise ValueError("is no name:port, as in vigil-proxies.envoy-gateway-system.svc:19001")
        return address

    def tick_of(self, block_seconds: float) -> float:
        """Seconds from one tick to the next under a plan with such blocks."""
        return self.tick_seconds or min(5.0, max(0.2, block_seconds / 6))


def described() -> str:
    """One line for each variable, for `--help`."""
    return "\n\n".join(f"ROLLOUT_{name.upper()}: {info.description}" for name, info in Settings.model_fields.items())

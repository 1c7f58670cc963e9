"""Settings of a scorer process, read from environment variables that begin with SCORER_."""

from pathlib import Path
from typing import Final, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from . import identity

Role = Literal["stable", "canary", "shadow"]
Lines = Literal["all", "refused", "none"]

_CONCURRENCY: Final[dict[Role, int]] = {"stable": 512, "canary": 512, "shadow": 64}
"""At 50 us a request: a wait of 26 ms at the most, a quarter of the objective; 3 ms for a shadow."""


class Settings(BaseSettings):
    """What a scorer process can be told. Each has a default that is right for one process on one machine."""

    model_config = SettingsConfigDict(env_prefix="SCORER_", frozen=True, extra="ignore")

    role: Role = Field(
        "stable", description="Which copy this process is. Labels its metrics; never read from a request."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on. A port in use is refused.")
    model_dir: Path = Field(identity.MODEL, description="Folder of the model's files; a Bento brings its own.")
    runtime_lock: Path | None = Field(
        None,
        description="Lock file that the environment was made from. When given, a Bento that was locked for another is "
        "refused.",
    )
    tag_in_development: str | None = Field(
        None,
        pattern=r"\.dev$",
        description="Tag of code that is being edited, in place of the one that its content gives. Ends with .dev.",
    )
    max_body_bytes: int = Field(
        16_384,
        ge=256,
        description="Largest request body, in bytes: an event has a few hundred. Larger is refused (413).",
    )
    max_batch_events: int = Field(
        200,
        ge=1,
        le=1_000,
        description="Most events in one /score/batch: the others wait about 15 us for each of them.",
    )
    max_batch_bytes: int = Field(131_072, ge=256, description="Largest body of /score/batch, in bytes.")
    max_concurrency: int | None = Field(
        None,
        ge=1,
        description="Most requests that may wait for each other; beyond, they are refused at once (503, Retry-After). "
        "By default 512, and 64 for a shadow, which must never take what stable needs.",
    )
    access_log: Lines = Field(
        "refused", description="Which requests get a line of JSON on standard output: all, refused, or none."
    )
    lean: bool = Field(
        True, description="Answer whole requests inside the HTTP parser's callback; false takes the plain ASGI way."
    )
    keep_alive_seconds: int = Field(
        75,
        ge=1,
        description="How long an idle connection stays open, in seconds. Keep it above the gateway's own limit: "
        "else a request may meet a connection that is just being closed.",
    )
    drain_seconds: float = Field(
        10, gt=0, description="How long SIGTERM waits, in seconds: first for open requests, then again for the log."
    )

    log_dsn: str | None = Field(
        None,
        description="PostgreSQL DSN of the prediction store, as the user of this role. Without it, no log is kept.",
    )
    log_queue_rows: int = Field(
        20_000,
        ge=1,
        description="Rows that may wait in memory (about 300 bytes each). This is what a SIGKILL can lose.",
    )
    log_batch_rows: int = Field(2_000, ge=1, description="Most rows in one COPY.")
    log_flush_seconds: float = Field(
        0.2, gt=0, description="How long a row waits for others to share a COPY, in seconds."
    )
    log_timeout_seconds: float = Field(
        5, gt=0, description="How long a connect or a COPY may take, in seconds, before its rows go to the spool."
    )
    log_retry_seconds: float = Field(1, gt=0, description="Pause before the database is tried again, in seconds.")
    spool_dir: Path = Field(
        Path(".vigil/spool"), description="Folder that keeps the rows while the database is away. One process a folder."
    )
    spool_max_bytes: int = Field(
        256 * 1024 * 1024, ge=0, description="Most bytes in the spool; past that, rows are dropped and counted."
    )

    def concurrency(self) -> int:
        """`max_concurrency`, or the role's own."""
        return self.max_concurrency or _CONCURRENCY[self.role]

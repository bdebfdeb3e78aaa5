"""Settings: from the environment or ``.env``, validated together, before anything starts."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

import schedora
from schedora.adapters.postgres.location import Location
from schedora.domain.errors import brief
from schedora.domain.retention import Retention
from schedora.domain.sampling import Sampler, SamplerKind


class LogFormat(StrEnum):
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class WrongSettings(Exception):
    """One line that names each variable, its value and what is allowed. Secrets are not shown."""


def _database_url(value: str | None) -> str | None:
    if value is not None:
        Location.parse(value)
    return value


def _redis_url(value: str | None) -> str | None:
    if value is not None:
        from schedora.adapters.redis.location import Location  # noqa: PLC0415 - who has no Redis need not carry it

        Location.parse(value)
    return value


class Settings(BaseSettings):
    """Names as in the environment, in lower case; spans in seconds."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True, frozen=True)

    app_name: str = "schedora"
    app_version: str = schedora.__version__
    environment: str = "development"
    database_url: Annotated[str | None, AfterValidator(_database_url)] = None
    database_pool_size: int = Field(20, ge=1, le=1000)
    database_max_overflow: int = Field(40, ge=0, le=1000)
    redis_url: Annotated[str | None, AfterValidator(_redis_url)] = None
    redis_prefix: str = Field("schedora", min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.:/-]*$")
    schedora_data_dir: Path | None = None
    worker_id: str | None = Field(None, min_length=1, max_length=255)
    worker_heartbeat_interval: float = Field(30, gt=0, le=86_400)
    worker_heartbeat_timeout: float = Field(90, gt=0, le=604_800)
    worker_cleanup_after: float = Field(3600, gt=0, le=31_622_400)
    worker_max_concurrent_jobs: int = Field(10, ge=1, le=10_000)
    worker_shutdown_timeout: float = Field(30, ge=0, le=86_400)
    event_streams_max: int = Field(500, ge=0, le=100_000)
    max_payload_bytes: int = Field(1_048_576, ge=2, le=268_435_456)
    max_worker_deaths: int = Field(3, ge=1, le=1_000)
    job_retention_success: float = Field(604_800, ge=60, le=3_153_600_000)
    job_retention_canceled: float = Field(604_800, ge=60, le=3_153_600_000)
    job_retention_dead: float = Field(2_592_000, ge=60, le=3_153_600_000)
    trace_retention: float = Field(604_800, ge=60, le=3_153_600_000)
    otel_traces_sampler: SamplerKind = SamplerKind.PARENTBASED_ALWAYS_ON
    otel_traces_sampler_arg: float | None = Field(None, ge=0, le=1)
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.JSON

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name, transform in (
            ("log_level", str.upper),
            ("log_format", str.lower),
            ("otel_traces_sampler", str.lower),
        ):
            if isinstance(values.get(name), str):
                values[name] = transform(values[name])
        return values

    @property
    def sampler(self) -> Sampler:
        return Sampler.of(self.otel_traces_sampler, self.otel_traces_sampler_arg)

    @property
    def retention(self) -> Retention:
        return Retention(
            success=timedelta(seconds=self.job_retention_success),
            canceled=timedelta(seconds=self.job_retention_canceled),
            dead=timedelta(seconds=self.job_retention_dead),
        )

    @model_validator(mode="after")
    def _timeout_above_interval(self) -> Self:
        if self.worker_heartbeat_timeout <= self.worker_heartbeat_interval:
            raise ValueError(
                f"WORKER_HEARTBEAT_TIMEOUT must be greater than WORKER_HEARTBEAT_INTERVAL,"
                f" not {self.worker_heartbeat_timeout:g} <= {self.worker_heartbeat_interval:g}"
            )
        return self


SECRETS = frozenset({"database_url", "redis_url"})


def load_settings(**overrides: Any) -> Settings:
    """The settings in force; ``overrides`` that are not None win. Raises ``WrongSettings``."""
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise WrongSettings("; ".join(_line(problem) for problem in error.errors())) from None


def _line(problem: Any) -> str:
    """One wrong setting in words."""
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return str(message)
    name = str(problem["loc"][0])
    rule = f"{name.upper()}: {message[0].lower()}{message[1:]}"
    return rule if name in SECRETS else f"{rule}, not {brief(problem['input'])}"

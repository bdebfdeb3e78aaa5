"""Settings: from the environment or ``.env``, validated together, before anything starts."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

import schedora
from schedora.adapters.postgres.location import Location
from schedora.application.telemetry.sampling import EVERYTHING, Sampler, SamplerKind
from schedora.domain.errors import brief
from schedora.domain.retention import Retention
from schedora.entrypoints.collector import (
    PROTOCOL,
    TIMEOUT_SECONDS_MAX,
    TRACES_PATH,
    Collector,
    HttpUrl,
    Pairs,
    pairs,
)

_SHORT_SECONDS = 0.1
"""A timeout of less may be one that was meant in seconds, as OpenTelemetry's SDK for Python has it."""
_NAME = re.compile(r"[A-Za-z][\w .-]*", re.ASCII)


class LogFormat(StrEnum):
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class JobLogLevel(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"
    OFF = "OFF"


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


def _names(value: str | None) -> str | None:
    if value is not None and not all(_NAME.fullmatch(name.strip()) for name in value.split(",")):
        raise ValueError("must be names, separated by commas")
    return value


class Settings(BaseSettings):
    """Names as in the environment, in lower case; spans in seconds, but for OpenTelemetry's, which are in milliseconds."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True, frozen=True)

    app_name: str = "schedora"
    app_version: str = schedora.__version__
    environment: str = "development"
    database_url: Annotated[str | None, AfterValidator(_database_url)] = None
    database_direct_url: Annotated[str | None, AfterValidator(_database_url)] = None
    database_pool_size: int = Field(20, ge=1, le=1000)
    database_max_overflow: int = Field(40, ge=0, le=1000)
    database_start_timeout: float = Field(60, ge=0, le=3600)
    redis_url: Annotated[str | None, AfterValidator(_redis_url)] = None
    redis_prefix: str = Field("schedora", min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.:/-]*$")
    schedora_data_dir: Path | None = None
    worker_id: str | None = Field(None, min_length=1, max_length=255)
    worker_heartbeat_interval: float = Field(30, gt=0, le=86_400)
    worker_heartbeat_timeout: float = Field(90, gt=0, le=604_800)
    worker_cleanup_after: float = Field(3600, gt=0, le=31_622_400)
    worker_max_concurrent_jobs: int = Field(10, ge=1, le=10_000)
    worker_shutdown_timeout: float = Field(30, ge=0, le=86_400)
    api_timeout_seconds: float = Field(20, gt=0, le=3600)
    api_requests_max: int = Field(2_000, ge=1, le=1_000_000)
    api_connections_max: int = Field(4_000, ge=1, le=1_000_000)
    api_waits_max: int = Field(2_000, ge=0, le=1_000_000)
    api_client_timeout: float = Field(20, gt=0, le=86_400)
    api_head_bytes_max: int = Field(65_536, ge=1_024, le=16_777_216)
    api_buffer_bytes_max: int = Field(268_435_456, ge=65_536, le=1_099_511_627_776)
    worker_max_jobs_per_child: int | None = Field(None, ge=1, le=1_000_000_000)
    worker_max_memory_mb_per_child: int | None = Field(None, ge=1, le=1_000_000_000)
    event_streams_max: int = Field(500, ge=0, le=100_000)
    metrics_label_values_max: int = Field(1_000, ge=1, le=100_000)
    max_payload_bytes: int = Field(1_048_576, ge=2, le=268_435_456)
    max_worker_deaths: int = Field(3, ge=1, le=1_000)
    job_retention_success: float = Field(604_800, ge=60, le=3_153_600_000)
    job_retention_canceled: float = Field(604_800, ge=60, le=3_153_600_000)
    job_retention_dead: float = Field(2_592_000, ge=60, le=3_153_600_000)
    trace_retention: float = Field(604_800, ge=60, le=3_153_600_000)
    otel_traces_sampler: str = SamplerKind.PARENTBASED_ALWAYS_ON.value
    otel_traces_sampler_arg: str | None = None
    otel_exporter_otlp_endpoint: HttpUrl = None
    otel_exporter_otlp_traces_endpoint: HttpUrl = None
    otel_exporter_otlp_headers: Pairs = None
    otel_exporter_otlp_traces_headers: Pairs = None
    otel_exporter_otlp_timeout: float = Field(10_000, ge=0)
    otel_exporter_otlp_traces_timeout: float | None = Field(None, ge=0)
    otel_exporter_otlp_protocol: str | None = None
    otel_exporter_otlp_traces_protocol: str | None = None
    otel_service_name: str | None = None
    otel_resource_attributes: Pairs = None
    otel_traces_exporter: str = "otlp"
    otel_sdk_disabled: bool = False
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.JSON
    log_redact: Annotated[str | None, AfterValidator(_names)] = None
    log_payloads: bool = False
    job_log_level: JobLogLevel = JobLogLevel.INFO

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name, transform in (
            ("log_level", str.upper),
            ("log_format", str.lower),
            ("otel_traces_sampler", str.lower),
            ("job_log_level", str.upper),
        ):
            if isinstance(values.get(name), str):
                values[name] = transform(values[name])
        return values

    @model_validator(mode="before")
    @classmethod
    def _export_only_where_it_is_on(cls, values: dict[str, Any]) -> dict[str, Any]:
        """What is said of an export is for others where Schedora has none, and they may know more ways."""
        if str(values.get("otel_sdk_disabled")).lower() != "true":
            return values
        kept = {"otel_sdk_disabled", "otel_traces_sampler", "otel_traces_sampler_arg"}
        return {name: value for name, value in values.items() if name in kept or not name.startswith("otel_")}

    @property
    def sampler(self) -> Sampler:
        kind = self._sampler_kind
        return EVERYTHING if kind is None else Sampler.of(kind, self._sampler_ratio)

    @property
    def doubts(self) -> Sequence[str]:
        """What is taken otherwise than it may be meant, in words: for whoever goes by these settings to tell, once."""
        doubts = []
        if self._sampler_kind is None:
            doubts.append(
                f"OTEL_TRACES_SAMPLER: Schedora has no sampler {brief(self.otel_traces_sampler)}, and keeps the traces"
                f" that begin here: as with {SamplerKind.PARENTBASED_ALWAYS_ON}"
            )
        elif self._asks_for_a_ratio and self.otel_traces_sampler_arg and self._sampler_ratio is None:
            doubts.append(
                f"OTEL_TRACES_SAMPLER_ARG: {self._wrong_ratio}; all traces are kept that begin here"
            )
        collector = self.collector
        if collector is not None and collector.timeout_seconds < _SHORT_SECONDS:
            scope = "" if self.otel_exporter_otlp_traces_timeout is None else "TRACES_"
            doubts.append(
                f"OTEL_EXPORTER_OTLP_{scope}TIMEOUT is in milliseconds: collectors have"
                f" {collector.timeout_seconds:g} seconds to take a batch"
            )
        return doubts

    @property
    def _sampler_kind(self) -> SamplerKind | None:
        """None for one that only others have: the variable is for all programs of a machine."""
        try:
            return SamplerKind(self.otel_traces_sampler)
        except ValueError:
            return None

    @property
    def _asks_for_a_ratio(self) -> bool:
        return self._sampler_kind in {SamplerKind.TRACEIDRATIO, SamplerKind.PARENTBASED_TRACEIDRATIO}

    @property
    def _sampler_ratio(self) -> float | None:
        """None where there is none, or none that is one."""
        try:
            ratio = float(self.otel_traces_sampler_arg or "")
        except ValueError:
            return None
        return ratio if 0 <= ratio <= 1 else None

    @property
    def _wrong_ratio(self) -> str:
        return f"should be a number from 0 to 1, not {brief(self.otel_traces_sampler_arg)}"

    @property
    def collector(self) -> Collector | None:
        """Where spans are exported to; None where nowhere. What is said of traces alone wins."""
        exporters = {name.strip() for name in self.otel_traces_exporter.lower().split(",")}
        endpoint = self.otel_exporter_otlp_traces_endpoint
        if endpoint is None and self.otel_exporter_otlp_endpoint is not None:
            endpoint = self.otel_exporter_otlp_endpoint.removesuffix("/") + TRACES_PATH
        if endpoint is None or self.otel_sdk_disabled or "otlp" not in exporters:
            return None
        timeout_ms = self.otel_exporter_otlp_traces_timeout
        if timeout_ms is None:
            timeout_ms = self.otel_exporter_otlp_timeout
        return Collector(
            endpoint=endpoint,
            headers=pairs(self.otel_exporter_otlp_traces_headers or self.otel_exporter_otlp_headers or ""),
            timeout_seconds=min(timeout_ms / 1_000, TIMEOUT_SECONDS_MAX) or TIMEOUT_SECONDS_MAX,
        )

    @property
    def resource(self) -> Mapping[str, str]:
        """What the spans of this process are of, in OpenTelemetry's words."""
        told = {"service.name": self.app_name} | pairs(self.otel_resource_attributes or "")
        return told | ({"service.name": self.otel_service_name} if self.otel_service_name else {})

    @property
    def retention(self) -> Retention:
        return Retention(
            success=timedelta(seconds=self.job_retention_success),
            canceled=timedelta(seconds=self.job_retention_canceled),
            dead=timedelta(seconds=self.job_retention_dead),
        )

    @model_validator(mode="after")
    def _direct_beside_another(self) -> Self:
        if self.database_direct_url is not None and self.database_url is None:
            raise ValueError("DATABASE_DIRECT_URL leads past a pooler at DATABASE_URL, which is not set")
        return self

    @model_validator(mode="after")
    def _a_ratio(self) -> Self:
        """Where it is asked for. A program that only submits says it to its own samplers, which may know better."""
        wrong = self._asks_for_a_ratio and self.otel_traces_sampler_arg and self._sampler_ratio is None
        if wrong and not self.otel_sdk_disabled:
            raise ValueError(f"OTEL_TRACES_SAMPLER_ARG: {self._wrong_ratio}")
        return self

    @model_validator(mode="after")
    def _one_protocol(self) -> Self:
        protocol = self.otel_exporter_otlp_traces_protocol or self.otel_exporter_otlp_protocol
        if self.collector is not None and protocol not in {None, PROTOCOL}:
            name = "TRACES_PROTOCOL" if self.otel_exporter_otlp_traces_protocol else "PROTOCOL"
            raise ValueError(f"OTEL_EXPORTER_OTLP_{name}: spans go over {PROTOCOL} alone, not {protocol!r}")
        return self

    @model_validator(mode="after")
    def _timeout_above_interval(self) -> Self:
        if self.worker_heartbeat_timeout <= self.worker_heartbeat_interval:
            raise ValueError(
                f"WORKER_HEARTBEAT_TIMEOUT must be greater than WORKER_HEARTBEAT_INTERVAL,"
                f" not {self.worker_heartbeat_timeout:g} <= {self.worker_heartbeat_interval:g}"
            )
        return self


SECRETS = frozenset(
    {
        "database_url", "database_direct_url", "redis_url", "otel_exporter_otlp_headers", "otel_exporter_otlp_traces_headers",
        "otel_exporter_otlp_endpoint", "otel_exporter_otlp_traces_endpoint",
    }
)  # fmt: skip


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

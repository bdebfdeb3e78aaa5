"""``docs/operating.md`` and ``.env.example`` against the settings and the metrics."""

import re
from typing import Any

import annotated_types
import dotenv
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from schedora.adapters.telemetry.prometheus import LABELS
from schedora.adapters.telemetry.renamed_metrics import OLD_NAMES
from schedora.application.ports.metrics import GAUGE_LABELS, Counter, Gauge, Histogram
from schedora.application.telemetry.sampling import SamplerKind
from schedora.domain.job_request import JobRequest
from schedora.entrypoints.api.app import create_app
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.settings import JobLogLevel, LogFormat, LogLevel, Settings, load_settings
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "operating.md"
SETTINGS = {row["variable"].lower(): row for row in table(PAGE, "variable")}

CHOICES = {
    "log_level": LogLevel,
    "log_format": LogFormat,
    "otel_traces_sampler": SamplerKind,
    "job_log_level": JobLogLevel,
}
DERIVED = {"app_version", "schedora_data_dir", "worker_id"}
"""Those whose default is told in words."""


def test_every_setting_is_told() -> None:
    assert list(SETTINGS) == list(Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_default_is_told(name: str) -> None:
    default = Settings.model_fields[name].default
    if name not in DERIVED:
        assert SETTINGS[name]["default"] == ("unset" if default is None else str(default))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_what_is_allowed_is_told(name: str) -> None:
    told = SETTINGS[name]["allowed"]
    bounds: list[Any] = []
    for rule in Settings.model_fields[name].metadata:
        match rule:
            case annotated_types.Ge(ge=bound) | annotated_types.Gt(gt=bound):
                bounds.append(bound)
            case annotated_types.Le(le=bound):
                bounds.append(bound)
            case annotated_types.MinLen(min_length=bound) | annotated_types.MaxLen(max_length=bound):
                bounds.append(bound)
    if bounds:
        assert [int(number) for number in re.findall(r"\d+", told)] == bounds
    assert ("more than 0" in told) == any(
        isinstance(rule, annotated_types.Gt) for rule in Settings.model_fields[name].metadata
    )
    if name in CHOICES:
        assert told.split(", ") == list(CHOICES[name])


def test_the_example_has_every_setting_with_its_default() -> None:
    text = (ROOT / ".env.example").read_text()
    named = re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)
    assert {name.lower() for name in named} == set(Settings.model_fields) - {"app_version"}
    assert len(named) == len(set(named))
    given = {
        name.lower(): value for name, value in dotenv.dotenv_values(ROOT / ".env.example").items() if value
    }
    example = Settings(_env_file=None, **given)  # type: ignore[call-arg,arg-type] # as the environment has it
    assert example == Settings(_env_file=None)  # type: ignore[call-arg] # pydantic-settings' own argument


async def test_the_metrics_are_told_as_they_are() -> None:
    system = build_system(load_settings(), database_url=None)
    await system.submit_jobs([JobRequest(type="echo", idempotency_key="k")])
    for counter in Counter:
        system.metrics.count(counter, "a label")
    for histogram in Histogram:
        system.metrics.observe(
            histogram, tuple("a label" for _ in LABELS[histogram]), [system.clock.monotonic()]
        )
    for gauge in Gauge:
        system.gauges.register(gauge, lambda: 1, tuple("a label" for _ in GAUGE_LABELS[gauge]))
    transport = httpx.ASGITransport(create_app(system))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.get("/health")
        text = (await client.get("/metrics")).text
    exposed = {}
    for family in text_string_to_metric_families(text):
        suffix = "_total" if family.type == "counter" else ""
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        exposed[family.name + suffix] = (family.type, labels)
    told = {
        row["metric"]: (row["type"], set(filter(None, row["labels"].split(", "))))
        for row in table(PAGE, "metric")
    }
    renamed = {row["old name"]: row["name now"] for row in table(PAGE, "old name")}
    assert renamed == {old: new for new, old in OLD_NAMES.items()}
    assert told | {old: told[new] for old, new in renamed.items()} == exposed

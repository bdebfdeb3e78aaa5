"""OpenTelemetry as it is in a program that has just begun: its provider is one for the whole process."""

import pytest
from opentelemetry import trace
from opentelemetry.util._once import Once


@pytest.fixture
def no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())

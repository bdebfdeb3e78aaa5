"""Where spans are exported to, as OpenTelemetry's settings say it."""

import pytest

from schedora.entrypoints.collector import Collector
from schedora.entrypoints.settings import WrongSettings, load_settings

URL = "http://collector:4318"


def collector(**settings: object) -> Collector | None:
    return load_settings(**settings).collector


def test_without_an_endpoint_nothing_is_exported() -> None:
    assert collector() is None


@pytest.mark.parametrize("base", [URL, f"{URL}/"])
def test_the_endpoint_of_all_signals_gets_the_path_of_traces(base: str) -> None:
    assert collector(otel_exporter_otlp_endpoint=base) == Collector(
        endpoint=f"{URL}/v1/traces", headers={}, timeout_seconds=10
    )


def test_what_is_said_of_traces_alone_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ENDPOINT": URL, "TRACES_ENDPOINT": "https://other/spans", "HEADERS": "a=1", "TRACES_HEADERS": "b=2",
        "TIMEOUT": "3000", "TRACES_TIMEOUT": "500", "PROTOCOL": "grpc", "TRACES_PROTOCOL": "http/protobuf",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    assert collector() == Collector(endpoint="https://other/spans", headers={"b": "2"}, timeout_seconds=0.5)


@pytest.mark.parametrize(
    ("given", "seconds"), [("10000", 10), ("1500", 1.5), ("0", 3600), ("inf", 3600), ("86400000", 3600)]
)
@pytest.mark.parametrize("scope", ["", "TRACES_"])
def test_timeouts_are_in_milliseconds_and_none_is_no_limit(
    monkeypatch: pytest.MonkeyPatch, scope: str, given: str, seconds: float
) -> None:
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{scope}TIMEOUT", given)
    settings = load_settings(otel_exporter_otlp_endpoint=URL)
    assert settings.collector is not None
    assert settings.collector.timeout_seconds == seconds
    assert settings.doubts == []


@pytest.mark.parametrize("scope", ["", "TRACES_"])
def test_a_timeout_that_may_be_meant_in_seconds_is_told(monkeypatch: pytest.MonkeyPatch, scope: str) -> None:
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{scope}TIMEOUT", "10")
    assert load_settings().doubts == []  # nothing is exported
    assert load_settings(otel_exporter_otlp_endpoint=URL).doubts == [
        f"OTEL_EXPORTER_OTLP_{scope}TIMEOUT is in milliseconds: collectors have 0.01 seconds to take a batch"
    ]


def test_headers_are_encoded_as_in_urls() -> None:
    told = collector(
        otel_exporter_otlp_endpoint=URL,
        otel_exporter_otlp_headers="authorization=Basic%20abc==, x-team=a%2Cb,",
    )
    assert told is not None
    assert told.headers == {"authorization": "Basic abc==", "x-team": "a,b"}


@pytest.mark.parametrize(
    "off",
    [{"otel_sdk_disabled": True}, {"otel_traces_exporter": "none"}, {"otel_traces_exporter": "console"}],
)
def test_it_can_be_switched_off(off: dict[str, object]) -> None:
    assert collector(otel_exporter_otlp_endpoint=URL, **off) is None
    assert collector(otel_exporter_otlp_endpoint=URL, otel_traces_exporter="console, OTLP") is not None


@pytest.mark.parametrize("scope", ["", "TRACES_"])
def test_another_protocol_stops_the_start_where_spans_are_exported(
    monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{scope}PROTOCOL", "grpc")
    assert collector() is None
    with pytest.raises(
        WrongSettings,
        match=rf"^OTEL_EXPORTER_OTLP_{scope}PROTOCOL: spans go over http/protobuf alone, not 'grpc'$",
    ):
        load_settings(otel_exporter_otlp_endpoint=URL)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("otel_exporter_otlp_endpoint", "collector:4318", "should be a URL like http://localhost:4318"),
        ("otel_exporter_otlp_traces_endpoint", "http://", "should be a URL like http://localhost:4318"),
        ("otel_exporter_otlp_endpoint", "http://[s3cret", "invalid IPv6 URL"),
        ("otel_exporter_otlp_headers", "s3cret", "should be pairs like name=value, with a comma between two"),
        ("otel_exporter_otlp_traces_headers", "=s3cret", "should be pairs like name=value, with a comma between two"),
        ("otel_resource_attributes", "team", "should be pairs like name=value, with a comma between two, not 'team'"),
        ("otel_exporter_otlp_timeout", -1, "input should be greater than or equal to 0, not -1"),
    ],
)  # fmt: skip
def test_what_is_wrong_stops_the_start_with_a_line_that_tells_no_secret(
    name: str, value: object, said: str
) -> None:
    with pytest.raises(WrongSettings) as caught:
        load_settings(**{name: value})
    assert str(caught.value) == f"{name.upper()}: {said}"


def test_the_service_is_called_as_opentelemetry_is_told() -> None:
    assert load_settings().resource == {"service.name": "schedora"}
    given = "service.name=a,team=b%20c"
    assert load_settings(app_name="x", otel_resource_attributes=given).resource == {
        "service.name": "a", "team": "b c",
    }  # fmt: skip
    named = load_settings(otel_resource_attributes=given, otel_service_name="shop")
    assert named.resource == {"service.name": "shop", "team": "b c"}

"""Settings that are wrong."""

import pytest

from schedora.domain.sampling import EVERYTHING, Sampler
from schedora.entrypoints.container.settings import WrongSettings, load_settings


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "rediss://u:p@h:1/2",
        "unix:///run/redis.sock",
        "redis+sentinel://a,b/mine",
        "rediss+sentinel://a,b/mine",
        "redis+cluster://a,b",
        "rediss+cluster://a,b",
    ],
)
def test_each_form_of_redis_url_is_taken(url: str) -> None:
    assert load_settings(redis_url=url).redis_url == url


@pytest.mark.parametrize(
    "url", ["localhost:6379", "http://u:s3cret@h", "redis://u:s3c/ret@h", "redis://u:1?s3cret=1@h"]
)
def test_what_is_no_redis_url_stops_the_start_with_a_line_that_tells_no_secret(url: str) -> None:
    with pytest.raises(WrongSettings) as caught:
        load_settings(redis_url=url)
    said = str(caught.value)
    assert said.startswith("REDIS_URL: a Redis URL looks like redis://host:6379/0")
    assert "\n" not in said
    assert "s3c" not in said


@pytest.mark.parametrize("prefix", ["schedora", "team-a:jobs", "a", "x" * 100])
def test_a_prefix_of_keys(prefix: str) -> None:
    assert load_settings(redis_prefix=prefix).redis_prefix == prefix


@pytest.mark.parametrize("prefix", ["{a}", "a b", "a\n", "ü", "x" * 101])
def test_a_prefix_that_keys_can_not_have(prefix: str) -> None:
    with pytest.raises(WrongSettings, match=r"^REDIS_PREFIX: string should"):
        load_settings(redis_prefix=prefix)


def test_the_sampler_is_named_as_opentelemetry_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().sampler == EVERYTHING
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "ParentBased_TraceIdRatio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    assert load_settings().sampler == Sampler(ratio=0.25, by_parent=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "half"),
    ],
)
def test_a_wrong_sampler_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(WrongSettings, match=rf"^{name}: .*, not '?{value}'?$"):
        load_settings()

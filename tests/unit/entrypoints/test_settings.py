"""Settings that are wrong."""

import pytest

from schedora import Schedora
from schedora.application.telemetry.sampling import EVERYTHING, Sampler
from schedora.entrypoints.settings import WrongSettings, load_settings


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
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "half"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan"),
    ],
)
@pytest.mark.parametrize("sampler", ["traceidratio", "parentbased_traceidratio"])
def test_a_wrong_ratio_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, sampler: str, name: str, value: str
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv(name, value)
    with pytest.raises(WrongSettings, match=rf"^{name}: .*, not '?{value}'?$"):
        load_settings()


@pytest.mark.parametrize("sampler", ["always_on", "xray"])
def test_who_has_no_ratio_may_be_told_something_else(monkeypatch: pytest.MonkeyPatch, sampler: str) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "endpoint=http://agent:5778,pollingIntervalMs=5000")
    assert load_settings().sampler.ratio == 1


def test_a_sampler_that_others_have_is_told_and_all_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().doubts == []
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote")
    settings = load_settings()
    assert settings.sampler == EVERYTHING
    (told,) = settings.doubts
    assert told.startswith(
        "OTEL_TRACES_SAMPLER: Schedora has no sampler 'parentbased_jaeger_remote', and keeps"
    )


def test_a_direct_way_goes_past_something() -> None:
    with pytest.raises(
        WrongSettings, match=r"^DATABASE_DIRECT_URL leads past a pooler at DATABASE_URL, which is not set$"
    ):
        load_settings(database_direct_url="postgresql://localhost/jobs")
    with pytest.raises(WrongSettings, match="DATABASE_DIRECT_URL: a database URL looks like"):
        load_settings(database_url="postgresql://localhost/jobs", database_direct_url="localhost")


def test_a_url_given_in_code_does_not_get_the_direct_way_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://pooler/one")
    monkeypatch.setenv("DATABASE_DIRECT_URL", "postgresql://server/one")
    assert Schedora().settings.database_direct_url == "postgresql://server/one"
    assert Schedora(database_url="postgresql://pooler/two").settings.database_direct_url is None
    own = Schedora(database_url="postgresql://pooler/two", database_direct_url="postgresql://server/two")
    assert own.settings.database_direct_url == "postgresql://server/two"

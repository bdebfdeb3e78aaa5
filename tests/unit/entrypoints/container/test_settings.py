"""Settings that are wrong."""

import pytest

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

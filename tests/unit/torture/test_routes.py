"""URLs lead through a proxy, or it is said why they can't."""

import pytest

from schedora_torture.routes import NoRoute, to_postgres, to_redis


@pytest.mark.parametrize(
    ("url", "through"),
    [
        ("postgresql://u:p%40w@db.example:6543/jobs?sslmode=require",
         "postgresql://u:p%40w@127.0.0.1:7000/jobs?sslmode=require"),
        ("postgresql://schedora@/schedora?host=%2Frun%2Fpg&port=12345", "postgresql://schedora@127.0.0.1:7000/schedora"),
    ],
)  # fmt: skip
def test_a_database_by_way_of_a_port(url: str, through: str) -> None:
    assert to_postgres(url).through(7000) == through


def test_a_redis_by_way_of_a_port() -> None:
    assert to_redis("redis://:secret@there:6380/3").through(7000) == "redis://:secret@127.0.0.1:7000/3"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@a:1,b:2/jobs",
        "postgresql:///jobs",
        "postgresql://u:secret@db/jobs?sslmode=verify-full",
    ],
)
def test_a_database_that_no_proxy_can_stand_before(url: str) -> None:
    with pytest.raises(NoRoute) as refused:
        to_postgres(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["rediss://there", "unix:///redis.sock", "redis+cluster://a:1,b:2"])
def test_a_redis_that_no_proxy_can_stand_before(url: str) -> None:
    with pytest.raises(NoRoute):
        to_redis(url)

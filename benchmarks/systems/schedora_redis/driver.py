"""Schedora with a Redis beside it: the URL is in the environment, as its users have it there."""

from __future__ import annotations

import os

from benchmarks.systems.schedora import driver
from redis import Redis


def setup(url: str) -> None:
    """Make the tables, and leave nothing of others in Redis."""
    driver.setup(url)
    with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        redis.flushdb()


if __name__ == "__main__":
    driver.main(setup=setup)

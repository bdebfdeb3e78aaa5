"""The Redis adapters over those of PostgreSQL as one ``Stores``."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import random

from attrs import evolve

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.intake import PostgresJobIntake
from schedora.adapters.postgres.wakeup import PostgresWakeup
from schedora.adapters.redis.health import RedisHealth
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.wakeup import RedisWakeup
from tests.contract.postgres import postgres_stores
from tests.contract.stores import Stores
from tests.redis.servers import RedisServer

PREFIX = "contract"
NEVER = -1
"""What PTTL answers for a key that does not expire."""


def redis_stores(database: Database, link: RedisLink) -> Stores:
    stores = postgres_stores(database)
    wakeup = RedisWakeup(link, otherwise=PostgresWakeup(database), unit_random=random)
    return evolve(stores, wakeup=wakeup, intake=PostgresJobIntake(database, wakeup), health=RedisHealth(link))


@contextmanager
def emptied(server: RedisServer) -> Iterator[None]:
    """Nothing is there at first; what is there in the end is ours and goes away by itself."""
    server.empty()
    yield
    keys = server.ask("KEYS", "*")
    assert [key for key in keys if not key.startswith(f"{{{PREFIX}}}:")] == []
    assert [key for key in keys if server.ask("PTTL", key) == NEVER] == []

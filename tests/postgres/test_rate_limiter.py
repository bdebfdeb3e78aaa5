"""Token buckets in PostgreSQL: who waits for whom, what is found by which index, and what is left behind."""

import asyncio
import sys
from datetime import datetime, timedelta

import psycopg
import pytest

from schedora.adapters.postgres import rate_limiter
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.rate_limiter import PostgresRateLimiter
from schedora.adapters.postgres.statements import written
from schedora.application.errors import LockConflict
from schedora.domain.limits import RateLimit, Take, TokenRequest
from tests.builders import HOUR, SECOND
from tests.contract.postgres import postgres_stores
from tests.postgres.explained import Explaining, named_indexes
from tests.programs import PATIENCE_SECONDS, unconfigured_environment

HOURLY = RateLimit(tokens=1, per=HOUR, burst=3)
NOW = written("select clock_timestamp() as now")
KEPT = written("select b.name from token_buckets b order by b.name")


def request(*buckets: str, tokens: int = 1, limit: RateLimit = HOURLY) -> TokenRequest:
    return TokenRequest(tuple(Take(bucket=bucket, limit=limit, tokens=tokens) for bucket in buckets))


async def kept(database: Database) -> list[str]:
    return [row["name"] for row in await database.fetch(KEPT)]


async def now(database: Database) -> datetime:
    (row,) = await database.fetch(NOW)
    instant: datetime = row["now"]
    return instant


async def a_waiting(connection: psycopg.AsyncConnection) -> None:
    """Returns once somebody waits for a lock."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            cursor = await connection.execute("select from pg_locks where not granted")
            if await cursor.fetchall():
                return


async def test_full_buckets_are_removed_after_a_while_as_many_as_asked_for(database: Database) -> None:
    stores = postgres_stores(database)
    await stores.rate_limiter.take([request("a"), request("b"), request("c"), request("d", tokens=3)])
    await stores.age_buckets(HOUR + timedelta(seconds=30))
    assert await stores.rate_limiter.prune(limit=10) == 0, "not at once"
    await stores.age_buckets(timedelta(seconds=31))
    assert await stores.rate_limiter.prune(limit=1) == 1
    assert len(await kept(database)) == 3
    assert await stores.rate_limiter.prune(limit=10) == 2
    assert await kept(database) == ["d"]


async def test_a_bucket_in_use_is_left_for_later(database: Database, migrated_url: str) -> None:
    stores = postgres_stores(database)
    await stores.rate_limiter.take([request("a")])
    await stores.age_buckets(2 * HOUR)
    async with await psycopg.AsyncConnection.connect(migrated_url) as other:
        await other.execute("select from token_buckets for update")
        assert await stores.rate_limiter.prune(limit=10) == 0
    assert await stores.rate_limiter.prune(limit=10) == 1


async def test_who_waited_for_a_bucket_goes_by_the_time_after_it(
    database: Database, migrated_url: str
) -> None:
    """And not by that of its question, when it had a token less."""
    limit = RateLimit(tokens=1, per=timedelta(milliseconds=50), burst=1)
    limiter = PostgresRateLimiter(database)
    await limiter.take([request("a", limit=limit)])
    async with (
        await psycopg.AsyncConnection.connect(migrated_url) as other,
        await psycopg.AsyncConnection.connect(migrated_url, autocommit=True) as watching,
    ):
        await other.execute("update token_buckets set full_at = clock_timestamp() + interval '50 ms'")
        asked = asyncio.create_task(limiter.take([request("a", limit=limit)]))
        await a_waiting(watching)
        await other.execute("select pg_sleep_until(full_at) from token_buckets")
        await other.commit()
        [decision] = await asked
    assert decision.granted


@pytest.mark.parametrize("pooled", [False, True])
async def test_who_comes_second_to_a_new_bucket_sees_what_the_first_has_left(
    migrated_url: str, pooled: bool
) -> None:
    async with Database(migrated_url, pooled=pooled) as database:
        await _come_second(PostgresRateLimiter(database), migrated_url)


async def _come_second(limiter: PostgresRateLimiter, migrated_url: str) -> None:
    async with (
        await psycopg.AsyncConnection.connect(migrated_url) as first,
        await psycopg.AsyncConnection.connect(migrated_url, autocommit=True) as watching,
    ):
        # As the first does: two of three tokens.
        await first.execute(
            "insert into token_buckets (name, full_at, rest) values ('b', now() + interval '2 hours', 0)"
        )
        asked = asyncio.create_task(limiter.take([request("a"), request("a", "b"), request("b")]))
        await a_waiting(watching)
        await first.commit()
        assert [decision.granted for decision in await asked] == [True, True, False]
    [decision] = await limiter.take([request("a", tokens=2)])
    assert not decision.granted, "what failed in between took nothing"
    [decision] = await limiter.take([request("a")])
    assert decision.granted


async def test_when_a_bucket_goes_meanwhile_it_is_full(database: Database, migrated_url: str) -> None:
    limiter = PostgresRateLimiter(database)
    await limiter.take([request("a", tokens=3)])
    async with (
        await psycopg.AsyncConnection.connect(migrated_url) as other,
        await psycopg.AsyncConnection.connect(migrated_url, autocommit=True) as watching,
    ):
        await other.execute("delete from token_buckets")
        asked = asyncio.create_task(limiter.take([request("a", tokens=3)]))
        await a_waiting(watching)
        await other.commit()
        [decision] = await asked
    assert decision.granted
    assert await kept(database) == ["a"]


async def test_tries_have_an_end(database: Database, migrated_url: str) -> None:
    """A row that no statement can see, and that stands in the way of all."""
    async with await psycopg.AsyncConnection.connect(migrated_url, autocommit=True) as connection:
        await connection.execute("""
            create function taken() returns trigger language plpgsql as $$
            begin
                raise unique_violation;
            end
            $$;
            create trigger taken before insert on token_buckets for each row execute function taken();
        """)
    with pytest.raises(LockConflict, match=f"{rate_limiter.ATTEMPTS_MAX} times in a row"):
        await PostgresRateLimiter(database).take([request("a")])


async def test_buckets_are_found_by_their_names_among_many(database: Database, migrated_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(migrated_url, autocommit=True) as connection:
        await connection.execute("""
            insert into token_buckets (name, full_at, rest)
            select 'b' || n, now() + interval '1 hour', 0 from generate_series(1, 20000) n
        """)
        await connection.execute("vacuum analyze token_buckets")
    explaining = Explaining(migrated_url, database)
    limiter = PostgresRateLimiter(explaining)  # type: ignore[arg-type] # needs no more
    await limiter.take([request("b1", "b2"), request("b3", "new"), request("b1")])
    assert explaining.plan.indexes("token_buckets") == named_indexes("take_tokens") == {"token_buckets_pkey"}
    assert explaining.plan.reads(6, "token_buckets"), "each twice: to lock it, and to write it"


TAKER = """
import asyncio, sys
from datetime import timedelta
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.rate_limiter import PostgresRateLimiter
from schedora.domain.limits import RateLimit, Take, TokenRequest

async def main(url, tokens, burst, count):
    limit = RateLimit(tokens=int(tokens), per=timedelta(seconds=1), burst=int(burst))
    request = TokenRequest((Take(bucket="b", limit=limit), Take(bucket="a", limit=limit)))
    async with Database(url) as database:
        limiter = PostgresRateLimiter(database)
        async def taking():
            return sum([(await limiter.take([request]))[0].granted for _ in range(int(count))])
        print(sum(await asyncio.gather(*(taking() for _ in range(4)))))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_together_get_no_more_than_burst_and_what_came(
    database: Database, migrated_url: str
) -> None:
    began = await now(database)
    takers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", TAKER, migrated_url, "500", "10", "100",
            stdout=asyncio.subprocess.PIPE, env=unconfigured_environment(),
        )
        for _ in range(2)
    ]  # fmt: skip
    answers = [await taker.communicate() for taker in takers]
    assert [taker.returncode for taker in takers] == [0, 0]
    span = await now(database) - began
    total = sum(int(out) for out, _ in answers)
    assert 10 <= total <= 10 + 500 * (span / SECOND)

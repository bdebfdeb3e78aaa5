"""The database of a case: its gate, a snapshot held in it, and what it says it has spent."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from benchmarks.postgres import Database, Server


@pytest.fixture
def database(postgres_server_url: str) -> Iterator[Database]:
    with Server(url=postgres_server_url).database() as made:
        with psycopg.connect(made.url) as connection:
            connection.execute("CREATE TABLE jobs AS SELECT generate_series(1, 100) AS n")
        yield made


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        (found,) = connection.execute("SELECT count(*) FROM jobs").fetchone() or (0,)
        return int(found)


def test_nobody_passes_the_gate_before_it_opens(database: Database) -> None:
    with ThreadPoolExecutor(2) as threads, database.closed(["jobs"]) as gate:
        waiting = [threads.submit(count, database.url) for _ in range(2)]
        gate.wait_for(2, seconds_max=60)
        assert not any(one.done() for one in waiting)
        gate.open()
        assert [one.result() for one in waiting] == [100, 100]


def test_the_gate_tells_when_too_few_come(database: Database) -> None:
    with database.closed(["jobs"]) as gate, pytest.raises(TimeoutError, match="1 workers should wait"):
        gate.wait_for(1, seconds_max=0)


def test_the_gate_opens_when_it_is_left(database: Database) -> None:
    with database.closed(["jobs"]):
        pass
    assert count(database.url) == 100


def test_what_is_deleted_under_a_held_snapshot_cannot_be_removed(database: Database) -> None:
    with database.snapshot_held(), psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("DELETE FROM jobs")
        connection.execute("VACUUM jobs")
        assert connection.execute("SELECT pg_relation_size('jobs')").fetchone() != (0,)
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("VACUUM jobs")
        assert connection.execute("SELECT pg_relation_size('jobs')").fetchone() == (0,)


def test_spending_is_what_was_written_and_left_dead(database: Database) -> None:
    before = database.spending()
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE jobs SET n = n + 1 WHERE n <= 10")
        connection.execute("DELETE FROM jobs WHERE n > 90")
    spent = database.spending().since(before)
    assert (spent.rows_left_dead, spent.updates) == (10 + 10, 10)
    assert 0 <= spent.hot_updates <= 10
    assert spent.wal_bytes > 0

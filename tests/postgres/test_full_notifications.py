"""A server whose queue of notifications is full: hints are lost, and nothing else."""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import asyncpg
import psycopg
import pytest

from schedora import Schedora
from schedora.adapters.postgres.embedded import start_embedded
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_writer import PostgresJobWriter
from schedora.adapters.postgres.jobs import PostgresJobStore
from schedora.adapters.postgres.upgrade import migrate
from schedora.adapters.postgres.wakeup import PostgresWakeup
from tests.builders import a_new_job, a_request
from tests.contract.postgres import postgres_stores
from tests.postgres.connections import held_listener_lock
from tests.programs import until

LARGE = "x" * 7_900
SMALLEST = {"fsync": "off", "max_notify_queue_pages": "64"}


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of these tests' own, for its queue is that of all its databases."""
    server = start_embedded(tmp_path_factory.mktemp("full"), SMALLEST)
    migrate(server.url)
    yield server.url
    server.release()


@pytest.fixture
def full(server_url: str) -> Iterator[None]:
    """Somebody listens and has left a transaction open; others have told of much since."""
    with psycopg.connect(server_url) as listening, psycopg.connect(server_url, autocommit=True) as telling:
        listening.execute("listen anything")
        listening.commit()
        listening.execute("select")
        assert usage(telling) == 0.0, "to ask lets the server forget what was told in the test before"
        with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="too many notifications"):
            tell_without_end(telling)
        assert usage(telling) > 0.9
        yield
        pid = listening.info.backend_pid
        listening.close()
        session = "select from pg_stat_activity where pid = %s"
        until(lambda: not telling.execute(session, [pid]).fetchall(), "the server to notice its end")


def usage(connection: "psycopg.Connection[tuple[float]]") -> float:
    row = connection.execute("select pg_notification_queue_usage()").fetchone()
    assert row is not None
    return row[0]


def tell_without_end(connection: "psycopg.Connection[tuple[object]]") -> None:
    for number in count():
        connection.execute("select pg_notify('anything', %s)", [f"{number} {LARGE}"])


@pytest.fixture
async def database(server_url: str) -> AsyncIterator[Database]:
    async with Database(server_url) as opened:
        yield opened


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("many", [1, 2])
async def test_jobs_are_accepted(database: Database, many: int) -> None:
    job_writer = PostgresJobWriter(database, PostgresWakeup(database))
    await job_writer.add([a_new_job()])  # of a queue that is new, where it was
    fresh = PostgresJobWriter(database, PostgresWakeup(database))
    submissions = await fresh.add([a_new_job() for _ in range(many)])
    assert [submission.created for submission in submissions] == [True] * many


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("queues", ["a", "ab"])
async def test_statements_with_a_hint_leave_it_out(database: Database, queues: str) -> None:
    jobs = [a_new_job(a_request(queue=queue)) for queue in queues]
    submissions = await PostgresJobStore(database).add(jobs, hint="{}")
    assert all(submission.created for submission in submissions)


@pytest.mark.usefixtures("full")
async def test_no_job_is_matched_for_nobody_could_be_told(database: Database) -> None:
    stores = postgres_stores(database)
    await stores.queues.resume("default")  # it is known
    worker = await stores.worker()
    new = a_new_job()
    async with held_listener_lock(database._url, worker.incarnation):
        added = await PostgresJobStore(database).add_sync_matched(new, worker.incarnation)
    assert added is not None
    assert not added.matched
    assert new.job_id in {job.job_id for job in await stores.claim(worker)}


@pytest.mark.usefixtures("full")
async def test_a_callers_own_transaction_commits(server_url: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        async with Schedora(database_url=server_url) as app:
            async with connection.transaction():
                job = await app.submit("echo", connection=connection)
            assert (await app.get_job(job.job_id)).status == "PENDING"
    finally:
        await connection.close()

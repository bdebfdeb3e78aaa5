"""Trails in PostgreSQL: what outlives its job is swept away."""

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.run_logs import PostgresRunLogs
from schedora.adapters.postgres.statements import written
from schedora.domain.ids import JobId
from tests.builders import a_job_id
from tests.contract.postgres import postgres_stores
from tests.contract.test_run_logs import a_run_log

STRAY = written("""
insert into trails (job_id, token, attempt, worker_id, lines, lines_dropped, spans, spans_dropped)
values (:job_id::uuid, 1, 1, 'w1', '', 0, '', 0)
""")
LEFT = written("select t.job_id from trails t order by t.job_id")


async def left(database: Database) -> list[JobId]:
    return [row["job_id"] for row in await database.fetch(LEFT)]


async def test_what_outlived_its_job_is_swept_away_in_steps(database: Database) -> None:
    stores, run_logs = postgres_stores(database), PostgresRunLogs(database)
    job = await stores.submit_one()
    await run_logs.keep([a_run_log(job.job_id)])
    for _ in range(5):
        await database.fetch(STRAY, job_id=a_job_id())
    removed = [await run_logs.prune(limit=2) for _ in range(4)]
    assert sum(removed) == 5
    assert max(removed) <= 2
    assert await left(database) == [job.job_id]


async def test_the_sweep_starts_over(database: Database) -> None:
    run_logs = PostgresRunLogs(database)
    await database.fetch(STRAY, job_id=a_job_id())
    assert await run_logs.prune(limit=10) == 1
    await database.fetch(STRAY, job_id=a_job_id())
    assert await run_logs.prune(limit=10) == 1
    assert await left(database) == []


async def test_one_walks_at_a_time(database: Database) -> None:
    run_logs = PostgresRunLogs(database)
    await run_logs.prune(limit=10)
    await database.fetch(STRAY, job_id=a_job_id())
    other = await database.connect()
    try:
        async with other.transaction():
            await other.execute("select from sweeps where name = 'trails' for update")
            assert await run_logs.prune(limit=10) == 0
    finally:
        await other.close()
    assert await run_logs.prune(limit=10) == 1

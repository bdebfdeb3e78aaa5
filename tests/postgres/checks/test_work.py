"""Workers, and what waits for them."""

from schedora.adapters.postgres.engine import Database
from schedora.domain.worker import WorkerState
from tests.contract.postgres import postgres_stores
from tests.contract.stores import EXPECTED
from tests.postgres.checks.looking import Connection, checked, codes, examined, in_transaction


async def test_many_lost_workers_hide_none_that_lives(url: str, admin: Connection) -> None:
    admin.execute(
        "insert into workers (incarnation, worker_id, hostname, pid, version, max_concurrent_jobs, queues, types, status,"
        " registered_at, last_heartbeat) select gen_random_uuid(), 'gone', 'h', 1, '', 1, '{}', '{}', 'STALE', now(),"
        " now() - interval '1 minute' from generate_series(1, 1000)"
    )
    async with Database(url) as database:
        stores = postgres_stores(database)
        await stores.worker(version=EXPECTED.version)
        await stores.submit_one()
    assert set(await codes(url)) == {"worker_stale"}


async def test_workers_are_told_of_where_it_cannot_be_seen_what_waits(url: str) -> None:
    async with Database(url) as database:
        stores = postgres_stores(database)
        worker = await stores.worker(version=EXPECTED.version)
        await stores.workers.set_status([worker.incarnation], WorkerState.STALE)
    with in_transaction(url, "lock table job_ready in access exclusive mode"):
        work = checked(await examined(url), "work")
    assert [finding.code for finding in work.findings] == ["worker_stale"]
    assert "it can't be seen what waits" in str(work.not_done)

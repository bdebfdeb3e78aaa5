"""What runs leave beside their outcomes, kept with their jobs."""

import attrs

from schedora.domain.ids import JobId, JsonText, LeaseToken, WorkerId
from schedora.domain.outcome import Succeeded
from schedora.domain.run_log import RUNS_MAX, RunLog
from tests.builders import a_job_id
from tests.contract.stores import Stores
from tests.contract.test_records import AT_ONCE, ended

LINE = JsonText('{"message": "a \\"line\\"\\n\\u0000 \\ud800 Ω"}')


def a_run_log(
    job_id: JobId, token: int = 1, *lines: str, spans: tuple[str, ...] = (), dropped: int = 0
) -> RunLog:
    return RunLog(
        job_id=job_id,
        lease_token=LeaseToken(token),
        attempt=token,
        worker_id=WorkerId("w1"),
        lines=tuple(map(JsonText, lines)),
        lines_dropped=dropped,
        spans=tuple(map(JsonText, spans)),
        spans_dropped=dropped + 1,
    )


async def test_nothing_is_there_at_first(stores: Stores) -> None:
    job = await stores.submit_one()
    assert await stores.kept_run_logs(job.job_id) == ()
    assert await stores.kept_run_logs(a_job_id()) == ()
    assert await stores.run_logs.spans_of([job.job_id]) == {}
    await stores.run_logs.keep([])


async def test_what_is_kept_is_told_as_it_was(stores: Stores) -> None:
    one, other = await stores.submit_one(), await stores.submit_one()
    kept = [a_run_log(one.job_id, 1, LINE, "{}", spans=(LINE,), dropped=7), a_run_log(other.job_id, 1)]
    await stores.run_logs.keep(kept)
    assert await stores.kept_run_logs(one.job_id) == (kept[0],)
    assert await stores.run_logs.spans_of([one.job_id, other.job_id]) == {
        one.job_id: (attrs.evolve(kept[0], lines=()),),
        other.job_id: (kept[1],),
    }


async def test_a_run_has_one_run_log_the_newest(stores: Stores) -> None:
    job = await stores.submit_one()
    await stores.run_logs.keep([a_run_log(job.job_id, 1, '{"n": 1}')])
    longer = a_run_log(job.job_id, 1, '{"n": 1}', '{"n": 2}', spans=('{"s": 1}',), dropped=1)
    await stores.run_logs.keep([longer])
    assert await stores.kept_run_logs(job.job_id) == (longer,)


async def test_runs_are_told_in_their_order(stores: Stores) -> None:
    job = await stores.submit_one()
    second, first = a_run_log(job.job_id, 2, '{"n": 2}'), a_run_log(job.job_id, 1, '{"n": 1}')
    await stores.run_logs.keep([second])
    await stores.run_logs.keep([first])
    assert await stores.kept_run_logs(job.job_id) == (first, second)


async def test_old_runs_are_forgotten(stores: Stores) -> None:
    job, other = await stores.submit_one(), await stores.submit_one()
    await stores.run_logs.keep([a_run_log(other.job_id, 1)])
    for token in range(1, RUNS_MAX + 4):
        await stores.run_logs.keep([a_run_log(job.job_id, token)])
    kept = await stores.kept_run_logs(job.job_id)
    assert [run_log.lease_token for run_log in kept] == list(range(4, RUNS_MAX + 4))
    assert len(await stores.kept_run_logs(other.job_id)) == 1


async def test_nothing_is_kept_of_a_job_that_is_gone(stores: Stores) -> None:
    job, gone = await stores.submit_one(), a_job_id()
    await stores.run_logs.keep([a_run_log(gone), a_run_log(job.job_id)])
    assert await stores.run_logs.spans_of([gone, job.job_id]) == {job.job_id: (a_run_log(job.job_id),)}


async def test_run_logs_go_with_their_job(stores: Stores) -> None:
    job = await ended(stores, Succeeded())
    await stores.run_logs.keep([a_run_log(job.job_id)])
    assert len(await stores.kept_run_logs(job.job_id)) == 1
    assert (await stores.records.prune_jobs(AT_ONCE, limit=100)).jobs == 1
    assert await stores.kept_run_logs(job.job_id) == ()


async def test_run_logs_go_with_a_job_that_is_deleted(stores: Stores) -> None:
    job = await stores.submit_one()
    await stores.run_logs.keep([a_run_log(job.job_id)])
    await stores.cancel(job.job_id)
    async with stores.units.begin() as unit:
        await unit.jobs.lock([job.job_id])
        await unit.jobs.delete([job.job_id])
    assert await stores.kept_run_logs(job.job_id) == ()


async def test_pruning_leaves_what_has_a_job(stores: Stores) -> None:
    jobs = [await stores.submit_one() for _ in range(5)]
    await stores.run_logs.keep([a_run_log(job.job_id) for job in jobs])
    for _ in range(6):
        assert await stores.run_logs.prune(limit=2) == 0
    assert len(await stores.run_logs.spans_of([job.job_id for job in jobs])) == len(jobs)


async def test_a_later_run_of_another_worker_stands_apart(stores: Stores) -> None:
    job = await stores.submit_one()
    first = a_run_log(job.job_id, 1, "{}")
    second = attrs.evolve(a_run_log(job.job_id, 2, "{}"), worker_id=WorkerId("w2"))
    await stores.run_logs.keep([first, second])
    assert await stores.kept_run_logs(job.job_id) == (first, second)

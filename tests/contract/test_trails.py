"""What runs leave beside their outcomes, kept with their jobs."""

import attrs

from schedora.domain.ids import JobId, JsonText, LeaseToken, WorkerId
from schedora.domain.outcome import Succeeded
from schedora.domain.trail import RUNS_MAX, Trail
from tests.builders import a_job_id
from tests.contract.stores import Stores
from tests.contract.test_records import AT_ONCE, ended

LINE = JsonText('{"message": "a \\"line\\"\\n\\u0000 \\ud800 Ω"}')


def a_trail(
    job_id: JobId, token: int = 1, *lines: str, spans: tuple[str, ...] = (), dropped: int = 0
) -> Trail:
    return Trail(
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
    assert await stores.kept_trails(job.job_id) == ()
    assert await stores.kept_trails(a_job_id()) == ()
    assert await stores.trails.spans_of([job.job_id]) == {}
    await stores.trails.keep([])


async def test_what_is_kept_is_told_as_it_was(stores: Stores) -> None:
    one, other = await stores.submit_one(), await stores.submit_one()
    kept = [a_trail(one.job_id, 1, LINE, "{}", spans=(LINE,), dropped=7), a_trail(other.job_id, 1)]
    await stores.trails.keep(kept)
    assert await stores.kept_trails(one.job_id) == (kept[0],)
    assert await stores.trails.spans_of([one.job_id, other.job_id]) == {
        one.job_id: (attrs.evolve(kept[0], lines=()),),
        other.job_id: (kept[1],),
    }


async def test_a_run_has_one_trail_the_newest(stores: Stores) -> None:
    job = await stores.submit_one()
    await stores.trails.keep([a_trail(job.job_id, 1, '{"n": 1}')])
    longer = a_trail(job.job_id, 1, '{"n": 1}', '{"n": 2}', spans=('{"s": 1}',), dropped=1)
    await stores.trails.keep([longer])
    assert await stores.kept_trails(job.job_id) == (longer,)


async def test_runs_are_told_in_their_order(stores: Stores) -> None:
    job = await stores.submit_one()
    second, first = a_trail(job.job_id, 2, '{"n": 2}'), a_trail(job.job_id, 1, '{"n": 1}')
    await stores.trails.keep([second])
    await stores.trails.keep([first])
    assert await stores.kept_trails(job.job_id) == (first, second)


async def test_old_runs_are_forgotten(stores: Stores) -> None:
    job, other = await stores.submit_one(), await stores.submit_one()
    await stores.trails.keep([a_trail(other.job_id, 1)])
    for token in range(1, RUNS_MAX + 4):
        await stores.trails.keep([a_trail(job.job_id, token)])
    kept = await stores.kept_trails(job.job_id)
    assert [trail.lease_token for trail in kept] == list(range(4, RUNS_MAX + 4))
    assert len(await stores.kept_trails(other.job_id)) == 1


async def test_nothing_is_kept_of_a_job_that_is_gone(stores: Stores) -> None:
    job, gone = await stores.submit_one(), a_job_id()
    await stores.trails.keep([a_trail(gone), a_trail(job.job_id)])
    assert await stores.trails.spans_of([gone, job.job_id]) == {job.job_id: (a_trail(job.job_id),)}


async def test_trails_go_with_their_job(stores: Stores) -> None:
    job = await ended(stores, Succeeded())
    await stores.trails.keep([a_trail(job.job_id)])
    assert len(await stores.kept_trails(job.job_id)) == 1
    assert (await stores.records.prune_jobs(AT_ONCE, limit=100)).jobs == 1
    assert await stores.kept_trails(job.job_id) == ()


async def test_trails_go_with_a_job_that_is_deleted(stores: Stores) -> None:
    job = await stores.submit_one()
    await stores.trails.keep([a_trail(job.job_id)])
    await stores.cancel(job.job_id)
    async with stores.units.begin() as unit:
        await unit.jobs.lock([job.job_id])
        await unit.jobs.delete([job.job_id])
    assert await stores.kept_trails(job.job_id) == ()


async def test_pruning_leaves_what_has_a_job(stores: Stores) -> None:
    jobs = [await stores.submit_one() for _ in range(5)]
    await stores.trails.keep([a_trail(job.job_id) for job in jobs])
    for _ in range(6):
        assert await stores.trails.prune(limit=2) == 0
    assert len(await stores.trails.spans_of([job.job_id for job in jobs])) == len(jobs)


async def test_a_later_run_of_another_worker_stands_apart(stores: Stores) -> None:
    job = await stores.submit_one()
    first = a_trail(job.job_id, 1, "{}")
    second = attrs.evolve(a_trail(job.job_id, 2, "{}"), worker_id=WorkerId("w2"))
    await stores.trails.keep([first, second])
    assert await stores.kept_trails(job.job_id) == (first, second)

"""The register of workers and their heartbeats."""

from datetime import timedelta

import attrs
import pytest

from schedora.domain.ids import WorkerId
from schedora.domain.outcome import Succeeded, WorkerLost
from schedora.domain.worker import LIVE, WorkerState
from schedora.domain.worker_death import WorkerDeath
from tests.builders import HOUR, SECOND, a_job_id, a_request, an_identity, an_incarnation
from tests.contract.stores import Stores

AT_ONCE = timedelta(0)


async def test_registered_worker_is_active_and_told_whole(stores: Stores) -> None:
    before = await stores.now()
    identity = an_identity(
        worker_id=WorkerId("Ω"),
        hostname="h",
        pid=2**31 - 1,
        version="1.2",
        max_concurrent_jobs=10_000,
        queues=("a", "b"),
        types=("y", "x"),
    )
    incarnation = an_incarnation()
    worker = await stores.workers.register(identity, incarnation)
    assert (worker.identity, worker.incarnation) == (identity, incarnation)
    assert worker.status is WorkerState.ACTIVE
    assert before <= worker.registered_at == worker.last_heartbeat <= await stores.now()
    assert (worker.cpu_percent, worker.memory_percent, worker.running_jobs) == (None, None, 0)
    assert await stores.workers.named(WorkerId("Ω")) == [worker]
    assert await stores.workers.registered() == [worker]


@pytest.mark.parametrize("status", WorkerState)
async def test_registering_again_renews(stores: Stores, status: WorkerState) -> None:
    first = await stores.worker()
    await stores.workers.set_status([first.incarnation], status)
    again = await stores.workers.register(an_identity(version="2"), first.incarnation)
    assert (again.status, again.identity.version) == (WorkerState.ACTIVE, "2")
    assert again.registered_at == first.registered_at
    assert again.last_heartbeat > first.last_heartbeat
    assert await stores.workers.registered() == [again]


@pytest.mark.parametrize("status", WorkerState)
async def test_beat_is_noted_of_the_living_only(stores: Stores, status: WorkerState) -> None:
    worker = await stores.worker()
    await stores.workers.set_status([worker.incarnation], status)
    answer = await stores.workers.beat(worker.incarnation, cpu_percent=12.5, memory_percent=0.25)
    assert answer is status
    [seen] = await stores.workers.named(WorkerId("w1"))
    assert seen.status is status
    if status in LIVE:
        assert (seen.cpu_percent, seen.memory_percent) == (12.5, 0.25)
        assert seen.last_heartbeat > worker.last_heartbeat
        await stores.workers.beat(worker.incarnation, cpu_percent=None, memory_percent=None)
        [seen] = await stores.workers.named(WorkerId("w1"))
        assert (seen.cpu_percent, seen.memory_percent) == (None, None)
    else:
        assert seen == attrs.evolve(worker, status=status)


async def test_beat_of_a_stranger_is_answered_with_none(stores: Stores) -> None:
    assert await stores.workers.beat(an_incarnation(), cpu_percent=1.0, memory_percent=1.0) is None


async def test_status_is_set_for_those_named(stores: Stores) -> None:
    one, two, three = [await stores.worker(worker_id=WorkerId(name)) for name in "abc"]
    await stores.workers.set_status(
        [one.incarnation, three.incarnation, an_incarnation()], WorkerState.DRAINING
    )
    await stores.workers.set_status([], WorkerState.STOPPED)
    states = {worker.incarnation: worker.status for worker in await stores.workers.registered()}
    assert states == {
        one.incarnation: WorkerState.DRAINING,
        two.incarnation: WorkerState.ACTIVE,
        three.incarnation: WorkerState.DRAINING,
    }


async def test_incarnations_under_one_name_are_told_newest_first(stores: Stores) -> None:
    older, newer = await stores.worker(), await stores.worker()
    await stores.worker(worker_id=WorkerId("other"))
    assert await stores.workers.named(WorkerId("w1")) == [newer, older]
    assert await stores.workers.named(WorkerId("nobody")) == []


async def test_registered_may_be_filtered_by_status(stores: Stores) -> None:
    workers = [await stores.worker(worker_id=WorkerId(name)) for name in "abc"]
    await stores.workers.set_status([workers[0].incarnation], WorkerState.STALE)
    await stores.workers.set_status([workers[1].incarnation], WorkerState.STOPPED)

    async def names(*states: WorkerState) -> list[str]:
        return [worker.identity.worker_id for worker in await stores.workers.registered(states)]

    assert await names() == ["c", "b", "a"]
    assert await names(WorkerState.STALE) == ["a"]
    assert await names(WorkerState.STALE, WorkerState.STOPPED) == ["b", "a"]
    assert await names(WorkerState.DRAINING) == []


async def test_running_jobs_are_the_leases(stores: Stores) -> None:
    await stores.submit(a_request(), a_request())
    worker = await stores.worker()
    claim, _ = await stores.claim(worker, start_count=0)
    assert [one.running_jobs for one in await stores.workers.registered()] == [2]
    assert await stores.complete(claim, WorkerLost(message="silence"))
    assert [one.running_jobs for one in await stores.workers.named(WorkerId("w1"))] == [1]


@pytest.mark.parametrize("status", WorkerState)
async def test_only_the_living_are_silent(stores: Stores, status: WorkerState) -> None:
    worker = await stores.worker(worker_id=WorkerId("Ω"))
    await stores.workers.set_status([worker.incarnation], status)
    assert await stores.workers.silent(HOUR) == []
    before = await stores.now()
    silent = await stores.workers.silent(AT_ONCE)
    after = await stores.now()
    expected = [(worker.incarnation, "Ω")] if status in LIVE else []
    assert [(one.incarnation, one.worker_id) for one in silent] == expected
    for one in silent:
        assert before - worker.last_heartbeat <= one.silent_for <= after - worker.last_heartbeat


async def test_watch_lasts_until_there_is_a_gap(stores: Stores) -> None:
    assert await stores.workers.watch(HOUR) == AT_ONCE
    began = await stores.now()
    first = await stores.workers.watch(HOUR)
    second = await stores.workers.watch(HOUR)
    assert AT_ONCE < first < second
    assert second <= (await stores.now()) - began + SECOND
    assert await stores.workers.watch(AT_ONCE) == AT_ONCE, "any pause is longer than that"
    assert await stores.workers.watch(HOUR) < second


async def test_the_silent_come_in_the_order_of_their_incarnations(stores: Stores) -> None:
    workers = [await stores.worker() for _ in range(5)]
    silent = [one.incarnation for one in await stores.workers.silent(AT_ONCE)]
    assert silent == sorted(worker.incarnation for worker in workers)


@pytest.mark.parametrize("status", WorkerState)
async def test_only_the_silent_living_are_declared_stale(stores: Stores, status: WorkerState) -> None:
    worker = await stores.worker()
    named = [worker.incarnation, an_incarnation()]
    await stores.workers.set_status([worker.incarnation], status)
    assert await stores.workers.declare_stale(named, HOUR) == []
    stale = await stores.workers.declare_stale(named, AT_ONCE)
    assert [one.incarnation for one in stale] == ([worker.incarnation] if status in LIVE else [])
    assert all(one.status is WorkerState.STALE for one in stale)
    assert await stores.workers.declare_stale(named, AT_ONCE) == []
    [seen] = await stores.workers.registered()
    assert seen.status is (WorkerState.STALE if status in LIVE else status)


async def test_nobody_is_declared_stale_who_is_not_named(stores: Stores) -> None:
    one, other = await stores.worker(), await stores.worker()
    assert await stores.workers.declare_stale([], AT_ONCE) == []
    stale = await stores.workers.declare_stale([other.incarnation], AT_ONCE)
    assert [worker.incarnation for worker in stale] == [other.incarnation]
    states = {worker.incarnation: worker.status for worker in await stores.workers.registered()}
    assert states == {one.incarnation: WorkerState.ACTIVE, other.incarnation: WorkerState.STALE}


@pytest.mark.parametrize("status", WorkerState)
async def test_only_the_gone_are_pruned(stores: Stores, status: WorkerState) -> None:
    worker = await stores.worker()
    await stores.workers.set_status([worker.incarnation], status)
    assert await stores.workers.prune(HOUR) == 0
    assert await stores.workers.prune(AT_ONCE) == (status not in LIVE)
    assert len(await stores.workers.registered()) == (status in LIVE)


async def test_holder_of_a_lease_is_not_pruned(stores: Stores) -> None:
    await stores.submit(a_request())
    worker = await stores.worker()
    [claim] = await stores.claim(worker)
    await stores.workers.set_status([worker.incarnation], WorkerState.STALE)
    assert await stores.workers.prune(AT_ONCE) == 0
    assert await stores.complete(claim, WorkerLost(message="silence"))
    assert await stores.workers.prune(AT_ONCE) == 1


async def test_lost_jobs_are_those_of_the_dead_and_the_unknown(stores: Stores) -> None:
    await stores.submit(*(a_request() for _ in range(5)))
    stale, stopped, draining = [await stores.worker() for _ in range(3)]
    first = await stores.claim(stale, limit=1, start_count=0)
    second = await stores.claim(stopped, limit=2)
    await stores.claim(draining)
    assert await stores.workers.lost_jobs(10) == []
    await stores.workers.set_status([stale.incarnation], WorkerState.STALE)
    await stores.workers.set_status([stopped.incarnation], WorkerState.STOPPED)
    await stores.workers.set_status([draining.incarnation], WorkerState.DRAINING)
    assert await stores.workers.lost_jobs(10) == [*first, *second]
    assert await stores.workers.lost_jobs(2) == [*first, second[0]]
    assert await stores.complete(second[0], Succeeded()), "its lease lives until somebody ends it"
    assert await stores.workers.lost_jobs(10) == [first[0], second[1]]


async def test_stuck_threads_are_told_with_the_beat(stores: Stores) -> None:
    worker = await stores.worker()
    assert worker.stuck_threads == 0
    await stores.workers.beat(worker.incarnation, cpu_percent=None, memory_percent=None, stuck_threads=3)
    [seen] = await stores.workers.named(WorkerId("w1"))
    assert seen.stuck_threads == 3
    assert (await stores.workers.register(seen.identity, seen.incarnation)).stuck_threads == 0


DEATH = WorkerDeath(how="was ended by SIGSEGV", stack='File "f.py", line 1', lines={a_job_id(): ("one", "Ω")})


async def test_a_death_is_kept_whole(stores: Stores) -> None:
    worker, other = await stores.worker(), await stores.worker()
    assert await stores.workers.note_death(worker.incarnation, DEATH)
    assert await stores.workers.deaths([worker.incarnation, other.incarnation, an_incarnation()]) == {
        worker.incarnation: DEATH
    }
    assert await stores.workers.deaths([]) == {}
    seen = {one.incarnation: one.death for one in await stores.workers.registered()}
    assert seen == {worker.incarnation: "was ended by SIGSEGV", other.incarnation: None}


async def test_a_death_may_have_left_anything(stores: Stores) -> None:
    """Handlers log what they like, and names of files are any bytes: nobody who looks at workers may suffer for it."""
    worker, job_id = await stores.worker(), a_job_id()
    wild = "a\x00b\ud800c"
    death = WorkerDeath(how=wild, stack=wild, lines={job_id: (wild, "whole")})
    assert await stores.workers.note_death(worker.incarnation, death)
    [seen] = await stores.workers.registered()
    kept = (await stores.workers.deaths([worker.incarnation]))[worker.incarnation]
    assert seen.death == kept.how
    for text in (kept.how, kept.stack, *kept.lines[job_id]):
        assert text in (wild, "a\ufffdb?c", "whole")
    [stale] = await stores.workers.declare_stale([worker.incarnation], HOUR)
    assert stale.death == kept.how


async def test_whose_end_was_seen_is_lost_without_waiting_for_its_silence(stores: Stores) -> None:
    worker, other = await stores.worker(), await stores.worker()
    await stores.workers.note_death(worker.incarnation, DEATH)
    assert [(one.incarnation, one.seen_dead) for one in await stores.workers.silent(HOUR)] == [
        (worker.incarnation, True)
    ]
    silent = {one.incarnation: one.seen_dead for one in await stores.workers.silent(AT_ONCE)}
    assert silent == {worker.incarnation: True, other.incarnation: False}
    named = [worker.incarnation, other.incarnation]
    [stale] = await stores.workers.declare_stale(named, HOUR)
    assert (stale.incarnation, stale.death) == (worker.incarnation, DEATH.how)
    assert await stores.workers.silent(HOUR) == []


@pytest.mark.parametrize("status", WorkerState)
async def test_a_death_is_noted_of_all_who_have_not_said_good_bye(
    stores: Stores, status: WorkerState
) -> None:
    worker = await stores.worker()
    await stores.workers.set_status([worker.incarnation], status)
    noted = await stores.workers.note_death(worker.incarnation, DEATH)
    assert noted is (status is not WorkerState.STOPPED)
    assert bool(await stores.workers.deaths([worker.incarnation])) is noted
    [seen] = await stores.workers.registered()
    assert (seen.status, seen.death) == (status, DEATH.how if noted else None)


async def test_nobody_dies_who_is_unknown(stores: Stores) -> None:
    assert not await stores.workers.note_death(an_incarnation(), DEATH)


async def test_who_registers_again_has_not_died(stores: Stores) -> None:
    worker = await stores.worker()
    await stores.workers.note_death(worker.incarnation, DEATH)
    again = await stores.workers.register(worker.identity, worker.incarnation)
    assert again.death is None
    assert await stores.workers.deaths([worker.incarnation]) == {}
    assert await stores.workers.silent(HOUR) == []


async def test_a_death_is_forgotten_with_its_worker(stores: Stores) -> None:
    worker = await stores.worker()
    await stores.workers.note_death(worker.incarnation, DEATH)
    await stores.workers.declare_stale([worker.incarnation], HOUR)
    assert await stores.workers.prune(AT_ONCE) == 1
    assert await stores.workers.deaths([worker.incarnation]) == {}

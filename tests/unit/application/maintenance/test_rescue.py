"""Give the jobs of lost workers back."""

from collections.abc import Sequence

import attrs
import pytest
from structlog.testing import capture_logs

from schedora.adapters.memory.events import MemoryEvents
from schedora.adapters.memory.faults import AFTER_COMMIT, BEFORE_COMMIT
from schedora.adapters.memory.job_queue import MemoryJobQueue
from schedora.application.errors import StoreUnavailable
from schedora.application.maintenance import rescue as module
from schedora.application.ports.job_queue import Start, SyncAnswer, SyncBatch
from schedora.application.ports.metrics import Counter
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.events import Notice
from schedora.domain.ids import JobId
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Succeeded
from schedora.domain.retry import RetryPolicy
from schedora.domain.worker import LIVE, WorkerState
from tests.builders import HOUR, SECOND, a_request
from tests.unit.application.bench import Bench
from tests.unit.application.fussy import Refusal, fussy

S = JobState


async def lost(
    bench: Bench, *, starts: int = 100, status: WorkerState = WorkerState.STALE
) -> list[ClaimedJob]:
    """The claims of a worker that is lost, in the order of job ids."""
    worker = await bench.stores.worker()
    claims = await bench.stores.claim(worker, limit=100, start_count=starts)
    await bench.stores.workers.set_status([worker.incarnation], status)
    bench.hints.clear()
    return sorted(claims, key=lambda claim: claim.job_id)


@pytest.mark.parametrize("status", WorkerState)
async def test_jobs_of_the_living_are_left_alone(bench: Bench, status: WorkerState) -> None:
    job = await bench.stores.submit_one()
    await lost(bench, status=status)
    assert await bench.rescue() == (0 if status in LIVE else 1)
    expected = S.RUNNING if status in LIVE else S.RETRYING
    assert (await bench.stores.job(job.job_id)).status is expected


async def test_what_ran_has_failed_and_what_had_not_started_waits_again(bench: Bench) -> None:
    ran, waited = await bench.stores.submit(a_request(), a_request())
    await lost(bench, starts=1)
    bench.clock.advance(HOUR)
    assert await bench.rescue() == 2
    failed = await bench.stores.job(ran.job_id)
    assert (failed.status, failed.attempt, failed.worker_deaths) == (S.RETRYING, 1, 1)
    assert (failed.errors[-1].kind, failed.errors[-1].message) == ("worker_lost", "worker w1 fell silent")
    assert failed.errors[-1].at == bench.clock.now()
    back = await bench.stores.job(waited.job_id)
    assert (back.status, back.attempt, back.worker_deaths, back.suspect) == (S.PENDING, 0, 0, True)
    assert [hint.queues for hint in bench.hints] == [{"default"}]
    assert bench.metrics.counted[Counter.JOBS_FAILED, "work"] == 1


@pytest.mark.parametrize(("starts", "later"), [(2, True), (1, False), (0, False)])
async def test_workers_are_told_whether_any_of_it_is_due(bench: Bench, starts: int, *, later: bool) -> None:
    """What ran waits for its retry; what had not started is due."""
    await bench.stores.submit(a_request(), a_request())
    await lost(bench, starts=starts)
    await bench.rescue()
    assert [(hint.queues, hint.later) for hint in bench.hints] == [(frozenset({"default"}), later)]


class Told(MemoryEvents):
    """Somebody attends to all of them."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.store)
        self.notices: list[Notice] = []

    @property
    def wanted(self) -> bool:
        return True

    def publish(self, notices: Sequence[Notice], *, lost: int = 0) -> None:
        self.notices += notices


async def test_whoever_looks_on_hears_of_what_was_given_back_and_of_what_that_canceled(bench: Bench) -> None:
    workflow_id = await bench.stores.workflow()
    last = RetryPolicy(max_retries=0)
    [first] = await bench.submit([a_request(workflow_id=workflow_id, retry=last)])
    [then] = await bench.submit([a_request(workflow_id=workflow_id, depends_on=(first.job.job_id,))])
    await lost(bench)
    events = Told(bench)
    await attrs.evolve(bench.rescue, events=events)()
    assert [(told.job_id, told.event.to_state) for told in events.notices] == [
        (first.job.job_id, S.FAILED), (first.job.job_id, S.DEAD), (then.job.job_id, S.CANCELED),
    ]  # fmt: skip


async def test_each_job_that_is_given_back_is_told_and_none_that_another_gave_back(bench: Bench) -> None:
    job = await bench.stores.submit_one()
    await lost(bench)
    faster = bench.rescue

    class Overtaken(MemoryJobQueue):
        async def sync(self, batch: SyncBatch) -> SyncAnswer:
            await faster()
            return await super().sync(batch)

    with capture_logs() as logs:
        await attrs.evolve(faster, queue=Overtaken(bench.store))()
    assert logs == [
        {
            "event": "job rescued from a lost worker", "log_level": "warning", "job_id": str(job.job_id),
            "job_type": "work", "worker_id": "w1", "status": S.RETRYING, "worker_deaths": 1,
        }
    ]  # fmt: skip


async def test_failures_are_exported_and_what_had_not_started_where_its_trace_is_sampled(
    bench: Bench,
) -> None:
    ran, waited = await bench.stores.submit(a_request(), a_request())
    await lost(bench, starts=1)
    await bench.rescue()
    assert [(job.job_id, completion.status) for job, completion in bench.export.runs] == [
        (ran.job_id, S.RETRYING), (waited.job_id, S.PENDING),
    ]  # fmt: skip


async def test_job_that_has_killed_three_workers_is_poison_whatever_its_retries(bench: Bench) -> None:
    retry = RetryPolicy(max_retries=100, base=0 * SECOND)
    job = await bench.stores.submit_one(a_request(retry=retry))
    for _ in range(3):
        worker = await bench.stores.worker()
        [claim] = await bench.stores.claim(worker)
        start = Start(job_id=claim.job_id, lease_id=claim.lease_id, started_at=claim.claimed_at)
        await bench.stores.sync(starts=[start])
        await bench.stores.workers.set_status([worker.incarnation], WorkerState.STALE)
        assert await bench.rescue() == 1
    dead = await bench.stores.job(job.job_id)
    assert (dead.status, dead.worker_deaths, dead.retry_count) == (S.DEAD, 3, 2)
    assert [error.kind for error in dead.errors] == ["worker_lost", "worker_lost", "poison"]


async def test_dead_jobs_wake_nobody(bench: Bench) -> None:
    job = await bench.stores.submit_one(a_request(retry=RetryPolicy(max_retries=0)))
    await lost(bench)
    await bench.rescue()
    assert (await bench.stores.job(job.job_id)).status is S.DEAD
    assert not any(hint.queues for hint in bench.hints)
    assert bench.metrics.counted[Counter.JOBS_DEAD, "work"] == 1


@pytest.mark.parametrize("others", [0, 1])
async def test_loss_in_a_workflow_cancels_what_waits_where_no_retry_is_left(
    bench: Bench, others: int
) -> None:
    workflow_id = await bench.stores.workflow()
    last = RetryPolicy(max_retries=0)
    [first] = await bench.submit([a_request(workflow_id=workflow_id, retry=last)])
    [then] = await bench.submit([a_request(workflow_id=workflow_id, depends_on=(first.job.job_id,))])
    await bench.stores.submit(*(a_request() for _ in range(others)))
    await lost(bench)
    assert await bench.rescue() == 1 + others
    assert (await bench.stores.job(first.job.job_id)).status is S.DEAD
    assert (await bench.stores.job(then.job.job_id)).status is S.CANCELED


async def test_rescue_goes_on_batch_after_batch(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_MAX", 2)
    await bench.stores.submit(*(a_request() for _ in range(5)))
    await lost(bench)
    assert await bench.rescue() == 5
    assert await bench.rescue() == 0


async def test_late_end_is_fenced_after_the_rescue(bench: Bench) -> None:
    job = await bench.stores.submit_one()
    [claim] = await lost(bench)
    await bench.rescue()
    assert not await bench.stores.complete(claim, Succeeded())
    assert (await bench.stores.job(job.job_id)).status is S.RETRYING


async def test_slower_reaper_changes_and_counts_nothing(bench: Bench) -> None:
    """Another one rescues between the look and the batch."""
    job = await bench.stores.submit_one()
    await lost(bench)
    faster = bench.rescue

    class Overtaken(MemoryJobQueue):
        async def sync(self, batch: SyncBatch) -> SyncAnswer:
            await faster()
            return await super().sync(batch)

    slower = attrs.evolve(faster, queue=Overtaken(bench.store))
    assert await slower() == 0
    record = await bench.stores.job(job.job_id)
    assert (record.attempt, len(record.errors)) == (1, 1)
    assert bench.metrics.counted[Counter.JOBS_FAILED, "work"] == 1
    assert len(bench.export.runs) == 1


@pytest.mark.parametrize("point", [BEFORE_COMMIT, AFTER_COMMIT])
async def test_failing_store_leaves_the_rest_to_the_next_round(bench: Bench, point: str) -> None:
    job = await bench.stores.submit_one()
    await lost(bench)
    bench.faults.fail(point, nth=2)  # the first asks for the time
    with pytest.raises(StoreUnavailable):
        await bench.rescue()
    assert await bench.rescue() == (1 if point == BEFORE_COMMIT else 0)
    record = await bench.stores.job(job.job_id)
    assert (record.status, record.worker_deaths) == (S.RETRYING, 1)


async def test_what_was_given_back_before_the_store_failed_is_told(bench: Bench) -> None:
    workflow_id = await bench.stores.workflow()
    await bench.submit([a_request(workflow_id=workflow_id)])
    job = await bench.stores.submit_one(a_request(queue="alone"))
    await lost(bench)
    bench.faults.fail(BEFORE_COMMIT, nth=3)  # after the time and the one that is alone
    with pytest.raises(StoreUnavailable):
        await bench.rescue()
    assert (await bench.stores.job(job.job_id)).status is S.RETRYING
    assert [hint.queues for hint in bench.hints] == [{"alone"}]
    assert bench.metrics.counted[Counter.JOBS_RESCUED, ""] == 1
    assert len(bench.export.runs) == 1
    assert await bench.rescue() == 1


async def test_clock_that_was_set_back_puts_no_end_before_the_start(bench: Bench) -> None:
    job = await bench.stores.submit_one()
    worker = await bench.stores.worker()
    [claim] = await bench.stores.claim(worker, start_count=0)
    start = Start(job_id=claim.job_id, lease_id=claim.lease_id, started_at=claim.claimed_at + HOUR)
    await bench.stores.sync(starts=[start])
    await bench.stores.workers.set_status([worker.incarnation], WorkerState.STALE)
    await bench.rescue()
    record = await bench.stores.job(job.job_id)
    assert record.errors[-1].at == claim.claimed_at + HOUR


class Fussy:
    """Keeps nothing in which one of these texts is."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts
        self.batches: list[int] = []

    def look(self, completions: Sequence[Completion]) -> None:
        self.batches.append(len(completions))
        for one in completions:
            kept = f"{one.job_id} {'' if one.error is None else one.error.message}"
            if any(text in kept for text in self._texts):
                raise Refusal("a secret of the store")

    def rescue(self, bench: Bench) -> module.RescueJobs:
        queue, complete = fussy(bench, self.look)
        return attrs.evolve(bench.rescue, queue=queue, complete=complete)


async def two_of(bench: Bench, *, in_workflow: bool) -> list[JobId]:
    workflow_id = await bench.stores.workflow() if in_workflow else None
    jobs = await bench.stores.submit(*(a_request(workflow_id=workflow_id) for _ in range(2)))
    return [job.job_id for job in jobs]


@pytest.mark.parametrize("in_workflow", [False, True])
async def test_what_the_store_refuses_to_keep_of_one_keeps_neither_it_nor_others(
    bench: Bench, in_workflow: bool
) -> None:
    jobs = await two_of(bench, in_workflow=in_workflow)
    await lost(bench)
    store = Fussy("fell silent")
    with capture_logs() as logs:
        assert await store.rescue(bench)() == 2
    for job_id in jobs:
        record = await bench.stores.job(job_id)
        told = "worker w1 was lost, and the store refused to keep how (Refusal)"
        assert (record.status, record.worker_deaths) == (S.RETRYING, 1)
        assert (record.errors[-1].kind, record.errors[-1].message) == ("worker_lost", told)
        assert record.errors[-1].at == bench.clock.now()
    assert store.batches == [2, 1, 1, 1, 1]
    refused, *each = [line for line in logs if line["event"] != "job rescued from a lost worker"]
    assert refused == {
        "event": "a batch of rescued jobs was refused", "log_level": "warning", "error": "Refusal",
    }  # fmt: skip
    event = "the store refuses what a lost worker left of a job"
    assert [(line["event"], line["log_level"], line["job_id"]) for line in each] == [
        (event, "error", str(job_id)) for job_id in sorted(jobs)
    ]
    assert all(isinstance(line["exc_info"], Refusal) for line in each)


@pytest.mark.parametrize("in_workflow", [False, True])
async def test_job_that_the_store_refuses_in_any_form_keeps_nothing_from_the_others(
    bench: Bench, in_workflow: bool
) -> None:
    bad, good = sorted(await two_of(bench, in_workflow=in_workflow))
    await lost(bench)
    store = Fussy(str(bad))
    with capture_logs() as logs:
        assert await store.rescue(bench)() == 1
    assert [(await bench.stores.job(job_id)).status for job_id in (bad, good)] == [S.RUNNING, S.RETRYING]
    stays = [line for line in logs if line["event"].startswith("the store does not take a job back")]
    assert {(line["event"], line["log_level"], line["job_id"]) for line in stays} == {
        ("the store does not take a job back: it stays with its lost worker", "error", str(bad))
    }
    assert all(isinstance(line["exc_info"], Refusal) for line in stays)
    assert await bench.rescue() == 1, "once the store takes it"


async def test_store_that_goes_away_among_single_jobs_leaves_the_rest_to_the_next_round(bench: Bench) -> None:
    await two_of(bench, in_workflow=False)
    await lost(bench)
    bench.faults.fail(BEFORE_COMMIT, nth=2)  # the first asks for the time
    with pytest.raises(StoreUnavailable):
        await Fussy("fell silent").rescue(bench)()
    assert await bench.rescue() == 2

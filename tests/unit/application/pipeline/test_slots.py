"""The jobs at hand, and what becomes of each."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from schedora.application.context import JobContext
from schedora.application.handlers import Executor, Handler, Handlers
from schedora.application.pipeline.claim import BUFFER_AGE_MAX
from schedora.application.pipeline.execute import DRAINED, Execute
from schedora.application.pipeline.run import Run, StopReason
from schedora.application.pipeline.slots import GRACE, NO_ROOM, Slots
from schedora.application.pipeline.store_time import StoreTime
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JsonText
from schedora.domain.outcome import HandedBack, Outcome, Succeeded, TimedOut
from tests.builders import NOON, SECOND, a_claimed_job
from tests.unit.application.bench import Bench
from tests.unit.application.pipeline.engine import RESULT_BYTES_MAX, Children, Held

LET_GO = Succeeded(result=JsonText('"let go"'))


class Rack:
    """Two slots, and what they tell."""

    def __init__(self, bench: Bench, threads: ThreadPoolExecutor) -> None:
        self.clock = bench.clock
        self.held = Held()
        self.outcomes: list[tuple[ClaimedJob, Outcome]] = []
        self.changes = 0
        handlers = Handlers(
            [Handler(type="work", executor=Executor.ASYNC, bind=lambda _: self.held)],
        )
        self.slots = Slots(
            count=2,
            worker_deaths_max=3,
            handlers=handlers,
            execute=Execute(
                reader=bench.stores.job_reader,
                threads=threads,
                processes=Children(),
                result_bytes_max=RESULT_BYTES_MAX,
            ),
            clock=bench.clock,
            store_time=StoreTime(bench.clock),
            on_outcome=lambda job, _run, outcome: self.outcomes.append((job, outcome)),
            on_change=self._changed,
            complete_in=self._complete_in,
        )

    def _changed(self) -> None:
        self.changes += 1

    async def _complete_in(self, run: Run, connection: object, result: JsonText) -> None:
        raise AssertionError("no handler here has a transaction of its own")

    def take(self, *jobs: ClaimedJob) -> list[ClaimedJob]:
        self.slots.take(jobs)
        return list(jobs)

    def pass_time(self, span: timedelta) -> None:
        self.clock.advance(span)
        self.slots.enforce_deadlines()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def rack(bench: Bench) -> AsyncIterator[Rack]:
    with ThreadPoolExecutor(1) as threads:
        rack = Rack(bench, threads)
        yield rack
        rack.held.deaf = False
        rack.held.let_go()
        rack.slots.stop_all(StopReason.LEASE_LOST)
        await rack.settle()


def some(count: int, timeout: timedelta = 90 * SECOND) -> list[ClaimedJob]:
    return [a_claimed_job(timeout=timeout) for _ in range(count)]


async def test_slots_fill_in_order_and_the_rest_waits(rack: Rack) -> None:
    first, second, third = rack.take(*some(3))
    assert list(rack.slots.runs) == [first.lease_id, second.lease_id]
    assert (rack.slots.free, rack.slots.buffered, rack.slots.unsettled) == (0, 1, 2)
    assert rack.slots.held() == {first.lease_id, second.lease_id, third.lease_id}


async def test_slot_that_comes_free_is_filled_from_the_buffer(rack: Rack) -> None:
    jobs = rack.take(*some(3))
    await rack.settle()
    rack.held.let_go()
    await rack.settle()
    assert rack.outcomes == [(job, LET_GO) for job in jobs]
    assert (rack.slots.free, rack.slots.buffered, rack.slots.held()) == (2, 0, set())
    assert rack.changes >= 3
    assert len(rack.slots.durations) == 3


async def test_lost_leases_end_without_an_outcome(rack: Rack) -> None:
    runs, other, waits = rack.take(*some(3))
    await rack.settle()
    rack.slots.lose({runs.lease_id, waits.lease_id})
    assert rack.slots.held() == {other.lease_id}
    await rack.settle()
    assert rack.held.stopped == [runs.job_id]
    assert (rack.outcomes, rack.slots.buffered) == ([], 0)
    rack.slots.lose({runs.lease_id})
    assert rack.slots.free == 1


async def test_run_stopped_before_its_first_step_goes_back(rack: Rack) -> None:
    [job] = rack.take(*some(1))
    rack.slots.stop_all(StopReason.DRAINED)
    await rack.settle()
    assert rack.outcomes == [(job, HandedBack(reason=DRAINED))]
    assert rack.held.contexts == []
    assert rack.slots.free == 2


async def test_buffer_is_handed_back_on_request(rack: Rack) -> None:
    jobs = rack.take(*some(4))
    rack.slots.hand_back_buffer("because")
    assert rack.outcomes == [(job, HandedBack(reason="because")) for job in jobs[2:]]
    assert (rack.slots.buffered, rack.slots.unsettled) == (0, 2)


async def test_what_waits_too_long_is_handed_back_and_it_is_learned_how_long_jobs_take(rack: Rack) -> None:
    *_, waits = rack.take(*some(3))
    assert rack.slots.next_deadline == BUFFER_AGE_MAX
    rack.pass_time(BUFFER_AGE_MAX - timedelta(microseconds=1))
    assert rack.outcomes == []
    rack.pass_time(timedelta(microseconds=1))
    assert rack.outcomes == [(waits, HandedBack(reason=NO_ROOM))]
    assert rack.slots.durations == [BUFFER_AGE_MAX] * 2
    assert rack.slots.next_deadline == 90 * SECOND


async def test_next_deadline_is_the_nearest(rack: Rack) -> None:
    assert rack.slots.next_deadline is None
    rack.take(a_claimed_job(timeout=60 * SECOND))
    assert rack.slots.next_deadline == 60 * SECOND
    rack.take(a_claimed_job(timeout=30 * SECOND))
    assert rack.slots.next_deadline == 30 * SECOND
    await rack.settle()
    rack.pass_time(30 * SECOND)
    assert rack.slots.next_deadline == 30 * SECOND + GRACE
    await rack.settle()
    rack.pass_time(GRACE)
    assert rack.slots.next_deadline == 60 * SECOND
    rack.pass_time(25 * SECOND)
    await rack.settle()
    rack.pass_time(GRACE)
    assert rack.slots.next_deadline is None


async def test_handler_that_does_not_stop_is_given_up_after_a_while(rack: Rack) -> None:
    rack.held.deaf = True
    [job] = rack.take(a_claimed_job(timeout=SECOND))
    await rack.settle()
    rack.pass_time(SECOND)
    await rack.settle()
    assert rack.outcomes == []
    rack.pass_time(GRACE)
    assert rack.outcomes == [(job, TimedOut(timeout=SECOND))]
    assert (rack.slots.free, rack.slots.unsettled, rack.slots.held()) == (1, 0, set())
    rack.slots.stop_all(StopReason.DRAINED)
    rack.pass_time(GRACE)
    rack.held.let_go()
    await rack.settle()
    assert len(rack.outcomes) == 1
    assert rack.slots.free == 2
    assert rack.slots.durations == [], "how long it took tells nothing"


async def test_run_that_was_given_up_is_left_alone_while_others_time_out(rack: Rack) -> None:
    rack.held.deaf = True
    given_up, other = rack.take(a_claimed_job(timeout=SECOND), a_claimed_job(timeout=60 * SECOND))
    await rack.settle()
    rack.pass_time(SECOND)
    await rack.settle()
    rack.pass_time(GRACE)
    rack.pass_time(60 * SECOND)
    await rack.settle()
    rack.pass_time(GRACE)
    assert [job for job, _ in rack.outcomes] == [given_up, other]


async def test_start_is_told_until_the_store_knows(rack: Rack) -> None:
    known, unknown = rack.take(a_claimed_job(started_at=NOON), a_claimed_job(started_at=None))
    [run] = rack.slots.untold
    assert run.job == unknown
    assert run.started_at == rack.clock.now()
    rack.slots.told(run, None)
    assert (rack.slots.untold, run.recorded) == ([], True)
    assert rack.slots.runs[known.lease_id].started_at == NOON


async def test_report_that_came_while_another_was_told_is_told_next(rack: Rack) -> None:
    rack.take(*some(1))
    await rack.settle()
    [context] = rack.held.contexts
    context.progress(0.1)
    await rack.settle()
    [run] = rack.slots.untold
    told = run.progress
    context.progress(0.2)
    await rack.settle()
    rack.slots.told(run, told)
    assert rack.slots.untold == [run]
    rack.slots.told(run, run.progress)
    assert rack.slots.untold == []


async def test_report_of_a_run_that_is_settled_is_dropped(rack: Rack) -> None:
    [job] = rack.take(*some(1))
    await rack.settle()
    context: JobContext = rack.held.contexts[0]
    rack.slots.lose({job.lease_id})
    context.progress(0.5)
    await rack.settle()
    assert rack.slots.untold == []


async def test_suspect_starts_when_its_start_is_on_record(rack: Rack) -> None:
    [suspect] = rack.take(a_claimed_job(started_at=None, suspect=True))
    assert (rack.slots.free, rack.slots.unsettled) == (2, 0)
    assert rack.slots.call_suspects() == [suspect]
    assert rack.slots.free == 1, "a slot is kept for it"
    rack.slots.start_suspect(suspect.lease_id, NOON)
    [run] = rack.slots.runs.values()
    assert (run.started_at, run.recorded) == (NOON, True)
    rack.slots.start_suspect(suspect.lease_id, NOON)
    assert rack.slots.call_suspects() == []


async def test_suspect_with_its_start_on_record_already_just_runs(rack: Rack) -> None:
    """As when it is found again under this worker's lease."""
    rack.take(a_claimed_job(started_at=NOON, suspect=True))
    assert rack.slots.unsettled == 1


async def test_suspect_that_waits_too_long_is_handed_back(rack: Rack) -> None:
    rack.take(*some(2))
    [suspect] = rack.take(a_claimed_job(started_at=None, suspect=True))
    assert rack.slots.call_suspects() == []
    assert rack.slots.buffered == 1
    rack.pass_time(BUFFER_AGE_MAX)
    assert rack.outcomes == [(suspect, HandedBack(reason=NO_ROOM))]
    assert rack.slots.next_deadline == 90 * SECOND


async def test_lost_suspect_is_forgotten(rack: Rack) -> None:
    [suspect] = rack.take(a_claimed_job(started_at=None, suspect=True))
    assert rack.slots.call_suspects() == [suspect]
    rack.slots.lose({suspect.lease_id})
    assert (rack.slots.free, rack.slots.held(), rack.slots.next_deadline) == (2, set(), None)

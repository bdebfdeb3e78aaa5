"""The jobs at hand, and what becomes of each."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import attrs
import pytest

from schedora.application.context import JobContext
from schedora.application.handlers import Executor, Handler, Handlers
from schedora.application.pipeline.claim import BUFFER_AGE_MAX
from schedora.application.pipeline.complete_in_transaction import CompleteInTransaction
from schedora.application.pipeline.completion_buffer import CompletionBuffer
from schedora.application.pipeline.execute import DRAINED, Execute
from schedora.application.pipeline.handler_pool import NO_ROOM, SLICE, HandlerPool
from schedora.application.pipeline.outcomes import Outcomes
from schedora.application.pipeline.prefetch_buffer import PrefetchBuffer
from schedora.application.pipeline.run import StopReason
from schedora.application.pipeline.run_link import Link
from schedora.application.pipeline.run_log_flusher import LiveRunLog
from schedora.application.pipeline.runs import GRACE, RunOutput, Runs
from schedora.application.pipeline.settle import Settle
from schedora.application.pipeline.store_time import StoreTime
from schedora.application.pipeline.suspects import Suspects
from schedora.application.run_scope import RunScope, current_run
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Outcome, Released, Succeeded, TimedOut
from tests.builders import HOUR, NOON, SECOND, a_claimed_job, settled
from tests.unit.application.bench import Bench
from tests.unit.application.pipeline.engine import RESULT_BYTES_MAX, Children, Held

LET_GO = Succeeded(result=JsonText('"let go"'))


class Rack:
    """Two slots, and what they tell."""

    def __init__(self, bench: Bench, threads: ThreadPoolExecutor) -> None:
        self.clock = bench.clock
        self.held = Held()
        self._taken: list[tuple[ClaimedJob, Outcome]] = []
        self.run_logs: list[LiveRunLog] = []
        self.spans: list[JsonText] = []
        self.entered: list[RunScope] = []
        self.left: list[object] = []
        self._function: Callable[[JobContext], Awaitable[Any]] = self.held
        handlers = Handlers(
            [Handler(type="work", executor=Executor.ASYNC, bind=lambda _: self._function)],
        )
        self.changed = asyncio.Event()
        store_time = StoreTime(bench.clock)
        settle = Settle(store_time=store_time, unit_random=lambda: 0.5, worker_deaths_max=3)
        self.waiting_outcomes = Outcomes(CompletionBuffer(settle), self.changed)
        self.complete_in_transaction = CompleteInTransaction(
            complete=bench.complete, settle=settle, clock=bench.clock
        )
        self.pool = HandlerPool(
            count=2,
            handlers=handlers,
            execute=Execute(
                reader=bench.stores.job_reader,
                threads=threads,
                processes=Children(),
                result_bytes_max=RESULT_BYTES_MAX,
                run_spans=self,
            ),
            runs=Runs(
                clock=bench.clock,
                store_time=store_time,
                outcomes=self.waiting_outcomes,
                output=RunOutput(run_log=self.run_logs.append, span=self.spans.append),
                changed=self.changed,
            ),
            waiting=PrefetchBuffer(Suspects(worker_deaths_max=3)),
            outcomes=self.waiting_outcomes,
            complete_in_transaction=self.complete_in_transaction,
            clock=bench.clock,
        )

    @property
    def outcomes(self) -> list[tuple[ClaimedJob, Outcome]]:
        """All so far, in the order in which they came."""
        self._taken += [(ended.job, ended.outcome) for ended in self.waiting_outcomes.take_all()]
        return self._taken

    def enter(self, scope: RunScope) -> object:
        self.entered.append(scope)
        return scope

    def leave(self, entered: object) -> None:
        self.left.append(entered)

    def handle(self, function: Callable[[JobContext], Awaitable[Any]]) -> None:
        self._function = function

    def take(self, *jobs: ClaimedJob) -> list[ClaimedJob]:
        self.pool.take(jobs)
        return list(jobs)

    def pass_time(self, span: timedelta) -> None:
        self.clock.advance(span)
        self.pool.enforce_deadlines()

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
        rack.pool.stop_all(StopReason.LEASE_LOST)
        await rack.settle()


def some(count: int, timeout: timedelta = 90 * SECOND) -> list[ClaimedJob]:
    return [a_claimed_job(timeout=timeout) for _ in range(count)]


async def test_slots_fill_in_order_and_the_rest_waits(rack: Rack) -> None:
    first, second, third = rack.take(*some(3))
    assert list(rack.pool.runs.running) == [first.lease_id, second.lease_id]
    assert (rack.pool.free, rack.pool.buffered, rack.pool.runs.unsettled) == (0, 1, 2)
    assert rack.pool.held() == {first.lease_id, second.lease_id, third.lease_id}


async def test_slot_that_comes_free_is_filled_from_the_buffer(rack: Rack) -> None:
    jobs = rack.take(*some(3))
    await rack.settle()
    rack.held.let_go()
    await rack.settle()
    assert rack.outcomes == [(job, LET_GO) for job in jobs]
    assert (rack.pool.free, rack.pool.buffered, rack.pool.held()) == (2, 0, set())
    assert rack.changed.is_set()
    assert len(rack.pool.runs.durations) == 3


async def test_lost_leases_end_without_an_outcome(rack: Rack) -> None:
    runs, other, waits = rack.take(*some(3))
    await rack.settle()
    rack.pool.lose({runs.lease_id, waits.lease_id})
    assert rack.pool.held() == {other.lease_id}
    await rack.settle()
    assert rack.held.stopped == [runs.job_id]
    assert (rack.outcomes, rack.pool.buffered) == ([], 0)
    rack.pool.lose({runs.lease_id})
    assert rack.pool.free == 1


async def test_what_waits_for_a_slot_does_not_start_once_all_are_stopped(rack: Rack) -> None:
    running = rack.take(*some(3))[:2]
    await rack.settle()
    rack.pool.stop_all(StopReason.DRAINED)
    await rack.settle()
    assert [context.job_id for context in rack.held.contexts] == [job.job_id for job in running]
    assert rack.pool.buffered == 0


async def test_run_stopped_before_its_first_step_goes_back(rack: Rack) -> None:
    [job] = rack.take(*some(1))
    rack.pool.stop_all(StopReason.DRAINED)
    await rack.settle()
    assert rack.outcomes == [(job, Released(reason=DRAINED))]
    assert rack.held.contexts == []
    assert rack.pool.free == 2


async def test_buffer_is_released_on_request(rack: Rack) -> None:
    jobs = rack.take(*some(4))
    rack.pool.release_buffer("because")
    assert rack.outcomes == [(job, Released(reason="because")) for job in jobs[2:]]
    assert (rack.pool.buffered, rack.pool.runs.unsettled) == (0, 2)


async def test_what_waits_too_long_is_released_and_it_is_learned_how_long_jobs_take(rack: Rack) -> None:
    *_, waits = rack.take(*some(3))
    assert rack.pool.next_deadline == BUFFER_AGE_MAX
    rack.pass_time(BUFFER_AGE_MAX - timedelta(microseconds=1))
    assert rack.outcomes == []
    rack.pass_time(timedelta(microseconds=1))
    assert rack.outcomes == [(waits, Released(reason=NO_ROOM))]
    assert rack.pool.runs.durations == [BUFFER_AGE_MAX] * 2
    assert rack.pool.next_deadline == 90 * SECOND


async def test_how_long_jobs_take_is_learned_of_those_that_ended_and_those_that_go_on(rack: Rack) -> None:
    rack.clock.advance(SECOND)
    rack.pool.runs.durations.append(HOUR)
    rack.take(*some(3))
    rack.pass_time(BUFFER_AGE_MAX)
    assert rack.pool.runs.durations == [HOUR, BUFFER_AGE_MAX, BUFFER_AGE_MAX]


async def test_it_is_learned_how_long_a_run_took_whenever_it_began(rack: Rack) -> None:
    rack.clock.advance(HOUR)
    rack.take(*some(1))
    await rack.settle()
    rack.clock.advance(SECOND)
    rack.held.let_go()
    await rack.settle()
    assert rack.pool.runs.durations == [SECOND]


async def test_what_has_not_waited_for_long_goes_on_waiting_when_something_else_is_due(rack: Rack) -> None:
    rack.take(*some(2, timeout=SECOND / 2))
    await rack.settle()
    rack.clock.advance(SECOND / 4)
    rack.take(*some(1))
    rack.pass_time(SECOND / 4)
    assert rack.pool.buffered == 1


async def test_who_was_asked_to_stop_first_is_given_up_first(rack: Rack) -> None:
    rack.held.deaf = True
    rack.take(a_claimed_job(timeout=SECOND), a_claimed_job(timeout=HOUR))
    await rack.settle()
    rack.pass_time(SECOND)
    rack.pass_time(3 * SECOND)
    rack.pool.stop_all(StopReason.DRAINED)
    assert rack.pool.next_deadline == SECOND + GRACE


async def test_next_deadline_is_the_nearest(rack: Rack) -> None:
    assert rack.pool.next_deadline is None
    rack.take(a_claimed_job(timeout=60 * SECOND))
    assert rack.pool.next_deadline == 60 * SECOND
    rack.take(a_claimed_job(timeout=30 * SECOND))
    assert rack.pool.next_deadline == 30 * SECOND
    await rack.settle()
    rack.pass_time(30 * SECOND)
    assert rack.pool.next_deadline == 30 * SECOND + GRACE
    await rack.settle()
    rack.pass_time(GRACE)
    assert rack.pool.next_deadline == 60 * SECOND
    rack.pass_time(25 * SECOND)
    await rack.settle()
    rack.pass_time(GRACE)
    assert rack.pool.next_deadline is None


async def test_handler_that_does_not_stop_is_given_up_after_a_while(rack: Rack) -> None:
    rack.held.deaf = True
    [job] = rack.take(a_claimed_job(timeout=SECOND))
    await rack.settle()
    rack.pass_time(SECOND)
    await rack.settle()
    assert rack.outcomes == []
    rack.pass_time(GRACE)
    assert rack.outcomes == [(job, TimedOut(timeout=SECOND))]
    assert (rack.pool.free, rack.pool.runs.unsettled, rack.pool.held()) == (1, 0, set())
    rack.pool.stop_all(StopReason.DRAINED)
    rack.pass_time(GRACE)
    rack.held.let_go()
    await rack.settle()
    assert len(rack.outcomes) == 1
    assert rack.pool.free == 2
    assert rack.pool.runs.durations == [], "how long it took tells nothing"


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
    [run] = rack.pool.runs.unsent
    assert run.job == unknown
    assert run.started_at == rack.clock.now()
    rack.pool.runs.sent(run, None)
    assert (rack.pool.runs.unsent, run.recorded) == ([], True)
    assert rack.pool.runs.running[known.lease_id].started_at == NOON


async def test_of_a_start_that_the_store_does_not_know_of_the_end_tells(rack: Rack) -> None:
    rack.take(a_claimed_job(started_at=None))
    assert len(rack.pool.runs.unsent) == 1
    await rack.settle()
    rack.held.let_go()
    await rack.settle()
    assert rack.pool.runs._unsent == {}


async def test_report_that_came_while_another_was_told_is_told_next(rack: Rack) -> None:
    rack.take(*some(1))
    await rack.settle()
    [context] = rack.held.contexts
    context.progress(0.1)
    await rack.settle()
    [run] = rack.pool.runs.unsent
    told = run.progress
    context.progress(0.2)
    await rack.settle()
    rack.pool.runs.sent(run, told)
    assert rack.pool.runs.unsent == [run]
    for _ in range(2):  # of one that is settled the store may hear late
        rack.pool.runs.sent(run, run.progress)
        assert rack.pool.runs.unsent == []
        assert run.progress is None


async def test_report_of_a_run_that_is_settled_is_dropped(rack: Rack) -> None:
    [job] = rack.take(*some(1))
    await rack.settle()
    context: JobContext = rack.held.contexts[0]
    rack.pool.lose({job.lease_id})
    context.progress(0.5)
    await rack.settle()
    assert rack.pool.runs.unsent == []


async def test_suspect_starts_when_its_start_is_on_record(rack: Rack) -> None:
    [suspect] = rack.take(a_claimed_job(started_at=None, suspect=True))
    assert (rack.pool.free, rack.pool.runs.unsettled) == (2, 0)
    assert rack.pool.call_suspects() == [suspect]
    assert rack.pool.free == 1, "a slot is kept for it"
    rack.pool.start_suspect(suspect.lease_id, NOON)
    [run] = rack.pool.runs.running.values()
    assert (run.started_at, run.recorded) == (NOON, True)
    rack.pool.start_suspect(suspect.lease_id, NOON)
    assert rack.pool.call_suspects() == []


async def test_suspect_with_its_start_on_record_already_just_runs(rack: Rack) -> None:
    """As when it is found again under this worker's lease."""
    rack.take(a_claimed_job(started_at=NOON, suspect=True))
    assert rack.pool.runs.unsettled == 1


async def test_suspect_that_waits_too_long_is_released(rack: Rack) -> None:
    rack.take(*some(2))
    [suspect] = rack.take(a_claimed_job(started_at=None, suspect=True))
    assert rack.pool.call_suspects() == []
    assert rack.pool.buffered == 1
    rack.pass_time(BUFFER_AGE_MAX)
    assert rack.outcomes == [(suspect, Released(reason=NO_ROOM))]
    assert rack.pool.next_deadline == 90 * SECOND


async def test_lost_suspect_is_forgotten(rack: Rack) -> None:
    [suspect] = rack.take(a_claimed_job(started_at=None, suspect=True))
    assert rack.pool.call_suspects() == [suspect]
    rack.pool.lose({suspect.lease_id})
    assert (rack.pool.free, rack.pool.held(), rack.pool.next_deadline) == (2, set(), None)


async def test_what_a_context_leaves_comes_to_its_run(rack: Rack) -> None:
    rack.take(*some(1))
    [run] = rack.pool.runs.running.values()
    link = Link(run, runs=rack.pool.runs, complete=rack.complete_in_transaction)
    line, span = JsonText('{"event":"half"}'), JsonText('{"name":"charge"}')
    link.leave_line(line)
    link.leave_span(span)
    assert run.run_log is not None
    assert (run.run_log.now().lines, run.run_log.now().spans) == ((line,), (span,))
    assert rack.run_logs == [run.run_log] * 2
    completion = settled(run.job, LET_GO)
    link.written(completion, {"mail"})
    assert (run.written, run.released) == (completion, {"mail"})


STORY: ContextVar[str] = ContextVar("story", default="untold")


class Spoilt:
    """A value that can't be compared."""

    def __eq__(self, _other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment] # as what compares by itself has it


class Line:
    """A handler that waits for nothing, on one slot; what it does is said by job."""

    def __init__(self, rack: Rack) -> None:
        self.rack = rack
        self.ran: list[ClaimedJob] = []
        self.found: list[object] = []
        self.tasks: list[object] = []
        self.does: dict[int, Callable[[], None]] = {}
        rack.pool.count = 1
        rack.handle(self)

    async def __call__(self, context: JobContext) -> str:
        self.found.append(STORY.get())
        self.tasks.append(asyncio.current_task())
        number = len(self.ran)
        self.ran.append(context.job)
        if number in self.does:
            self.does[number]()
        return "let go"


async def test_jobs_that_wait_for_nothing_share_a_task(rack: Rack) -> None:
    line = Line(rack)
    jobs = rack.take(*some(5))
    await rack.settle()
    assert line.ran == jobs
    assert rack.outcomes == [(job, LET_GO) for job in jobs]
    assert len(set(map(id, line.tasks))) == 1
    assert len(rack.pool.runs.durations) == 5


@pytest.mark.parametrize("left", ["a tale", Spoilt()])
async def test_no_job_finds_what_another_has_left(rack: Rack, left: object) -> None:
    line = Line(rack)
    line.does = {1: lambda: STORY.set(left)}  # type: ignore[arg-type, dict-item] # a token is no matter
    rack.take(*some(5))
    await rack.settle()
    assert line.found == ["untold"] * 5
    assert [task is line.tasks[0] for task in line.tasks] == [True, True, False, False, False]
    assert len(rack.outcomes) == 5


async def test_values_that_can_not_be_compared_count_as_others(bench: Bench) -> None:
    first = Spoilt()
    STORY.set(first)  # type: ignore[arg-type] # a token is no matter
    with ThreadPoolExecutor(1) as threads:
        rack = Rack(bench, threads)
    line = Line(rack)
    line.does = {0: lambda: STORY.set(Spoilt())}  # type: ignore[arg-type, dict-item] # as above
    rack.take(*some(3))
    await rack.settle()
    assert [found is first for found in line.found] == [True] * 3


async def test_handler_that_cancels_its_own_task_cancels_no_other_job(rack: Rack) -> None:
    line = Line(rack)

    def cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    line.does = {1: cancel}
    jobs = rack.take(*some(4))
    await rack.settle()
    assert rack.outcomes == [(job, LET_GO) for job in jobs]
    assert rack.pool.free == 1


async def test_jobs_run_in_their_order_however_many_slots_there_are(rack: Rack) -> None:
    line = Line(rack)
    rack.pool.count = 3
    jobs = rack.take(*some(20))
    await rack.settle()
    assert line.ran == jobs


async def test_event_loop_is_given_its_turn_between_jobs(rack: Rack) -> None:
    line = Line(rack)
    turns: list[int] = []

    async def look() -> None:
        while len(line.ran) < 6:
            turns.append(len(line.ran))
            await asyncio.sleep(0)

    line.does = dict.fromkeys((1, 3), lambda: rack.clock.advance(SLICE))
    rack.take(*some(6))
    await look()
    assert {2, 4} <= set(turns)


async def test_job_behind_one_that_waits_gets_a_slot_of_its_own(rack: Rack) -> None:
    line = Line(rack)
    rack.pool.count = 2
    gate = asyncio.Event()

    async def handler(context: JobContext) -> str:
        if not line.ran:
            line.ran.append(context.job)
            await gate.wait()
            return "let go"
        return await line(context)

    rack.handle(handler)
    jobs = rack.take(*some(4))
    await rack.settle()
    assert line.ran == jobs
    assert rack.outcomes == [(job, LET_GO) for job in jobs[1:]]
    gate.set()
    await rack.settle()
    assert rack.pool.free == 2


async def test_run_that_is_stopped_in_the_middle_of_a_line_ends_alone(rack: Rack) -> None:
    rack.pool.count = 1
    first, second, third = rack.take(*some(3))
    await rack.settle()
    rack.pool.lose({first.lease_id})
    rack.held.let_go()
    await rack.settle()
    assert rack.held.stopped == [first.job_id]
    assert rack.outcomes == [(second, LET_GO), (third, LET_GO)]


def unsampled(timeout: timedelta = 90 * SECOND) -> ClaimedJob:
    return attrs.evolve(a_claimed_job(timeout=timeout), traceparent=f"00-{1:032x}-{1:016x}-00")


async def test_the_span_of_an_attempt_is_current_as_long_as_its_handler_runs(rack: Rack) -> None:
    during: list[tuple[list[RunScope], list[object]]] = []

    async def looks(context: JobContext) -> None:
        during.append((list(rack.entered), list(rack.left)))
        raise RuntimeError

    rack.handle(looks)
    [job] = rack.take(*some(1))
    await rack.settle()
    [([scope], [])] = during
    assert scope.job == job
    assert rack.left == [scope]


@pytest.mark.parametrize("fails", [True, False])
async def test_spans_of_a_trace_that_is_not_sampled_are_kept_of_failures_alone(
    rack: Rack, fails: bool
) -> None:
    span = JsonText('{"name":"charge"}')

    async def work(context: JobContext) -> None:
        scope = current_run.get()
        assert scope is not None
        scope.leave_span(span)
        if fails:
            raise RuntimeError

    rack.handle(work)
    rack.take(unsampled())
    await rack.settle()
    assert len(rack.outcomes) == 1
    assert rack.spans == ([span] if fails else [])


async def test_spans_of_a_run_that_is_over_its_time_are_kept(rack: Rack) -> None:
    rack.take(unsampled(timeout=SECOND))
    await rack.settle()
    [run] = rack.pool.runs.running.values()
    run.leave_span(JsonText('{"name":"charge"}'))
    rack.pass_time(2 * SECOND)
    await rack.settle()
    assert rack.spans == ['{"name":"charge"}']

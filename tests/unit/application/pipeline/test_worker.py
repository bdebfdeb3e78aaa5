"""The worker: what it takes, in which order, how it runs it and what it tells the store."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from schedora.application.context import JobContext
from schedora.application.directives import Discard, Retry, Snooze
from schedora.application.handlers import Executor
from schedora.application.pipeline.attempt_log import AttemptLog
from schedora.application.pipeline.claim import BUFFER_AGE_MAX
from schedora.application.pipeline.execute import INVALID_RESULT
from schedora.application.pipeline.handler_pool import NO_ROOM
from schedora.application.pipeline.limits import WorkerLimits
from schedora.application.pipeline.poll_scheduler import PollPolicy
from schedora.application.pipeline.runs import GRACE
from schedora.application.ports.metrics import Counter, Histogram
from schedora.application.ports.wakeup import Hint
from schedora.application.run_scope import RunScope
from schedora.domain.ids import JobId, JsonText
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Succeeded, WorkerLost
from schedora.domain.retry import RetryKind, RetryPolicy
from schedora.domain.worker import WorkerState
from tests.builders import HOUR, SECOND, a_request
from tests.unit.application.pipeline.engine import RESULT_BYTES_MAX, W1, Engine, Held, HeldThread

S = JobState


async def answer(context: JobContext) -> dict[str, int]:
    return {"attempt": context.attempt}


async def test_job_is_run_and_its_result_kept(engine: Engine) -> None:
    engine.handle(answer)
    async with engine.running():
        [submission] = await engine.bench.submit([a_request()])
        await engine.settle()
        job = await engine.bench.stores.job(submission.job.job_id)
    assert (job.status, job.result, job.attempt, job.worker_id) == (S.SUCCESS, '{"attempt":1}', 1, W1)
    assert engine.bench.metrics.counted[Counter.JOBS_SUCCEEDED, "work"] == 1
    assert (Histogram.JOB_QUEUE_LATENCY, ("default",), timedelta(0)) in engine.bench.metrics.observed


async def test_worker_registers_beats_and_says_good_bye(engine: Engine) -> None:
    async with engine.running() as worker:
        [seen] = await engine.incarnations()
        assert (seen.status, seen.identity) == (WorkerState.ACTIVE, worker.stages.registration.identity)
        assert engine.heartbeat.incarnations == [seen.incarnation]
        worker.drain()
        await engine.settle()
        assert engine.task is not None
        await engine.task
    [seen] = await engine.incarnations()
    assert seen.status is WorkerState.STOPPED


async def test_jobs_run_by_priority_then_time_then_id(engine: Engine) -> None:
    order: list[JobId] = []

    async def note(context: JobContext) -> None:
        order.append(context.job_id)

    engine.handle(note)
    engine.slots = 1
    now = engine.bench.clock.now()
    jobs = await engine.bench.stores.submit(
        a_request(priority=1),
        a_request(priority=9, scheduled_at=now - SECOND),
        a_request(priority=9, scheduled_at=now - HOUR),
        a_request(priority=1),
    )
    async with engine.running():
        await engine.settle()
    assert order == [jobs[index].job_id for index in (2, 1, 0, 3)]


async def test_no_more_run_at_once_than_there_are_slots(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    engine.slots = 3
    jobs = await engine.bench.stores.submit(*(a_request() for _ in range(5)))
    async with engine.running():
        await engine.settle()
        states = [(await engine.bench.stores.job(job.job_id)).status for job in jobs]
        assert states == [S.RUNNING] * 3 + [S.PENDING] * 2
        held.let_go()
        await engine.settle()
        states = [(await engine.bench.stores.job(job.job_id)).status for job in jobs]
        assert states == [S.SUCCESS] * 5


async def test_worker_takes_jobs_of_its_queues_and_types_alone(engine: Engine) -> None:
    engine.handle(answer)
    engine.queues = ("a", "b")
    wanted = await engine.bench.stores.submit(a_request(queue="a"), a_request(queue="b"))
    others = await engine.bench.stores.submit(a_request(queue="c"), a_request(queue="a", type="other"))
    async with engine.running():
        for job in wanted:
            assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS
        for job in others:
            assert await engine.bench.stores.job(job.job_id) == job


async def test_delayed_job_runs_when_it_falls_due_and_not_before(engine: Engine) -> None:
    engine.handle(answer)
    job = await engine.bench.stores.submit_one(a_request(scheduled_at=engine.bench.clock.now() + HOUR))
    async with engine.running():
        await engine.advance(HOUR - timedelta(microseconds=1))
        assert (await engine.bench.stores.job(job.job_id)).status is S.PENDING
        await engine.advance(timedelta(microseconds=1))
        done = await engine.bench.stores.job(job.job_id)
    assert (done.status, done.started_at) == (S.SUCCESS, job.scheduled_at)


async def test_retries_come_when_the_policy_says(engine: Engine) -> None:
    starts: list[timedelta] = []

    async def fail(context: JobContext) -> None:
        starts.append(engine.bench.clock.monotonic())
        raise LookupError(f"attempt {context.attempt}")

    engine.handle(fail)
    policy = RetryPolicy(kind=RetryKind.EXPONENTIAL, max_retries=3, base=60 * SECOND, max_delay=200 * SECOND)
    job = await engine.bench.stores.submit_one(a_request(retry=policy))
    async with engine.running():
        await engine.advance(HOUR)
        dead = await engine.bench.stores.job(job.job_id)
    assert starts == [timedelta(0), 60 * SECOND, 180 * SECOND, 380 * SECOND]
    assert (dead.status, dead.attempt, dead.retry_count) == (S.DEAD, 4, 3)
    assert [(error.attempt, error.kind, error.message) for error in dead.errors] == [
        (attempt, "LookupError", f"attempt {attempt}") for attempt in (1, 2, 3, 4)
    ]
    counted = engine.bench.metrics.counted
    assert (counted[Counter.JOBS_RETRIED, "work"], counted[Counter.JOBS_DEAD, "work"]) == (3, 1)


@pytest.mark.parametrize("after", [HOUR, 0.0])
async def test_handler_may_say_when_to_try_again(engine: Engine, after: timedelta | float) -> None:
    async def retry(context: JobContext) -> str:
        if context.attempt == 1:
            raise Retry("busy", after=after)
        return "second"

    engine.handle(retry)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        if after:
            waiting = await engine.bench.stores.job(job.job_id)
            assert (waiting.status, waiting.scheduled_at) == (S.RETRYING, job.created_at + HOUR)
            assert waiting.error_message == "busy"
            await engine.advance(HOUR)
        done = await engine.bench.stores.job(job.job_id)
    assert (done.status, done.attempt, done.retry_count) == (S.SUCCESS, 2, 1)


async def test_retry_without_a_word_follows_the_policy(engine: Engine) -> None:
    async def retry(_context: JobContext) -> None:
        raise Retry

    engine.handle(retry)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        waiting = await engine.bench.stores.job(job.job_id)
    assert (waiting.status, waiting.scheduled_at) == (S.RETRYING, job.created_at + 60 * SECOND)


async def test_discarded_job_is_dead_at_once(engine: Engine) -> None:
    async def discard(_context: JobContext) -> None:
        raise Discard("no such customer")

    engine.handle(discard)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        dead = await engine.bench.stores.job(job.job_id)
    assert (dead.status, dead.error_message, dead.attempt) == (S.DEAD, "no such customer", 1)


async def test_snooze_uses_up_no_attempt(engine: Engine) -> None:
    runs = 0

    async def snooze(context: JobContext) -> str:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise Snooze(HOUR, "not yet")
        return "at last"

    engine.handle(snooze)
    job = await engine.bench.stores.submit_one(a_request(retry=RetryPolicy(max_retries=0)))
    async with engine.running():
        waiting = await engine.bench.stores.job(job.job_id)
        assert (waiting.status, waiting.scheduled_at) == (S.PENDING, job.created_at + HOUR)
        assert (waiting.attempt, waiting.history[-1].reason) == (0, "not yet")
        await engine.advance(3 * HOUR)
        done = await engine.bench.stores.job(job.job_id)
    assert (done.status, done.attempt, done.lease_token, done.errors) == (S.SUCCESS, 1, 4, ())


async def test_result_over_the_limit_is_dead_at_once(engine: Engine) -> None:
    async def chatter(_context: JobContext) -> str:
        return "x" * RESULT_BYTES_MAX

    engine.handle(chatter)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        dead = await engine.bench.stores.job(job.job_id)
    assert (dead.status, dead.errors[-1].kind, dead.result) == (S.DEAD, INVALID_RESULT, None)


async def test_worker_looks_by_itself_and_counts_what_a_hint_should_have_brought(engine: Engine) -> None:
    engine.handle(answer)
    async with engine.running():
        await engine.advance(60 * SECOND)  # past any look that was planned before
        jobs = await engine.bench.stores.submit(
            a_request(), a_request()
        )  # the store alone knows: nobody rings
        await engine.advance(engine.limits.poll_policy.poll_longest * 1.2)
        assert [(await engine.bench.stores.job(job.job_id)).status for job in jobs] == [S.SUCCESS] * 2
    assert engine.bench.metrics.counted[Counter.WAKEUPS_MISSED, ""] == 2


async def test_without_hints_it_looks_at_short_intervals(engine: Engine) -> None:
    engine.handle(answer)
    engine.bench.faults.hints_lost = True
    async with engine.running():
        await engine.advance(10 * SECOND)
        job = await engine.bench.stores.submit_one()
        await engine.advance(engine.limits.poll_policy.poll_alone * 1.2)
        assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS
    assert engine.bench.metrics.counted[Counter.WAKEUPS_MISSED, ""] == 0, "none was to be expected"


async def test_hint_for_other_queues_is_none(engine: Engine) -> None:
    engine.handle(answer)
    engine.queues = ("mine",)
    async with engine.running():
        await engine.advance(SECOND)
        job = await engine.bench.stores.submit_one(a_request(queue="mine"))
        engine.bench.stores.wakeup.notify(queues=["other"])
        await engine.settle()
        assert (await engine.bench.stores.job(job.job_id)).status is S.PENDING
        engine.bench.stores.wakeup.notify(queues=["other", "mine"])
        await engine.settle()
        assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS
    assert engine.bench.metrics.counted[Counter.WAKEUPS, ""] == 1, "what is for others does not reach it"


async def test_hint_is_followed_up_before_the_loop_has_woken_up(engine: Engine) -> None:
    engine.handle(answer)
    async with engine.running() as worker:
        await engine.settle()
        job = await engine.bench.stores.submit_one()
        worker.stages.hints.on_hint(Hint(queues=frozenset({"default"})))
        assert worker.stages.store_sync.under_way
        worker.stages.hints.on_hint(Hint(queues=frozenset({"default"})))
        assert len(worker.stages.store_sync._tasks()) == 1, "one claim at a time"
        await engine.settle()
        assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS


async def test_hint_that_tells_of_leases_is_left_to_the_loop(engine: Engine) -> None:
    engine.handle(answer)
    async with engine.running() as worker:
        await engine.settle()
        worker.stages.hints.on_hint(Hint())  # anything: leases are compared while no batch is under way
        assert not worker.stages.store_sync.under_way


async def test_canceled_job_is_interrupted(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        await engine.bench.cancel(job.job_id)
        await engine.settle()
        assert held.stopped == [job.job_id]
        assert held.contexts[0].cancelled
        assert worker.stages.pool.free == engine.slots
        assert (await engine.bench.stores.job(job.job_id)).status is S.CANCELED
    assert engine.bench.metrics.counted[Counter.JOBS_FENCED, ""] == 0


async def test_lease_that_is_gone_stops_the_handler_though_no_hint_tells(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        await engine.bench.stores.cancel(job.job_id)
        await engine.settle()
        assert held.stopped == []
        await engine.advance(engine.limits.lease_check)
        assert held.stopped == [job.job_id]


async def test_start_that_the_store_does_not_take_stops_the_handler(engine: Engine) -> None:
    async def short(_context: JobContext) -> None: ...

    held = Held()
    engine.handle(short)
    engine.handle(held, job_type="long")
    engine.slots = 1
    await engine.bench.stores.submit(*(a_request() for _ in range(9)))
    lasting = await engine.bench.stores.submit(*(a_request(type="long", priority=0) for _ in range(2)))
    async with engine.running() as worker:
        [first, second] = lasting
        assert (await engine.bench.stores.job(second.job_id)).status is S.SCHEDULED, "it is in the buffer"
        await engine.bench.cancel(first.job_id)
        engine.bench.faults.fail("job_queue.sync")  # so that nobody knows of the second one's start
        await engine.settle()
        assert [context.job_id for context in held.contexts] == [first.job_id, second.job_id]
        canceled = await engine.bench.stores.cancel(second.job_id)
        await engine.advance(10 * SECOND)
        assert held.stopped == [first.job_id, second.job_id]
        assert worker.stages.pool.free == 1
        assert await engine.bench.stores.job(second.job_id) == canceled


async def test_run_that_fails_outside_of_its_handler_is_a_failure(engine: Engine) -> None:
    engine.handle(answer, executor=Executor.PROCESS)
    engine.children.outcome.set_exception(OSError("no more processes"))
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        failed = await engine.bench.stores.job(job.job_id)
        assert worker.stages.pool.free == engine.slots
    assert (failed.status, failed.errors[-1].kind) == (S.RETRYING, "OSError")


async def test_child_that_can_not_be_ended_cleanly_has_timed_out_all_the_same(engine: Engine) -> None:
    engine.handle(answer, executor=Executor.PROCESS)
    engine.children.dies_with = OSError("no such process")
    job = await engine.bench.stores.submit_one(a_request(timeout=SECOND))
    async with engine.running():
        await engine.advance(SECOND)
        late = await engine.bench.stores.job(job.job_id)
    assert (late.status, late.errors[-1].kind) == (S.RETRYING, "timeout")


async def test_late_completion_changes_nothing_and_is_counted(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        canceled = await engine.bench.stores.cancel(job.job_id)
        held.let_go()
        await engine.settle()
        assert await engine.bench.stores.job(job.job_id) == canceled
    assert engine.bench.metrics.counted[Counter.JOBS_FENCED, ""] == 1
    assert engine.bench.metrics.counted[Counter.JOBS_SUCCEEDED, "work"] == 0


async def test_late_completion_does_not_touch_the_next_claim(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        [claim] = await engine.bench.stores.job_queue.claims(engine.heartbeat.incarnations[0])
        lost = await engine.bench.stores.settle(claim, WorkerLost(message="silence"))
        assert (await engine.bench.stores.sync(completions=[lost])).accepted
        await engine.bench.stores.cancel(job.job_id)
        await engine.bench.stores.requeue(job.job_id)
        [other] = await engine.bench.claim()
        held.let_go()
        await engine.settle()
        record = await engine.bench.stores.job(job.job_id)
    assert (record.status, record.lease_token) == (S.RUNNING, 2)
    assert record.lease is not None
    assert record.lease.lease_id == other.lease_id


async def test_handler_over_its_time_is_stopped_and_its_job_retried(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one(a_request(timeout=90 * SECOND))
    async with engine.running():
        await engine.advance(90 * SECOND - timedelta(microseconds=1))
        assert held.stopped == []
        await engine.advance(timedelta(microseconds=1))
        assert held.stopped == [job.job_id]
        late = await engine.bench.stores.job(job.job_id)
        assert (late.status, late.errors[-1].kind) == (S.RETRYING, "timeout")
        assert late.error_message == "timed out after 90 s"
        held.let_go()
        await engine.advance(60 * SECOND)
        assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS


async def test_handler_that_pays_no_heed_loses_its_job_and_keeps_its_slot(engine: Engine) -> None:
    held = Held()
    held.deaf = True
    engine.handle(held)
    engine.slots = 1
    job = await engine.bench.stores.submit_one(a_request(timeout=SECOND, retry=RetryPolicy(max_retries=0)))
    async with engine.running() as worker:
        await engine.advance(SECOND)
        assert held.stopped == [job.job_id]
        assert (await engine.bench.stores.job(job.job_id)).status is S.RUNNING
        await engine.advance(GRACE)
        dead = await engine.bench.stores.job(job.job_id)
        assert (dead.status, dead.errors[-1].kind) == (S.DEAD, "timeout")
        assert worker.stages.pool.free == 0
        other = await engine.bench.stores.submit_one()
        await engine.advance(HOUR)
        assert (await engine.bench.stores.job(other.job_id)).status is S.PENDING
        held.let_go()
        await engine.advance(engine.limits.poll_policy.poll_longest * 1.2)
        assert (await engine.bench.stores.job(other.job_id)).status is S.SUCCESS
        assert await engine.bench.stores.job(job.job_id) == dead


async def test_thread_that_can_not_be_stopped_loses_its_job_and_keeps_its_slot(engine: Engine) -> None:
    held = HeldThread()
    engine.handle(held, executor=Executor.THREAD)
    engine.slots = 1
    job = await engine.bench.stores.submit_one(a_request(timeout=SECOND, retry=RetryPolicy(max_retries=0)))
    async with engine.running() as worker:
        await engine.happens(held.began)
        assert not held.told_to_stop()
        await engine.advance(SECOND)
        dead = await engine.bench.stores.job(job.job_id)
        assert (dead.status, dead.errors[-1].kind) == (S.DEAD, "timeout")
        assert held.told_to_stop(), "it can look, now and then"
        other = await engine.bench.stores.submit_one()
        await engine.advance(HOUR)
        assert worker.stages.pool.free == 0
        assert (await engine.bench.stores.job(other.job_id)).status is S.PENDING
        held.let_go()
        await engine.happens(held.ended)
        engine.bench.stores.wakeup.notify(queues=["default"])
        await engine.becomes(other, S.SUCCESS)
        assert await engine.bench.stores.job(job.job_id) == dead


async def test_canceled_thread_keeps_its_slot_and_its_result_counts_no_more(engine: Engine) -> None:
    held = HeldThread()
    engine.handle(held, executor=Executor.THREAD)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        await engine.happens(held.began)
        await engine.bench.cancel(job.job_id)
        await engine.settle()
        assert held.told_to_stop()
        assert worker.stages.pool.free == engine.slots - 1
        held.let_go()
        await engine.happens(held.ended)
        assert (await engine.bench.stores.job(job.job_id)).status is S.CANCELED
    assert engine.bench.metrics.counted[Counter.JOBS_FENCED, ""] == 0


async def test_process_is_called_with_all_that_it_needs_and_its_outcome_counts(engine: Engine) -> None:
    engine.handle(answer, executor=Executor.PROCESS)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        [call] = engine.children.calls
        assert (call.target, call.job.job_id, call.upstream) == ("module:function", job.job_id, {})
        assert call.started_at == engine.bench.clock.now()
        engine.children.links[0].report(JsonText('{"fraction":0.5}'))
        await engine.advance(engine.limits.report)
        record = await engine.bench.stores.job(job.job_id)
        assert record.lease is not None
        assert record.lease.progress == '{"fraction":0.5}'
        engine.children.outcome.set_result(Succeeded(result=JsonText("7")))
        await engine.settle()
        done = await engine.bench.stores.job(job.job_id)
    assert (done.status, done.result) == (S.SUCCESS, "7")


async def test_process_over_its_time_is_killed(engine: Engine) -> None:
    engine.handle(answer, executor=Executor.PROCESS)
    job = await engine.bench.stores.submit_one(a_request(timeout=SECOND))
    async with engine.running() as worker:
        await engine.advance(SECOND)
        assert engine.children.killed == 1
        assert (await engine.bench.stores.job(job.job_id)).status is S.RETRYING
        assert worker.stages.pool.free == engine.slots


async def test_result_of_a_process_is_held_to_the_limit(engine: Engine) -> None:
    engine.handle(answer, executor=Executor.PROCESS)
    engine.children.outcome.set_result(Succeeded(result=JsonText('"' + "x" * RESULT_BYTES_MAX + '"')))
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        dead = await engine.bench.stores.job(job.job_id)
    assert (dead.status, dead.errors[-1].kind) == (S.DEAD, INVALID_RESULT)


async def test_failure_of_a_process_is_the_failure_of_its_job(engine: Engine) -> None:
    engine.handle(answer, executor=Executor.PROCESS)
    engine.children.outcome.set_result(Failed(kind="process_died", message="exited with status 3"))
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        failed = await engine.bench.stores.job(job.job_id)
    assert (failed.status, failed.error_message) == (S.RETRYING, "exited with status 3")


async def test_progress_reaches_the_store_and_the_newest_report_wins(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()

    async def progress() -> str | None:
        lease = (await engine.bench.stores.job(job.job_id)).lease
        assert lease is not None
        return lease.progress

    async with engine.running():
        for fraction in (0.1, 0.2, 0.3):
            held.contexts[0].progress(fraction)
        await engine.settle()
        assert await progress() == '{"fraction":0.3,"message":null}'
        held.contexts[0].progress(0.9, "nearly")
        await engine.settle()
        assert await progress() == '{"fraction":0.3,"message":null}', "not more often than agreed"
        await engine.advance(engine.limits.report)
        assert await progress() == '{"fraction":0.9,"message":"nearly"}'
        held.let_go()
        await engine.settle()
        held.contexts[0].progress(1.0)
        await engine.advance(SECOND)
    assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS


async def test_short_jobs_are_claimed_ahead_and_their_starts_told(engine: Engine) -> None:
    seen: list[int] = []
    held = Held()

    async def short(context: JobContext) -> None:
        seen.append(len(seen))

    engine.handle(short)
    engine.handle(held, job_type="long")
    engine.slots = 1
    jobs = await engine.bench.stores.submit(*(a_request() for _ in range(30)))
    blocker = await engine.bench.stores.submit_one(a_request(type="long", priority=0))
    behind = await engine.bench.stores.submit_one(a_request(priority=0))
    async with engine.running() as worker:
        await engine.advance(engine.limits.flush)
        assert len(seen) == 30
        for job in jobs:
            assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS
        # The long one came while short ones were expected: it runs, and what is behind it waits in the buffer.
        assert (await engine.bench.stores.job(blocker.job_id)).status is S.RUNNING
        assert worker.stages.pool.buffered == 1
        assert (await engine.bench.stores.job(behind.job_id)).status is S.SCHEDULED
        await engine.advance(BUFFER_AGE_MAX)
        given_back = await engine.bench.stores.job(behind.job_id)
        assert (given_back.status, given_back.history[-1].reason) == (S.PENDING, NO_ROOM)
        held.let_go()
        await engine.settle()
        assert (await engine.bench.stores.job(behind.job_id)).status is S.SUCCESS


async def test_worker_drained_by_request_finishes_what_runs_and_takes_no_more(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        await engine.bench.drain_worker(W1)
        await engine.settle()
        assert engine.heartbeat.asked >= 1, "the heartbeat is asked for the new status"
        worker.heard(engine.heartbeat.incarnations[0], WorkerState.DRAINING)
        other = await engine.bench.stores.submit_one()
        engine.bench.stores.wakeup.notify(queues=["default"])
        await engine.settle()
        assert (await engine.bench.stores.job(other.job_id)).status is S.PENDING
        held.let_go()
        await engine.settle()
        assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS
        await engine.advance(HOUR)
        assert (await engine.bench.stores.job(other.job_id)).status is S.PENDING
        assert engine.task is not None
        assert not engine.task.done()


@pytest.mark.parametrize("status", [WorkerState.STALE, WorkerState.STOPPED, None])
async def test_refused_heartbeat_makes_the_worker_register_again(
    engine: Engine, status: WorkerState | None
) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        [first] = engine.heartbeat.incarnations
        await engine.bench.stores.workers.set_status([first], WorkerState.STALE)
        worker.heard(first, status)
        await engine.settle()
        assert held.stopped == [job.job_id], "its lease belongs to an incarnation that is lost"
        again, second = engine.heartbeat.incarnations
        assert again == first != second
        assert {one.incarnation: one.status for one in await engine.incarnations()} == {
            first: WorkerState.STALE,
            second: WorkerState.ACTIVE,
        }
        assert await engine.bench.rescue() == 1
        held.let_go()
        await engine.advance(60 * SECOND)
        done = await engine.bench.stores.job(job.job_id)
    assert (done.status, done.errors[-1].kind, done.attempt) == (S.SUCCESS, "worker_lost", 2)


async def test_worker_drained_by_request_stays_so_when_it_was_lost(engine: Engine) -> None:
    async with engine.running() as worker:
        [first] = engine.heartbeat.incarnations
        worker.heard(first, WorkerState.DRAINING)
        await engine.bench.stores.workers.set_status([first], WorkerState.STALE)
        worker.heard(first, WorkerState.STALE)
        await engine.settle()
        _, second = engine.heartbeat.incarnations
        assert {one.incarnation: one.status for one in await engine.incarnations()} == {
            first: WorkerState.STALE,
            second: WorkerState.DRAINING,
        }
        job = await engine.bench.stores.submit_one()
        await engine.advance(HOUR)
        assert (await engine.bench.stores.job(job.job_id)).status is S.PENDING


async def test_word_of_an_earlier_incarnation_is_not_heeded(engine: Engine) -> None:
    async with engine.running() as worker:
        [first] = engine.heartbeat.incarnations
        worker.heard(first, WorkerState.STALE)
        await engine.settle()
        worker.heard(first, None)
        await engine.settle()
        assert len(engine.heartbeat.incarnations) == 2


async def test_store_whose_clock_was_set_back_gets_no_end_before_the_start(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    job = await engine.bench.stores.submit_one()
    async with engine.running() as worker:
        await engine.advance(SECOND)
        worker.stages.store_time.learn(engine.bench.clock.now() - HOUR)
        held.let_go()
        await engine.settle()
        done = await engine.bench.stores.job(job.job_id)
    assert (done.status, done.completed_at) == (S.SUCCESS, done.started_at)


async def test_spans_may_be_chosen(engine: Engine) -> None:
    engine.handle(answer)
    engine.limits = WorkerLimits(poll_policy=PollPolicy(poll=HOUR, poll_longest=HOUR))
    async with engine.running():
        job = await engine.bench.stores.submit_one()
        await engine.advance(0.7 * HOUR)
        assert (await engine.bench.stores.job(job.job_id)).status is S.PENDING
        await engine.advance(0.6 * HOUR)
        assert (await engine.bench.stores.job(job.job_id)).status is S.SUCCESS


async def test_what_it_is_given_for_runs_is_used_for_each(engine: Engine) -> None:
    class Spans:
        """Port ``RunSpans``."""

        def enter(self, scope: RunScope) -> object:
            scope.leave_line(JsonText('{"event": "a line"}'))
            scope.leave_span(JsonText('{"name": "a span"}'))
            return None

        def leave(self, entered: object) -> None: ...

    engine.run_spans = Spans()
    engine.handle(answer)
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        assert engine.spans == ['{"name": "a span"}']
        assert [run_log.now().lines for run_log in engine.run_logs[:1]] == [('{"event": "a line"}',)]
        assert [run.job_id for run, _ in engine.bench.export.runs] == [job.job_id]


async def test_it_writes_into_the_attempt_log_that_it_was_given(engine: Engine) -> None:
    async def fail(_context: JobContext) -> None:
        raise Discard("of no use")

    engine.attempt_log = AttemptLog(payloads=True)
    engine.handle(fail)
    await engine.bench.stores.submit_one(a_request(payload=JsonText('{"to": "ada"}')))
    with capture_logs() as lines:
        async with engine.running():
            pass
    assert [line["payload"] for line in lines if line["log_level"] == "error"] == [{"to": "ada"}]

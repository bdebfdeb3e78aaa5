"""The engine in memory: what an app does, tried under a clock that the test moves."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from schedora import (
    Discard,
    JobContext,
    JobState,
    JobView,
    NotFound,
    Retry,
    Schedora,
    Snooze,
    WorkflowState,
)
from schedora.entrypoints.sdk.views import NotSucceeded
from schedora.testing import MemoryScheduler, in_memory
from tests.programs import PATIENCE_SECONDS
from tests.unit.entrypoints.sdk.doors import Doors

HOUR = timedelta(hours=1)


class Broken(Exception):
    """What the handlers of these tests raise."""


@pytest.fixture
async def sched(app: Schedora) -> AsyncIterator[MemoryScheduler]:
    async with in_memory(app) as sched:
        yield sched


def failures(app: Schedora, times: int, error: Exception | None = None) -> Any:
    """A job function that fails so many times, and then tells its attempt."""
    left = times

    @app.job("fails", max_retries=1_00, retry_base_seconds=60, retry_policy="exponential")
    async def fails(ctx: JobContext) -> int:
        nonlocal left
        if left:
            left -= 1
            raise error or Broken(f"{left} left")
        return ctx.attempt

    return fails


async def test_jobs_run_and_tell_their_results(app: Schedora) -> None:
    @app.job("greet")
    async def greet(name: str, times: int = 1) -> list[str]:
        return [f"hello {name}"] * times

    async with in_memory(app) as sched:
        job = await greet.submit("you", times=2)
        assert (await app.get_job(job)).status is JobState.PENDING
        await sched.run_until_idle()
        done = await app.get_job(job)
    assert (done.status, done.value(), done.attempt) == (JobState.SUCCESS, ["hello you"] * 2, 1)
    assert done.worker_id == "in-memory"


async def test_jobs_submitted_on_the_way_in_run_too(app: Schedora, doors: Doors) -> None:
    async with in_memory(app) as sched:
        job = await app.submit("echo", {"a": 1})
        assert (await app.wait(job)).value() == {"a": 1}
        assert [view.job_id for view in sched.jobs()] == [job.job_id]
    assert (doors.opened, doors.closed) == (0, 0)


async def test_every_call_goes_to_memory_and_afterwards_where_it_used_to(app: Schedora, doors: Doors) -> None:
    async with in_memory(app):
        async with app:
            job = await app.submit("echo")
        await app.close()
        assert await app.get_job(job) == job
    assert doors.opened == 0
    with pytest.raises(NotFound):
        await app.get_job(job)
    assert doors.opened == 1


async def test_a_test_may_use_the_synchronous_forms(app: Schedora, sched: MemoryScheduler) -> None:
    with app:
        job = app.submit_sync("echo", {"a": 1})
        jobs = app.submit_many_sync([app.prepare("echo"), app.prepare("echo")])
        flow = app.workflow("w")
        flow.add(app.prepare("echo"))
        run = flow.submit_sync()
    await sched.run_until_idle()
    assert app.wait_sync(job).value() == {"a": 1}
    assert [app.get_job_sync(other).status for other in jobs] == [JobState.SUCCESS] * 2
    assert run.wait_sync().status is WorkflowState.SUCCESS
    waiting = app.submit_sync("echo")
    with pytest.raises(RuntimeError, match="use the asynchronous form"):
        app.wait_sync(waiting)


async def test_a_day_of_retries_takes_no_time(app: Schedora) -> None:
    function = failures(app, 1_000)
    began = time.monotonic()
    async with in_memory(app) as sched:
        job = await function.submit()
        await sched.advance(days=1)
        found = await app.get_job(job)
        assert found.status is JobState.RETRYING
        # 60 s, 120 s, ... 3600 s, and then one an hour.
        assert found.attempt == 7 + 22
        assert found.scheduled_at - sched.now <= HOUR
    assert time.monotonic() - began < PATIENCE_SECONDS, "which is as long as the first retry alone waits"


@pytest.mark.parametrize(
    ("policy", "pauses"),
    [("fixed", [10, 10, 10]), ("exponential", [10, 20, 25]), ("jitter", [(10, 15), (20, 25), (25, 25)])],
)
async def test_retries_keep_to_their_policy(app: Schedora, policy: Any, pauses: list[Any]) -> None:
    function = failures(app, 3).with_options(
        retry_policy=policy, retry_base_seconds=10, retry_max_seconds=25, max_retries=3
    )
    async with in_memory(app) as sched:
        job = await function.submit()
        for pause in pauses:
            await sched.run_until_idle()
            waiting = await app.get_job(job)
            assert waiting.status is JobState.RETRYING
            least, most = pause if isinstance(pause, tuple) else (pause, pause)
            assert least <= (waiting.scheduled_at - sched.now).total_seconds() <= most
            await sched.advance(waiting.scheduled_at - sched.now)
        assert (await app.get_job(job)).value() == 4


async def test_time_moves_only_when_it_is_told_to(app: Schedora) -> None:
    start = datetime(2030, 1, 31, 8, tzinfo=UTC)
    async with in_memory(app, start=start) as sched:
        await app.submit("echo")
        later = await app.submit("echo", scheduled_at=start + HOUR)
        await sched.run_until_idle()
        assert sched.now == start
        await sched.advance(minutes=59, seconds=59)
        assert (await app.get_job(later)).status is JobState.PENDING
        await sched.advance(seconds=1)
        assert (await app.get_job(later)).status is JobState.SUCCESS
        await sched.advance(timedelta(days=1), hours=1)
        assert sched.now == start + 2 * HOUR + timedelta(days=1)


async def test_waiting_moves_the_time_to_where_the_job_ends(app: Schedora, sched: MemoryScheduler) -> None:
    start = sched.now
    job = await app.submit("sleep", {"seconds": 250})
    assert (await app.wait(job)).status is JobState.SUCCESS
    assert sched.now - start == timedelta(seconds=250)
    late = await app.submit("echo", scheduled_at=sched.now + HOUR)
    with pytest.raises(TimeoutError, match="PENDING"):
        await app.wait(late, timeout=HOUR / 2)
    assert sched.now - start == timedelta(seconds=250) + HOUR / 2


async def test_waiting_for_what_never_ends_ends(app: Schedora, sched: MemoryScheduler) -> None:
    job = await app.submit("a type that nobody handles")
    with pytest.raises(TimeoutError):
        await app.wait(job)
    with pytest.raises(NotFound):
        await app.wait(uuid4())


async def test_a_run_over_its_time_fails_and_is_tried_again(app: Schedora, sched: MemoryScheduler) -> None:
    job = await app.submit("sleep", {"seconds": 60}, timeout_seconds=10, max_retries=1, retry_base_seconds=5)
    await sched.advance(seconds=10)
    assert (await app.get_job(job)).status is JobState.RETRYING
    dead = await app.wait(job)
    assert (dead.status, [error.kind for error in dead.errors]) == (JobState.DEAD, ["timeout"] * 2)


async def test_directives(app: Schedora) -> None:
    runs: list[int] = []

    @app.job("directed", max_retries=2)
    async def directed(ctx: JobContext, how: str) -> int:
        runs.append(ctx.attempt)
        if len(runs) == 1:
            match how:
                case "retry":
                    raise Retry("not now", after=HOUR)
                case "retry in seconds":
                    raise Retry(after=90)
                case "snooze":
                    raise Snooze(HOUR, "too early")
                case "snooze in seconds":
                    raise Snooze(90)
                case _:
                    raise Discard("useless")
        return ctx.attempt

    async def run(sched: MemoryScheduler, how: str, after: timedelta) -> JobView[int]:
        runs.clear()
        job = await directed.submit(how)
        await sched.run_until_idle()
        paused = await app.get_job(job)
        if not paused.ended:
            assert paused.scheduled_at == sched.now + after
            await sched.advance(after)
        return await app.get_job(job)

    async with in_memory(app) as sched:
        for how, after in (("retry", HOUR), ("retry in seconds", timedelta(seconds=90))):
            retried = await run(sched, how, after)
            assert (retried.value(), retried.attempt, retried.retry_count) == (2, 2, 1)
            assert retried.errors[0].kind == "Retry"
        for how, after in (("snooze", HOUR), ("snooze in seconds", timedelta(seconds=90))):
            snoozed = await run(sched, how, after)
            assert (snoozed.value(), snoozed.attempt, snoozed.retry_count) == (1, 1, 0)
            assert snoozed.errors == ()
        discarded = await run(sched, "discard", timedelta(0))
        assert (discarded.status, discarded.error_message) == (JobState.DEAD, "useless")
        with pytest.raises(NotSucceeded, match="useless"):
            discarded.value()


async def test_handlers_submit_to_memory_from_wherever_they_run(app: Schedora, doors: Doors) -> None:
    @app.job("child")
    async def child(number: int) -> int:
        return number

    @app.job("on_the_loop")
    async def on_the_loop() -> str:
        (job,) = await app.submit_many([child.prepare(1)])
        return str(job.job_id)

    @app.job("in_a_thread")
    def in_a_thread() -> str:
        assert threading.current_thread() is not threading.main_thread()
        (first, *_) = app.submit_many_sync([child.prepare(2), child.prepare(3)])
        return str(first.job_id)

    @app.job("waits_in_a_thread")
    def waits_in_a_thread() -> str:
        done = app.wait_sync(child.submit_sync(4), timeout=60)
        assert done.value() == 4
        return str(done.job_id)

    @app.job("waits_on_the_loop")
    async def waits_on_the_loop() -> str:
        return str((await app.wait(await child.submit(5))).job_id)

    @app.job("workflow_in_a_thread")
    def workflow_in_a_thread() -> str:
        flow = app.workflow(f"w-{uuid4()}")
        flow.add(child.prepare(6), key="a")
        return str(flow.submit_sync().jobs["a"].job_id)

    @app.job("loop_in_a_thread")
    def loop_in_a_thread() -> str:
        return str(asyncio.run(app.submit("child", {"number": 7})).job_id)

    async with in_memory(app) as sched:
        for number, function in (
            (1, on_the_loop), (2, in_a_thread), (4, waits_in_a_thread), (5, waits_on_the_loop),
            (6, workflow_in_a_thread), (7, loop_in_a_thread),
        ):  # fmt: skip
            job = await function.submit()
            submitted = (await app.wait(job)).value()
            assert (await app.wait(submitted)).value() == number
        assert len(sched.jobs("child", status="SUCCESS")) == 7
    assert doors.opened == 0


async def test_a_handler_on_the_loop_can_t_use_the_synchronous_forms(
    app: Schedora, sched: MemoryScheduler
) -> None:
    """As in a real worker, which it would stop."""
    del sched

    @app.job("blocks", max_retries=0)
    async def blocks() -> None:
        app.submit_sync("echo")

    async with in_memory(app):
        job = await app.wait(await blocks.submit())
    assert job.status is JobState.DEAD
    assert "use the asynchronous form" in str(job.error_message)


async def test_handlers_for_processes_run_in_threads(app: Schedora) -> None:
    app.job("somewhere", executor="process")(somewhere)
    async with in_memory(app):
        job = await app.submit("somewhere", {"number": 2})
        assert (await app.wait(job)).value() == 4


def somewhere(number: int) -> int:
    return number * 2


async def test_a_workflow_passes_results_on(app: Schedora) -> None:
    @app.job("add")
    async def add(ctx: JobContext, number: int) -> int:
        upstream: Mapping[str, int] = ctx.upstream
        return number + sum(upstream.values())

    async with in_memory(app) as sched:
        flow = app.workflow("sums")
        first = flow.add(add.prepare(1), key="first")
        second = flow.add(add.prepare(10), key="second", after=[first])
        flow.add(add.prepare(100), key="last", after=[first, second])
        run = await flow.submit()
        await sched.run_until_idle()
        done = await run.wait()
        assert (done.status, done.completed_jobs) == (WorkflowState.SUCCESS, 3)
        assert [done.job(key).result for key in ("first", "second", "last")] == [1, 11, 112]


async def test_what_has_no_key_is_told_by_its_id(app: Schedora) -> None:
    @app.job("keys")
    async def keys(ctx: JobContext) -> list[str]:
        return sorted(ctx.upstream)

    async with in_memory(app):
        run = await app.workflow("w").submit()
        first = await app.submit("echo", workflow_id=run.workflow_id)
        job = await keys.with_options(workflow_id=run.workflow_id, depends_on=[first]).submit()
        assert (await app.wait(job)).value() == [str(first.job_id)]


async def test_a_failed_step_cancels_what_waits_for_it(app: Schedora, sched: MemoryScheduler) -> None:
    flow = app.workflow("w")
    first = flow.add(app.prepare("fail", {"message": "no"}, max_retries=1), key="a")
    second = flow.add(app.prepare("echo"), key="b", after=[first])
    flow.add(app.prepare("echo"), key="c", after=[second])
    flow.add(app.prepare("echo"), key="d")
    run = await flow.submit()
    ended = await run.wait()
    assert ended.status is WorkflowState.FAILED
    assert {job.key: job.status for job in ended.jobs} == {
        "a": JobState.DEAD, "b": JobState.CANCELED, "c": JobState.CANCELED, "d": JobState.SUCCESS,
    }  # fmt: skip
    assert ended.job("c").error_message == "upstream_failed"
    assert sched.now > ended.created_at


async def test_a_handler_sees_its_run(app: Schedora) -> None:
    seen: dict[str, Any] = {}

    @app.job("looks")
    async def looks(ctx: JobContext) -> None:
        seen.update(
            job_id=ctx.job_id, workflow_id=ctx.workflow_id, attempt=ctx.attempt, token=ctx.lease_token,
            cancelled=ctx.cancelled, trace=ctx.trace_id, type=ctx.job.type, upstream=dict(ctx.upstream),
        )  # fmt: skip
        ctx.logger.info("seen")

    async with in_memory(app):
        job = await app.wait(await looks.submit())
    assert seen == {
        "job_id": job.job_id, "workflow_id": None, "attempt": 1, "token": 1, "cancelled": False,
        "trace": job.trace_id, "type": "looks", "upstream": {},
    }  # fmt: skip


async def test_progress_is_shown_while_the_handler_runs(app: Schedora) -> None:
    @app.job("steps")
    async def steps(ctx: JobContext) -> None:
        for done in (0.25, 0.5):
            ctx.progress(done, f"at {done}")
            await app.systems.sleep(HOUR / 30)

    async with in_memory(app) as sched:
        job = await steps.submit()
        await sched.advance(seconds=60)
        assert (await app.get_job(job)).progress == {"fraction": 0.25, "message": "at 0.25"}
        await sched.advance(seconds=120)
        assert (await app.get_job(job)).progress == {"fraction": 0.5, "message": "at 0.5"}
        assert (await app.wait(job)).progress is None


async def test_a_canceled_run_is_interrupted(app: Schedora) -> None:
    began, ended = threading.Event(), threading.Event()
    interrupted: list[str] = []

    @app.job("async_run")
    async def async_run() -> None:
        try:
            await app.systems.sleep(HOUR)
        except asyncio.CancelledError:
            interrupted.append("on the loop")
            raise

    @app.job("thread_run")
    def thread_run(ctx: JobContext) -> None:
        began.set()
        while not ctx.cancelled:
            time.sleep(0.001)
        ended.set()

    async with in_memory(app) as sched:
        job = await async_run.submit()
        await sched.run_until_idle()
        assert (await app.get_job(job)).status is JobState.RUNNING
        await sched.system.cancel_job(job.job_id)
        await sched.run_until_idle()
        assert interrupted == ["on the loop"]

        job = await thread_run.submit()
        running = asyncio.create_task(sched.run_until_idle())
        assert await asyncio.to_thread(began.wait, PATIENCE_SECONDS)
        await sched.system.cancel_job(job.job_id)
        await running
        assert await asyncio.to_thread(ended.wait, PATIENCE_SECONDS)
        assert (await app.get_job(job)).status is JobState.CANCELED


async def test_a_handler_completes_its_job_with_its_own_writes(app: Schedora) -> None:
    @app.job("charges")
    async def charges(ctx: JobContext, *, commits: bool) -> str:
        async with memory.transaction() as connection:
            await ctx.complete_in(connection, {"charged": ctx.lease_token})
            receipt = await app.submit("echo", {"receipt": True}, connection=connection)
            if not commits and ctx.attempt == 1:
                raise Broken("rolled back")
        return str(receipt.job_id)

    async with in_memory(app) as memory:
        committed = await app.wait(await charges.submit(commits=True))
        assert committed.result == {"charged": 1}
        assert len(memory.jobs("echo")) == 1
        retried = await app.wait(await charges.submit(commits=False))
        assert (retried.attempt, retried.result) == (2, {"charged": 2})
        assert len(memory.jobs("echo")) == 2


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({}, "name: is required"),
        ({"name": 3}, "name: input should be a valid string"),
        ({"name": "a", "x": 1}, "x: unexpected field"),
    ],
)
async def test_a_payload_that_does_not_fit_is_dead_at_once(
    app: Schedora, payload: dict[str, Any], reason: str
) -> None:
    @app.job("named")
    async def named(name: str) -> str:
        return name

    async with in_memory(app):
        job = await app.wait(await app.submit("named", payload))
    assert (job.status, job.errors[0].kind, job.attempt) == (JobState.DEAD, "invalid_payload", 1)
    assert job.error_message == reason


@pytest.mark.parametrize("result", [float("nan"), object(), {1: {2}}, "x" * 2_000_000], ids=str.__class__)
async def test_a_result_that_is_no_json_is_dead_at_once(app: Schedora, result: Any) -> None:
    @app.job("odd")
    async def odd() -> Any:
        return result

    async with in_memory(app):
        job = await app.wait(await odd.submit())
    assert (job.status, job.errors[0].kind) == (JobState.DEAD, "invalid_result")


async def test_jobs_are_listed_by_type_and_status(app: Schedora, sched: MemoryScheduler) -> None:
    for number in range(3):
        await app.submit("echo", {"number": number})
    await app.submit("fail", max_retries=0)
    await sched.run_until_idle()
    assert [job.payload["number"] for job in sched.jobs("echo")] == [0, 1, 2]
    assert [job.type for job in sched.jobs(status=JobState.DEAD)] == ["fail"]
    assert len(sched.jobs()) == 4
    with pytest.raises(ValueError, match="LOST"):
        sched.jobs(status="LOST")


async def test_long_lists_are_listed_whole(app: Schedora, sched: MemoryScheduler) -> None:
    await app.submit_many([app.prepare("later", scheduled_at=sched.now + HOUR)] * 1_100)
    assert len(sched.jobs("later")) == 1_100


async def test_as_many_handlers_run_at_once_as_it_is_told(app: Schedora) -> None:
    async with in_memory(app, concurrency=2) as sched:
        await app.submit_many([app.prepare("sleep", {"seconds": 10})] * 3)
        await sched.run_until_idle()
        assert len(sched.jobs(status="RUNNING")) == 2
        await sched.advance(seconds=10)
        assert len(sched.jobs(status="SUCCESS")) == 2
        await sched.advance(seconds=10)
        assert len(sched.jobs(status="SUCCESS")) == 3


async def test_the_same_seed_gives_the_same_run(app: Schedora) -> None:
    function = failures(app, 9).with_options(retry_policy="jitter")

    async def pauses(seed: int) -> tuple[object, ...]:
        async with in_memory(app, seed=seed) as sched:
            job = await function.submit()
            await sched.run_until_idle()
            found = await app.get_job(job)
            return found.job_id, found.scheduled_at, found.trace_id

    assert await pauses(1) == await pauses(1)
    assert await pauses(1) != await pauses(2)


async def test_what_still_runs_at_the_end_is_stopped(app: Schedora) -> None:
    began, stopped = asyncio.Event(), asyncio.Event()

    @app.job("endless")
    async def endless() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with in_memory(app):
        await endless.submit()
        await began.wait()
    assert stopped.is_set()


async def test_priorities_decide_who_runs_first(app: Schedora) -> None:
    ran: list[int] = []

    @app.job("ranked")
    async def ranked(rank: int) -> None:
        ran.append(rank)

    async with in_memory(app, concurrency=1) as sched:
        await app.submit("sleep", {"seconds": 1}, priority=10)
        await app.submit_many([ranked.with_options(priority=rank).prepare(rank) for rank in (0, 9, 5)])
        await sched.advance(seconds=1)
    assert ran == [9, 5, 0]


async def test_an_engine_that_has_ended_is_told_of(app: Schedora, sched: MemoryScheduler) -> None:
    job = await app.submit("echo")
    sched._worker.drain()
    with pytest.raises(RuntimeError, match="the worker in memory has ended"):
        await app.wait(job)


async def test_a_long_wait_for_nothing_does_not_move_the_time(app: Schedora, sched: MemoryScheduler) -> None:
    start = sched.now
    job = await app.submit("a type that nobody handles")
    with pytest.raises(TimeoutError):
        await app.wait(job)
    assert sched.now == start
    with pytest.raises(TimeoutError):
        await app.wait(job, timeout=60)
    assert sched.now == start + timedelta(seconds=60)


async def test_what_handlers_log_is_kept(app: Schedora) -> None:
    @app.job("talks", max_retries=1, retry_base_seconds=60)
    async def talks(ctx: JobContext) -> None:
        ctx.log.info("begins", n=ctx.attempt, password="hunter2")
        await asyncio.to_thread(ctx.log.bind(where="thread").warning, "goes on")
        if ctx.attempt == 1:
            raise Broken

    async with in_memory(app) as scheduler:
        job = await talks.submit()
        await scheduler.advance(minutes=2)
        log = await scheduler.logs(job)
        assert (log.status, log.last, [run.attempt for run in log.runs]) == (JobState.SUCCESS, "2-2", [1, 2])
        assert [(line.level, line.message, line.fields) for line in log.runs[1].lines] == [
            ("info", "begins", {"n": 2, "password": "***"}),
            ("warning", "goes on", {"where": "thread"}),
        ]
        with pytest.raises(NotFound):
            await scheduler.logs(uuid4())

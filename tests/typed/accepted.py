"""Uses of the SDK that type checkers must accept, and what they must know of the results."""

from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

from schedora import (
    AsyncSchedoraClient,
    Discard,
    JobContext,
    JobDefinition,
    JobView,
    PreparedJob,
    Retry,
    Schedora,
    SchedoraClient,
    Snooze,
    WorkflowRun,
    WorkflowView,
)
from schedora.testing import MemoryScheduler, in_memory

app = Schedora()


@app.job("with_context", queue="mail", max_retries=5, retry_policy="jitter", timeout_seconds=30)
async def with_context(ctx: JobContext, to: str, subject: str = "") -> dict[str, str]:
    return {"to": to, "subject": subject}


@app.job("without_context")
async def without_context(number: int) -> int:
    return number


@app.job("blocking", executor="process")
def blocking(ctx: JobContext, when: datetime) -> str:
    return when.isoformat()


@app.job("plain")
def plain(*, name: str) -> list[str]:
    return [name]


@app.job("nothing")
def nothing() -> None:
    return None


@app.job("anything")
async def anything(**payload: Any) -> dict[str, Any]:
    return payload


async def submissions(connection: object, when: datetime, workflow_id: UUID) -> None:
    assert_type(await with_context.submit(to="a", subject="b"), JobView[dict[str, str]])
    assert_type(await with_context.submit("a"), JobView[dict[str, str]])
    assert_type(await without_context.submit(number=1), JobView[int])
    assert_type(await blocking.submit(when=when), JobView[str])
    assert_type(await plain.submit(name="a"), JobView[list[str]])
    assert_type(await nothing.submit(), JobView[None])
    assert_type(await anything.submit(a=1, b="c"), JobView[dict[str, Any]])
    assert_type(with_context.submit_sync(to="a"), JobView[dict[str, str]])
    assert_type(without_context.prepare(1), PreparedJob[int])

    chosen = with_context.with_options(
        idempotency_key="k",
        priority=9,
        queue="other",
        scheduled_at=when,
        max_retries=1,
        retry_policy="fixed",
        retry_base_seconds=1,
        retry_max_seconds=2.5,
        timeout_seconds=3,
        workflow_id=workflow_id,
        depends_on=[workflow_id],
        connection=connection,
    )
    job = await chosen.submit(to="a")
    assert_type(job, JobView[dict[str, str]])

    assert_type(await app.submit_many([with_context.prepare(to="a")]), list[JobView[dict[str, str]]])
    await app.submit_many([with_context.prepare(to="a"), without_context.prepare(1)], connection=connection)
    assert_type(await app.submit("echo", {"a": 1}, priority=3), JobView[Any])

    done = await app.wait(job, timeout=30)
    assert_type(done, JobView[dict[str, str]])
    assert_type(done.value(), dict[str, str])
    assert_type(await app.wait(job.job_id, timeout=30), JobView[Any])
    assert_type(app.wait_sync(job, timeout=30), JobView[dict[str, str]])


async def workflows() -> None:
    flow = app.workflow("order-42", description="an order", config={"a": 1})
    first = flow.add(without_context.prepare(1), key="first")
    flow.add(nothing.prepare(), after=[first])
    run = await flow.submit()
    assert_type(run, WorkflowRun)
    assert_type(await run.wait(timeout=1), WorkflowView)
    assert_type(await app.wait_workflow(run.workflow_id), WorkflowView)


def calls(ctx: JobContext, when: datetime) -> None:
    """A job function can still be called as what it was."""
    _ = assert_type(with_context(ctx, to="a"), Coroutine[Any, Any, dict[str, str]])
    _ = assert_type(without_context(1), Coroutine[Any, Any, int])
    assert_type(blocking(ctx, when=when), str)
    assert_type(plain(name="a"), list[str])


def takes_any_of_them(definition: JobDefinition[..., Any]) -> None:
    takes_any_of_them(with_context)
    takes_any_of_them(plain.with_options(priority=1))


async def context_managers() -> None:
    async with app as opened:
        assert_type(opened, Schedora)
    with app as opened_sync:
        assert_type(opened_sync, Schedora)


def directives() -> list[Exception]:
    minute = timedelta(minutes=1)
    return [
        Retry(),
        Retry("later", after=60),
        Retry(after=minute),
        Discard("why"),
        Snooze(60),
        Snooze(minute, "why"),
    ]


async def in_a_test() -> None:
    async with in_memory(app, seed=1, concurrency=2) as sched:
        assert_type(sched, MemoryScheduler)
        await sched.run_until_idle()
        await sched.advance(hours=3)
        await sched.advance(timedelta(hours=3))
        assert_type(sched.jobs("plain", status="DEAD"), list[JobView[Any]])


def over_http(client: SchedoraClient, when: datetime) -> None:
    job = client.submit("plain", {"name": "a"}, idempotency_key="k", priority=9, scheduled_at=when)
    assert_type(job, JobView[Any])
    assert_type(client.wait(job, timeout=timedelta(minutes=1)), JobView[Any])
    rows = client.submit_many([{"type": "plain", "payload": {"name": "a"}, "retry_policy": "fixed"}])
    assert_type(rows[0].created, bool)
    flow = client.create_workflow(
        "w", jobs=[{"key": "a", "type": "plain"}, {"key": "b", "type": "x", "depends_on": ["a"]}]
    )
    assert_type(client.get_workflow(flow), WorkflowView)
    assert_type(client.list_jobs(status=["DEAD"]).data, tuple[JobView[Any], ...])
    assert_type(client.requeue(queue="mail"), int)
    assert_type(client.job_why(job).reasons[0].message, str)
    assert_type(client.job_trace(job).spans[0].duration, timedelta)
    assert_type(client.workflow_trace(flow).next_cursor, str | None)
    assert_type(client.job_logs(job, tail=5).lines[0].timestamp, datetime)
    assert_type(client.health().status, str)
    assert_type(client.deep_health().findings[0].code, str)


async def over_http_awaited(client: AsyncSchedoraClient) -> None:
    async with client:
        job = await client.submit("plain", {"name": "a"})
        assert_type((await client.job_why(job)).ready, bool)
        assert_type((await client.job_logs(job)).last, str | None)
        assert_type(job, JobView[Any])
        assert_type(await client.wait(job), JobView[Any])
        assert_type((await client.list_workers("ACTIVE")).total, int)

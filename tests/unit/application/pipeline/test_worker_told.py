"""What a worker says of itself in the log: each line as people search for it, and with all that they need to act on it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from structlog.testing import capture_logs

from schedora.adapters.memory.faults import AFTER_COMMIT
from schedora.application.context import JobContext
from schedora.application.errors import LockConflict, StoreUnavailable
from schedora.application.handlers import Executor
from schedora.application.pipeline.departure import FAREWELL, UNWRITTEN_NAMED_MAX
from schedora.application.pipeline.runs import GRACE
from schedora.domain.completion import Completion
from schedora.domain.retry import RetryPolicy
from schedora.domain.worker import WorkerState
from tests.builders import SECOND, a_request
from tests.unit.application.fussy import fussy
from tests.unit.application.pipeline.engine import Engine, Held, HeldThread

ONCE = RetryPolicy(max_retries=0)
AWAY = "the memory store fails on demand: "
Lines = Sequence[Any]


def without_attempts(lines: Lines) -> list[dict[str, Any]]:
    """Leaves out what the attempt log tells."""
    return [dict(line) for line in lines if "attempt" not in line]


def of(lines: Lines, event: str) -> dict[str, Any]:
    """The one line that begins so."""
    [line] = [dict(line) for line in lines if line["event"].startswith(event)]
    return line


async def answer(_context: JobContext) -> None: ...


async def test_it_tells_that_it_has_registered_and_nothing_more_while_all_is_well(engine: Engine) -> None:
    engine.handle(answer)
    await engine.bench.stores.submit_one()
    with capture_logs() as lines:
        async with engine.running() as worker:
            await engine.advance(SECOND)
            worker.drain()
            await engine.settle()
    [incarnation] = engine.heartbeat.incarnations
    assert lines == [
        {
            "event": "worker registered",
            "log_level": "info",
            "worker_id": "w1",
            "incarnation": str(incarnation),
        }
    ]


async def test_it_tells_that_others_have_drained_it(engine: Engine) -> None:
    async with engine.running() as worker:
        with capture_logs() as lines:
            for _ in range(2):
                worker.heard(engine.heartbeat.incarnations[0], WorkerState.DRAINING)
    event = "drained by request: no new jobs are taken"
    assert lines == [{"event": event, "log_level": "info", "worker_id": "w1"}]


async def test_it_tells_that_it_was_declared_lost(engine: Engine) -> None:
    async with engine.running() as worker:
        with capture_logs() as lines:
            worker.heard(engine.heartbeat.incarnations[0], WorkerState.STALE)
            await engine.settle()
    [lost, registered] = lines
    event = "declared lost: registering again"
    assert lost == {"event": event, "log_level": "warning", "worker_id": "w1"}
    assert registered["incarnation"] == str(engine.heartbeat.incarnations[1])


async def test_it_tells_how_many_jobs_it_has_found_again(engine: Engine) -> None:
    engine.handle(Held())
    async with engine.running():
        engine.bench.faults.fail(AFTER_COMMIT, nth=2)  # the submission, the claim
        with capture_logs() as lines:
            await engine.bench.submit([a_request(), a_request()])
            await engine.advance(10 * SECOND)
    assert of(lines, "jobs found") == {
        "event": "jobs found under this worker's lease",
        "log_level": "info",
        "jobs": 2,
    }


async def test_it_tells_that_the_store_is_away_and_how_much_it_keeps_and_that_it_is_back(
    engine: Engine,
) -> None:
    held = Held()
    engine.handle(held)
    await engine.bench.stores.submit(*(a_request() for _ in range(2)))
    async with engine.running():
        engine.bench.faults.away = True
        held.let_go()
        with capture_logs() as lines:
            await engine.advance(30 * SECOND)
            engine.bench.faults.away = False
            await engine.advance(10 * SECOND)
    assert without_attempts(lines) == [
        {
            "event": "the store is away; outcomes are kept",
            "log_level": "warning",
            "error": f"{AWAY}job_queue.sync",
            "kept": 2,
        },
        {"event": "the store is back", "log_level": "info", "worker_id": "w1"},
    ]


async def test_that_others_were_in_the_way_is_told_to_who_asks_for_detail(engine: Engine) -> None:
    async with engine.running() as worker:
        with capture_logs() as lines:
            worker.stages.contact.failed(LockConflict("a deadlock"))
    assert lines == [
        {
            "event": "others were in the way",
            "log_level": "debug",
            "error": "a deadlock",
            "worker_id": "w1",
        }
    ]


@pytest.mark.parametrize("answers", [True, False])
async def test_it_tells_why_it_could_not_deregister(engine: Engine, answers: bool) -> None:
    async with engine.running() as worker:
        with capture_logs() as lines:
            if answers:
                engine.bench.faults.away = True
            else:
                engine.bench.faults.frozen = asyncio.Event()
            worker.drain()
            await engine.advance(FAREWELL)
            if engine.bench.faults.frozen is not None:
                engine.bench.faults.frozen.set()
    assert of(lines, "deregistration") == {
        "event": "deregistration failed; the reaper will rescue its leases",
        "log_level": "warning",
        "error": f"{AWAY}workers.set_status" if answers else "it did not answer in time",
    }


async def test_it_tells_which_outcomes_were_not_written(engine: Engine) -> None:
    held = Held()
    engine.handle(held)
    engine.slots = UNWRITTEN_NAMED_MAX + 1
    jobs = await engine.bench.stores.submit(*(a_request() for _ in range(engine.slots)))
    async with engine.running() as worker:
        engine.bench.faults.away = True
        held.let_go()
        worker.drain()
        with capture_logs() as lines:
            await engine.advance(engine.limits.shutdown_timeout + 4 * GRACE)
    assert of(lines, "outcomes were not written") == {
        "event": "outcomes were not written: a reaper gives these jobs back, and they run again",
        "log_level": "error",
        "worker_id": "w1",
        "jobs": UNWRITTEN_NAMED_MAX + 1,
        "job_ids": sorted(str(job.job_id) for job in jobs)[:UNWRITTEN_NAMED_MAX],
    }


async def test_it_tells_what_it_is_needs_restart_by(engine: Engine) -> None:
    held = Held()
    held.deaf = True
    engine.handle(held, job_type="sits")
    engine.handle(held, job_type="lies")
    engine.slots = 4
    engine.limits = attrs.evolve(engine.limits, replaceable=True)
    requests = [a_request(type=name, timeout=SECOND, retry=ONCE) for name in ("sits", "lies")]
    await engine.bench.stores.submit(*requests)
    with capture_logs() as lines:
        async with engine.running():
            await engine.advance(SECOND + GRACE + engine.limits.lease_check)
            held.let_go()
    assert of(lines, "handlers that do not stop") == {
        "event": "handlers that do not stop hold half of the slots: the worker drains, and a fresh process takes over",
        "log_level": "error",
        "worker_id": "w1",
        "stuck": 2,
        "slots": 4,
        "job_types": ["lies", "sits"],
    }


async def test_it_tells_that_a_handler_goes_on_without_its_job(engine: Engine) -> None:
    held = Held()
    held.deaf = True
    engine.handle(held)
    job = await engine.bench.stores.submit_one(a_request(timeout=SECOND, retry=ONCE))
    async with engine.running():
        with capture_logs() as lines:
            await engine.advance(SECOND + GRACE)
            held.let_go()
    assert of(lines, "handler does not stop") == {
        "event": "handler does not stop; its job goes on without it",
        "log_level": "error",
        "job_id": str(job.job_id),
    }


async def test_it_tells_that_a_thread_goes_on_without_its_job(engine: Engine) -> None:
    held = HeldThread()
    engine.handle(held, executor=Executor.THREAD)
    job = await engine.bench.stores.submit_one(a_request(timeout=SECOND, retry=ONCE))
    async with engine.running():
        await engine.happens(held.began)
        with capture_logs() as lines:
            await engine.advance(SECOND)
        held.let_go()
    assert of(lines, "a thread") == {
        "event": "a thread can't be stopped; its job goes on without it",
        "log_level": "warning",
        "job_id": str(job.job_id),
        "job_type": "work",
    }


async def test_it_tells_which_handler_it_has_stopped_for_its_lease(engine: Engine) -> None:
    engine.handle(Held())
    job = await engine.bench.stores.submit_one()
    async with engine.running():
        with capture_logs() as lines:
            await engine.bench.cancel(job.job_id)
            await engine.settle()
    assert of(lines, "lease lost") == {
        "event": "lease lost, handler stopped",
        "log_level": "warning",
        "job_id": str(job.job_id),
        "job_type": "work",
    }


async def test_it_tells_what_went_wrong_outside_of_a_handler(engine: Engine) -> None:
    engine.handle(answer, executor=Executor.PROCESS)
    job = await engine.bench.stores.submit_one(a_request(retry=ONCE))
    async with engine.running():
        with capture_logs() as lines:
            engine.children.outcome.set_exception(error := RuntimeError("no such child"))
            await engine.settle()
    assert of(lines, "a run failed") == {
        "event": "a run failed outside of its handler",
        "log_level": "error",
        "job_id": str(job.job_id),
        "exc_info": error,
    }


def refuse_batches(completions: Sequence[Completion]) -> None:
    if len(completions) > 1:
        raise ArithmeticError("too many")


@pytest.mark.parametrize("in_workflow", [True, False])
async def test_it_tells_that_a_batch_was_refused_and_by_what(engine: Engine, in_workflow: bool) -> None:
    engine.queue, engine.complete = fussy(engine.bench, refuse_batches)
    held = Held()
    engine.handle(held)
    if in_workflow:
        await engine.bench.flow(a="", b="")
    else:
        await engine.bench.stores.submit(*(a_request() for _ in range(2)))
    async with engine.running():
        with capture_logs() as lines:
            held.let_go()
            await engine.settle()
    assert without_attempts(lines) == [
        {"event": "a batch of completions was refused", "log_level": "warning", "error": "ArithmeticError"}
    ]


async def test_that_the_store_is_away_is_told_once(engine: Engine) -> None:
    async with engine.running() as worker:
        with capture_logs() as lines:
            worker.stages.contact.failed(StoreUnavailable("gone"))
            worker.stages.contact.failed(StoreUnavailable("still gone"))
    assert [(line["event"], line["error"], line["kept"]) for line in lines] == [
        ("the store is away; outcomes are kept", "gone", 0)
    ]


async def test_it_tells_why_it_can_not_register(engine: Engine) -> None:
    engine.bench.faults.away = True
    with capture_logs() as lines:
        async with engine.running():
            pass
    assert [(line["event"], line["error"]) for line in lines] == [
        ("the store is away; outcomes are kept", f"{AWAY}workers.register")
    ]

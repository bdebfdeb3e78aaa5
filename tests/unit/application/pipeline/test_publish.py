"""What is told of jobs, against what their records say in the end: each move once, and in its order."""

import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from schedora.adapters.memory.faults import AFTER_COMMIT
from schedora.application.commands.workflows import Step, WorkflowRequest
from schedora.application.context import JobContext
from schedora.application.directives import Discard, Retry, Snooze
from schedora.application.errors import Conflict
from schedora.application.pipeline.publish import (
    publish_claimed,
    publish_completed,
    publish_created,
    publish_moved,
    publish_started,
    publish_submitted,
)
from schedora.application.ports.events import Events, Position, Reading
from schedora.application.ports.job_reader import JobFilter
from schedora.application.ports.jobs import Submission
from schedora.application.ports.wakeup import Hint
from schedora.domain.events import JobEvent, Notice
from schedora.domain.ids import JobId, WorkerId, WorkflowId
from schedora.domain.job import UPSTREAM_FAILED, Job
from schedora.domain.job_state import MOVES, JobState
from schedora.domain.outcome import Failed
from schedora.domain.retry import RetryPolicy
from tests.builders import (
    HOUR,
    NOON,
    SECOND,
    a_claimed_job,
    a_job,
    a_new_job,
    a_request,
    a_workflow_id,
    settled,
)
from tests.unit.application.bench import Bench, a_bench
from tests.unit.application.pipeline.engine import Engine, Held

S = JobState
AT_ONCE = timedelta(0)
EVERYTHING = 10_000
ACTS = (
    "return",
    "return",
    "sleep",
    "report",
    "fail",
    "give up",
    "snooze",
    "retry",
    "hang",
    "complete in",
    "roll back",
)
QUICK = ("return", "nap", "nap", "fail", "complete in")
"""Where all are quick, a worker claims ahead."""


class Everything:
    """All that is told from now on."""

    def __init__(self, bench: Bench) -> None:
        self._events = bench.stores.events
        self._start: Position | None = None

    async def attend(self) -> None:
        await self._events.attend(1_000 * HOUR)
        self._start = await self._events.now()

    async def told(self) -> list[Notice]:
        assert self._start is not None
        reading = await self._events.read(self._start, limit=EVERYTHING, patience=AT_ONCE)
        assert reading.complete
        return [one.notice for one in reading.told]

    async def by_job(self) -> dict[JobId, list[JobEvent]]:
        told: dict[JobId, list[JobEvent]] = defaultdict(list)
        for notice in await self.told():
            told[notice.job_id].append(notice.event)
        return told


@pytest.fixture
async def everything(bench: Bench) -> Everything:
    everything = Everything(bench)
    await everything.attend()
    return everything


async def all_jobs(bench: Bench) -> list[Job]:
    page = await bench.stores.job_reader.page(JobFilter(), limit=EVERYTHING, after=None)
    return list(page.jobs)


class Life:
    """Some days of a system with workers that come and go, in which everything happens to jobs that can."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.bench = engine.bench
        self.random = random.Random(seed)
        self.acts = self.random.choice([ACTS, QUICK])
        self.flows: list[WorkflowId] = []
        engine.slots = 3
        engine.handle(self.act)
        engine.handle(self.act, job_type="other")

    async def act(self, context: JobContext) -> str:
        """A handler that does what may be done."""
        clock = self.bench.clock
        match self.random.choice(self.acts):
            case "sleep":
                await clock.sleep(self.random.randint(1, 20) * SECOND)
            case "nap":
                await clock.sleep(0.006 * SECOND)
            case "report":
                for part in range(3):
                    context.progress(part / 3)
                    await clock.sleep(SECOND)
            case "fail":
                raise ArithmeticError(context.attempt)
            case "give up":
                raise Discard("of no use")
            case "snooze":
                raise Snooze(self.random.randint(0, 5))
            case "retry":
                raise Retry("once more", after=self.random.randint(0, 5))
            case "hang":
                await clock.sleep(HOUR)
            case "complete in":
                async with self.bench.stores.units.begin() as unit:
                    await context.complete_in(unit, "written")
            case "roll back":
                async with self.bench.stores.abandoned_unit() as unit:
                    await context.complete_in(unit, "written in vain")
        return "done"

    async def live(self) -> None:
        for _ in range(6):
            async with self.engine.running() as worker:
                for _ in range(self.random.randint(3, 8)):
                    await self.random.choice(self.doings)()
                    await self.engine.advance(self.random.choice([0, 0.003, 1, 10, 60]) * SECOND)
                if self.random.random() < 0.5:
                    worker.drain()
                    await self.engine.advance(self.random.choice([0, 60]) * SECOND)
            # What was not drained died with all that it held.
            self.bench.clock.advance(100 * SECOND)
            incarnations = [one.incarnation for one in await self.engine.incarnations()]
            await self.bench.stores.workers.declare_stale(incarnations, 90 * SECOND)
            await self.bench.rescue()

    @property
    def doings(self) -> Sequence[Callable[[], Awaitable[Any]]]:
        return (
            self.submit, self.submit, self.submit_many, self.flow, self.flow, self.cancel, self.cancel,
            self.requeue, self.requeue_dead, self.purge, self.cancel_flow, self.retry_flow, self.add_to_flow,
            self.match, self.match,
        )  # fmt: skip

    def request(self, **fields: Any) -> Any:
        return a_request(
            type=self.random.choice(["work", "work", "other", "nobody's"]),
            queue=self.random.choice(["a", "b"]),
            timeout=30 * SECOND,
            retry=RetryPolicy(
                max_retries=self.random.randint(0, 2), base=self.random.choice([0, 5]) * SECOND
            ),
            **fields,
        )

    async def submit(self) -> None:
        for _ in range(self.random.randint(1, 12)):
            await self.bench.submit([self.request(idempotency_key=f"key {self.random.randint(1, 50)}")])

    async def submit_many(self) -> None:
        await self.bench.submit([self.request() for _ in range(self.random.randint(2, 5))])

    async def match(self) -> None:
        """Jobs that are leased to the worker as soon as they are stored, of which it is told, soon or late, or twice."""
        owner = self.engine.heartbeat.incarnations[-1]
        for _ in range(self.random.randint(1, 5)):
            await self.bench.submit([self.request()])
            types = ("work", "other", "nobody's")
            claims = await self.bench.stores.claim(owner, types=types, limit=1, start_count=0)
            for job in claims * self.random.randint(1, 2):
                hint = Hint(owners=frozenset({owner}), matched=job)
                await self.engine.advance(self.random.choice([0, 0, 0.003, 0.5, 2]) * SECOND)
                self.engine.worker.stages.hints.on_hint(hint)

    async def flow(self) -> None:
        after = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ("d",)}
        steps = tuple(Step(request=self.request(key=key), after=causes) for key, causes in after.items())
        name = f"flow {len(self.flows)}"
        created = await self.bench.create_workflow(WorkflowRequest(name=name, steps=steps))
        self.flows.append(created.workflow.workflow_id)

    async def cancel(self) -> None:
        with suppress(Conflict):
            await self.bench.cancel((await self.some_job()).job_id)

    async def requeue(self) -> None:
        with suppress(Conflict):
            await self.bench.requeue((await self.some_job()).job_id)

    async def requeue_dead(self) -> None:
        await self.bench.requeue_dead(JobFilter(queue="a"))

    async def purge(self) -> None:
        await self.bench.purge_queue("b")

    async def cancel_flow(self) -> None:
        if self.flows:
            with suppress(Conflict):
                await self.bench.cancel_workflow(self.random.choice(self.flows))

    async def retry_flow(self) -> None:
        for workflow_id in self.flows:
            with suppress(Conflict):
                await self.bench.retry_workflow(workflow_id)

    async def add_to_flow(self) -> None:
        """Behind a job that may have no hope left."""
        upstream = await self.some_job()
        if (workflow_id := upstream.request.workflow_id) is not None:
            request = self.request(workflow_id=workflow_id, depends_on=(upstream.job_id,))
            with suppress(Conflict):
                await self.bench.submit([request])

    async def some_job(self) -> Job:
        """In any of the states that there are, in each as likely."""
        if not await all_jobs(self.bench):
            await self.submit()
        jobs = await all_jobs(self.bench)
        state = self.random.choice(sorted({job.status for job in jobs}))
        return self.random.choice([job for job in jobs if job.status is state])


@pytest.mark.parametrize("seed", range(20))
async def test_each_move_of_each_job_is_told_once_and_in_its_order(
    engine: Engine, everything: Everything, seed: int
) -> None:
    await Life(engine, seed).live()
    told = await everything.by_job()
    jobs = await all_jobs(engine.bench)
    for job in jobs:
        assert told.pop(job.job_id) == list(job.events())
    assert not told


async def test_these_lives_have_every_move_in_them() -> None:
    moves: set[tuple[JobState | None, JobState]] = set()
    for seed in range(8):
        bench = a_bench()
        everything = Everything(bench)
        await everything.attend()
        await Life(Engine(bench), seed).live()
        moves |= {(notice.event.from_state, notice.event.to_state) for notice in await everything.told()}
    assert moves == {(None, S.PENDING), *MOVES}


async def test_claim_whose_answer_was_lost_is_told_once_its_jobs_are_found(
    engine: Engine, everything: Everything
) -> None:
    engine.handle(lambda _: _nothing())
    [submission] = await engine.bench.submit([a_request()])
    engine.bench.faults.fail(AFTER_COMMIT, nth=2)  # the worker's registration, the claim
    async with engine.running():
        await engine.advance(10 * SECOND)
    job = await engine.bench.stores.job(submission.job_id)
    assert job.status is S.SUCCESS
    assert (await everything.by_job())[job.job_id] == list(job.events())


async def test_every_notice_says_whose_move_it_is(bench: Bench, everything: Everything) -> None:
    flow = await bench.flow(a="", b="a")
    alone = await bench.submit([a_request(type="other", queue="mail")])
    assert [(n.job_id, n.type, n.queue, n.workflow_id) for n in await everything.told()] == [
        *((job.job_id, "work", f"queue-{key}", job.request.workflow_id) for key, job in flow.items()),
        (alone[0].job_id, "other", "mail", None),
    ]


async def test_every_notice_of_a_job_that_is_held_says_whose_move_it_is(
    bench: Bench, everything: Everything
) -> None:
    events, workflow_id = bench.stores.events, a_workflow_id()
    claim = a_claimed_job(type="other", queue="mail", workflow_id=workflow_id)
    publish_claimed(events, [claim])
    publish_started(events, [claim])
    publish_completed(events, [(claim, settled(claim, Failed(kind="Oops", message="it failed")))])
    told = await everything.told()
    assert {(n.job_id, n.type, n.queue, n.workflow_id) for n in told} == {
        (claim.job_id, "other", "mail", workflow_id)
    }
    assert [n.event.to_state for n in told] == [S.SCHEDULED, S.RUNNING, S.RUNNING, S.FAILED, S.RETRYING]


async def test_submission_to_a_workflow_says_of_which(bench: Bench, everything: Everything) -> None:
    new = a_new_job(a_request(workflow_id=(workflow_id := a_workflow_id())))
    submission = Submission(new=new, created_at=NOON, created=True)
    publish_submitted(bench.stores.events, [submission])
    assert [n.workflow_id for n in await everything.told()] == [workflow_id]


async def test_cause_is_told_before_what_it_brings_about(engine: Engine, everything: Everything) -> None:
    async def give_up(_: JobContext) -> None:
        raise Discard

    engine.handle(give_up)
    flow = await engine.bench.flow(a="", b="a", c="b")
    async with engine.running():
        pass
    ends = [
        (notice.job_id, notice.event.reason)
        for notice in await everything.told()
        if notice.event.to_state in (S.DEAD, S.CANCELED)
    ]
    assert ends == [
        (flow["a"].job_id, "Discard"),
        (flow["b"].job_id, UPSTREAM_FAILED),
        (flow["c"].job_id, UPSTREAM_FAILED),
    ]


async def test_start_of_a_long_run_is_told_while_it_runs(engine: Engine, everything: Everything) -> None:
    held = Held()
    engine.handle(held)
    engine.slots = 1
    async with engine.running():
        [submission] = await engine.bench.submit([a_request()])
        await engine.advance(SECOND)
        states = [event.to_state for event in (await everything.by_job())[submission.job_id]]
        assert states == [S.PENDING, S.SCHEDULED, S.RUNNING]
        held.let_go()


async def test_submission_in_a_callers_transaction_is_told_by_its_claim(
    engine: Engine, everything: Everything
) -> None:
    engine.handle(lambda _: _nothing())
    async with engine.bench.stores.units.begin() as unit:
        [submission] = await engine.bench.submit([a_request()], connection=unit)
    assert await everything.told() == []
    async with engine.running():
        pass
    job = await engine.bench.stores.job(submission.job_id)
    assert (await everything.by_job())[job.job_id] == list(job.events()[1:])


async def _nothing() -> None:
    """Does it."""


async def test_submission_that_found_its_job_is_not_told(bench: Bench, everything: Everything) -> None:
    for _ in range(2):
        await bench.submit([a_request(idempotency_key="k")])
        await bench.submit([a_request(idempotency_key="k"), a_request(idempotency_key="l")])
    assert len(await everything.told()) == 2


class Unheard:
    """Nobody listens."""

    @property
    def wanted(self) -> bool:
        return False

    def publish(self, notices: Sequence[Notice], *, lost: int = 0) -> None:
        raise AssertionError("there is nobody to be told")

    async def attend(self, span: timedelta) -> None: ...

    async def now(self) -> Position:
        return Position("")

    async def read(self, after: Position, *, limit: int, patience: timedelta) -> Reading:
        raise NotImplementedError

    async def prune(self, older_than: timedelta) -> None: ...


async def test_while_nobody_listens_nothing_is_made(bench: Bench) -> None:
    class Untouchable:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"{name} is looked at for nobody")

    events: Events = Unheard()
    untouchable: Any = [Untouchable()]
    for tell in (
        publish_submitted,
        publish_created,
        publish_claimed,
        publish_started,
        publish_completed,
        publish_moved,
    ):
        tell(events, untouchable)
    assert not events.wanted


async def test_who_has_nothing_to_tell_does_not_ask_whether_anybody_listens(bench: Bench) -> None:
    class Unasked(Unheard):
        @property
        def wanted(self) -> bool:
            raise AssertionError("asking may cost a look at the store")

    events: Events = Unasked()
    for tell in (
        publish_submitted,
        publish_created,
        publish_claimed,
        publish_started,
        publish_completed,
        publish_moved,
    ):
        tell(events, [])


async def test_start_that_the_store_knew_of_is_not_told_with_the_end(bench: Bench) -> None:
    events = bench.stores.events
    await events.attend(HOUR)
    start = await events.now()
    claim = a_claimed_job(worker_id=WorkerId("w9"))
    unknown = a_claimed_job(started_at=None)
    failure = Failed(kind="Oops", message="it failed", retryable=False)
    publish_completed(events, [(claim, settled(claim, failure))])
    publish_completed(events, [(unknown, settled(unknown, failure, started_at=claim.started_at))])
    told = [one.notice.event.to_state for one in (await events.read(start, limit=9, patience=AT_ONCE)).told]
    assert told == [S.FAILED, S.DEAD, S.RUNNING, S.FAILED, S.DEAD]


async def test_created_jobs_are_told_with_what_happened_since(bench: Bench) -> None:
    events = bench.stores.events
    await events.attend(HOUR)
    start = await events.now()
    job = a_job(S.CANCELED)
    publish_created(events, [job])
    publish_moved(events, [job])
    reading = await events.read(start, limit=9, patience=AT_ONCE)
    assert [one.notice.event for one in reading.told] == [*job.events(), job.history[-1]]
    assert a_new_job().job_id != job.job_id

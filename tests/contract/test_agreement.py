"""The same commands in the same order make the same records, whichever store keeps them.

Random commands go to the memory store and to PostgreSQL alike; after each of them both must have given the same
answer, show the same records, and keep counts that are true.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import Enum
from itertools import count
from typing import Any, TypeVar

import attrs
import psycopg
import pytest
from attrs import frozen
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.sql import SQL, Identifier

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.postgres.claim_cursor import PASSED_OVER_SECONDS_MAX, ClaimCursor
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_queue import PostgresJobQueue
from schedora.adapters.postgres.tables import metadata
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.commands.cancel import CancelJob
from schedora.application.commands.group_commit import GroupCommit
from schedora.application.commands.queues import PauseQueue, PurgeQueue, ResumeQueue
from schedora.application.commands.requeue import DeleteDead, RequeueDead, RequeueJob
from schedora.application.commands.submit import SubmitJobs
from schedora.application.commands.workflows import (
    CancelWorkflow,
    CreateWorkflow,
    RetryWorkflow,
    Step,
    WorkflowRequest,
)
from schedora.application.errors import ApplicationError
from schedora.application.maintenance.rescue import RescueJobs
from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.ports.job_queue import ClaimRequest, Start, SyncBatch
from schedora.application.ports.job_reader import JobFilter
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion, settle
from schedora.domain.errors import DomainError
from schedora.domain.ids import IncarnationId, JobId, JsonText, WorkerId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_request import JobRequest
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from schedora.domain.retry import RetryPolicy
from schedora.domain.worker import WorkerState
from schedora.domain.workflow import Workflow
from tests.builders import HOUR, an_identity, an_incarnation
from tests.contract.memory import a_memory_store, memory_stores
from tests.contract.postgres import postgres_stores
from tests.contract.stores import WORKER_DEATHS_MAX, Stores
from tests.contract.test_job_state import assert_legal
from tests.unit.application.bench import RecordedMetrics

T = TypeVar("T")

EXAMPLES, STEPS = 12, 40
EVERYTHING = 1_000

QUEUES, TYPES = ("a", "b"), ("x", "y")
AT_ONCE = timedelta(0)

picks = st.integers(0, 999)
"""Stands for one of those that there are, whatever their number."""
few = st.lists(picks, max_size=3)

requests = st.fixed_dictionaries(
    {
        "queue": st.sampled_from(QUEUES),
        "type": st.sampled_from(TYPES),
        "priority": st.integers(4, 6),
        "idempotency_key": st.sampled_from([None, None, None, "k1", "k2"]),
        "retry": st.builds(
            RetryPolicy, max_retries=st.integers(0, 2), base=st.sampled_from([AT_ONCE, AT_ONCE, HOUR])
        ),
        "payload": st.sampled_from([JsonText("{}"), JsonText('{"n":1.0,"ü":"\\"\\\\"}')]),
    }
)
outcomes = st.sampled_from(
    [
        Succeeded(),
        Succeeded(result=JsonText('{"b":[1.50,null,"ü"],"a":1e2}')),
        Failed(kind="Oops", message="again", traceback="Trace\nback"),
        Failed(kind="Oops", message="hopeless", retryable=False),
        Failed(kind="Soon", message="", retry_after=AT_ONCE),
        Failed(kind="Late", message="", retry_after=HOUR),
        TimedOut(timeout=HOUR),
        Snoozed(delay=AT_ONCE, reason="not yet"),
        Snoozed(delay=HOUR),
        Released(reason="draining"),
        WorkerLost(message="silence"),
    ]
)
GRAPHS: list[dict[str, str]] = [
    {},
    {"a": "", "b": "a"},
    {"a": "", "b": "", "c": "ab"},
    {"b": "a", "a": "", "c": "a", "d": "bc"},
    {"a": "b", "b": "a"},
]


class Side:
    """One store, and the use cases over it. Chance is the same on both sides."""

    def __init__(self, stores: Stores) -> None:
        chance = SeededRandomness(1, VirtualClock())
        units, wakeup, reader, events = stores.units, stores.wakeup, stores.job_reader, stores.events
        self.stores = stores
        self.metrics = RecordedMetrics()
        self.claims: list[ClaimedJob] = []
        self.submit = SubmitJobs(
            units=units,
            single=GroupCommit(
                job_writer=stores.job_writer, events=events, metrics=self.metrics, randomness=chance
            ),
            wakeup=wakeup,
            events=events,
            metrics=self.metrics,
            randomness=chance,
        )
        self.cancel = CancelJob(
            units=units, reader=reader, wakeup=wakeup, events=events, metrics=self.metrics
        )
        self.requeue = RequeueJob(units=units, reader=reader, wakeup=wakeup, events=events)
        self.requeue_dead = RequeueDead(units=units, reader=reader, wakeup=wakeup, events=events)
        self.delete_dead = DeleteDead(units=units, reader=reader)
        self.create_workflow = CreateWorkflow(
            units=units,
            wakeup=wakeup,
            events=events,
            metrics=self.metrics,
            randomness=chance,
            reader=stores.workflow_reader,
        )
        self.cancel_workflow = CancelWorkflow(
            units=units, wakeup=wakeup, events=events, reader=stores.workflow_reader, metrics=self.metrics
        )
        self.retry_workflow = RetryWorkflow(
            units=units, wakeup=wakeup, events=events, reader=stores.workflow_reader
        )
        self.pause = PauseQueue(queues=stores.queues)
        self.resume = ResumeQueue(queues=stores.queues, wakeup=wakeup)
        self.purge = PurgeQueue(units=units, reader=reader, events=events, metrics=self.metrics)
        self.complete = CompleteJobs(units=units, wakeup=wakeup)
        self.rescue = RescueJobs(
            units=units,
            queue=stores.job_queue,
            workers=stores.workers,
            complete=self.complete,
            wakeup=wakeup,
            events=events,
            metrics=self.metrics,
            randomness=chance,
            worker_deaths_max=WORKER_DEATHS_MAX,
        )

    async def jobs(self) -> tuple[Job, ...]:
        return (await self.stores.job_reader.page(JobFilter(), limit=EVERYTHING, after=None)).jobs

    async def workflows(self) -> tuple[Workflow, ...]:
        page = await self.stores.workflow_reader.page(status=None, name=None, limit=EVERYTHING, after=None)
        return page.workflows

    async def completion(self, number: int, outcome: Outcome) -> Completion:
        claim = self.claims[number]
        now = await self.stores.now()
        started_at = claim.started_at
        if started_at is None and not isinstance(outcome, Snoozed | Released | WorkerLost):
            started_at = now  # its end came before word of its start
        return settle(
            claim,
            outcome,
            started_at=started_at,
            ended_at=now,
            unit_random=0.0,
            worker_deaths_max=WORKER_DEATHS_MAX,
        )

    async def end(self, endings: Sequence[tuple[int, Outcome]]) -> list[bool]:
        """As a worker does: completions of workflows' jobs in a unit of work, the others in a batch."""
        completions = [await self.completion(number, outcome) for number, outcome in endings]
        alone = [completion for completion in completions if completion.workflow_id is None]
        together = [completion for completion in completions if completion.workflow_id is not None]
        accepted = set((await self.stores.sync(completions=alone)).accepted)
        accepted |= (await self.complete(together)).accepted
        return [completion.lease_id in accepted for completion in completions]

    async def everything(self) -> dict[str, Any]:
        """All that can be looked at."""
        jobs = await self.jobs()
        owners = await self.stores.workers.registered()
        stats = await self.stores.queues.stats()
        return {
            "jobs": jobs,
            "events": [job.events() for job in jobs],
            "workflows": await self.workflows(),
            "workers": sorted(owners, key=lambda worker: worker.incarnation),
            "paused": {name: queue.paused for name, queue in stats.by_queue.items()},
            "by status": {name: queue.by_status for name, queue in stats.by_queue.items()},
            "ready": {name: queue.oldest_ready is not None for name, queue in stats.by_queue.items()},
            "unhandled": stats.unhandled_types,
            "lost": await self.stores.workers.lost_jobs(EVERYTHING),
            "held": [await self.stores.job_queue.claims(worker.incarnation) for worker in owners],
            "counted": dict(self.metrics.counted),
        }


def seen(value: Any, now: datetime) -> Any:
    """``value`` without what chance and clocks decide: leases are alike, instants past, present or to come."""
    if attrs.has(type(value)):
        fields = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
        fields.pop("lease_id", None)
        return {"": type(value).__name__} | {name: seen(part, now) for name, part in fields.items()}
    if isinstance(value, datetime):
        return "to come" if value > now else "past"
    if isinstance(value, dict):
        return {key: seen(part, now) for key, part in value.items()}
    if isinstance(value, list | tuple) and not isinstance(value, Enum):
        return [seen(part, now) for part in value]
    return value


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where the two differ: whole records would fill pages."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for key in one for found in differences(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for index, pair in pairs for found in differences(*pair, f"{path}[{index}]")]
    return [] if one == other else [f"{path}: {one!r} in memory, {other!r} in PostgreSQL"]


@frozen
class Submitted:
    """What a submission tells of its job, not how it comes to know it."""

    job: Job
    created: bool
    same_request: bool


async def submitted(side: Side, *requests: JobRequest) -> list[Submitted]:
    return [Submitted(one.job, one.created, one.same_request) for one in await side.submit(requests)]


class Agreement(RuleBasedStateMachine):
    runner: asyncio.Runner
    new_sides: Callable[[], list[Side]]

    @initialize()
    def begin(self) -> None:
        self.sides = self.new_sides()
        self.jobs: list[JobId] = []
        self.workflows: list[WorkflowId] = []
        self.workers: list[IncarnationId] = []

    def both(self, command: Callable[[Side], Awaitable[T]]) -> T | None:
        """What the command came to, the same on both sides; None where both refused it, with the same words."""

        async def answers() -> list[tuple[Any, Any]]:
            found: list[tuple[Any, Any]] = []
            for side in self.sides:
                try:
                    answer: Any = await command(side)
                except (ApplicationError, DomainError) as error:
                    found.append((None, [type(error), str(error)]))
                else:
                    found.append((answer, seen(answer, await side.stores.now())))
            return found

        (answer, one), (_, other) = self.runner.run(answers())
        assert not differences(one, other)
        result: T | None = answer
        return result

    def pick(self, those: Sequence[T], number: int) -> T:
        return those[number % len(those)]

    # --- submissions ---

    @rule(fields=st.lists(requests, min_size=1, max_size=3), delayed=st.booleans())
    def submit(self, fields: list[dict[str, Any]], delayed: bool) -> None:
        async def command(side: Side) -> Any:
            scheduled_at = await side.stores.now() + HOUR if delayed else None
            asked = [JobRequest(scheduled_at=scheduled_at, **request) for request in fields]
            return await submitted(side, *asked)

        self.learn(self.both(command))

    @precondition(lambda self: self.workflows)
    @rule(fields=requests, workflow=picks, causes=few)
    def submit_into_workflow(self, fields: dict[str, Any], workflow: int, causes: list[int]) -> None:
        depends_on = tuple(dict.fromkeys(self.pick(self.jobs, cause) for cause in causes if self.jobs))
        request = JobRequest(**fields, workflow_id=self.pick(self.workflows, workflow), depends_on=depends_on)
        self.learn(self.both(lambda side: submitted(side, request)))

    @precondition(lambda self: self.workflows)
    @rule(fields=requests, workflow=picks, causes=few)
    def add_to_workflow(self, fields: dict[str, Any], workflow: int, causes: list[int]) -> None:
        """As ``submit_into_workflow``, with dependencies that are of the same workflow."""
        workflow_id = self.pick(self.workflows, workflow)

        async def of_workflow(side: Side) -> list[JobId]:
            return [job.job_id for job in (await side.stores.workflow_reader.jobs(workflow_id)).jobs]

        members = self.both(of_workflow) or []
        depends_on = tuple(dict.fromkeys(self.pick(members, cause) for cause in causes if members))
        request = JobRequest(**fields, workflow_id=workflow_id, depends_on=depends_on)
        self.learn(self.both(lambda side: submitted(side, request)))

    @rule(name=st.sampled_from(["v", "w"]), graph=st.sampled_from(GRAPHS), fields=requests)
    def create_workflow(self, name: str, graph: dict[str, str], fields: dict[str, Any]) -> None:
        fields = fields | {"idempotency_key": None}
        steps = tuple(
            Step(request=JobRequest(key=key, **fields), after=tuple(after)) for key, after in graph.items()
        )
        request = WorkflowRequest(name=f"{name}{len(self.workflows) % 3}", steps=steps)
        created = self.both(lambda side: side.create_workflow(request))
        if created is not None:
            self.workflows.append(created.workflow.workflow_id)
            self.jobs += [job.job_id for job in created.jobs]

    def learn(self, submissions: "list[Submitted] | None") -> None:
        self.jobs += [submission.job.job_id for submission in submissions or () if submission.created]

    # --- workers ---

    @rule(name=st.sampled_from(["w1", "w2"]), types=st.sampled_from([TYPES, ("x",)]))
    def register(self, name: str, types: tuple[str, ...]) -> None:
        identity, incarnation = an_identity(worker_id=WorkerId(name), types=types), an_incarnation()
        self.both(lambda side: side.stores.workers.register(identity, incarnation))
        self.workers.append(incarnation)

    @precondition(lambda self: self.workers)
    @rule(
        worker=picks,
        status=st.sampled_from([None, WorkerState.DRAINING, WorkerState.STALE, WorkerState.STOPPED]),
    )
    def change_worker(self, worker: int, status: WorkerState | None) -> None:
        incarnation = self.pick(self.workers, worker)
        if status is None:
            self.both(lambda side: side.stores.workers.beat(incarnation, cpu_percent=1.5, memory_percent=2.5))
        else:
            self.both(lambda side: side.stores.workers.set_status([incarnation], status))

    @rule()
    def rescue(self) -> None:
        self.both(lambda side: side.rescue())

    @rule()
    def prune(self) -> None:
        self.both(lambda side: side.stores.workers.prune(AT_ONCE))

    # --- the hot path ---

    @precondition(lambda self: self.workers)
    @rule(
        worker=picks,
        limit=st.integers(1, 6),
        starts=st.integers(0, 6),
        queues=st.sampled_from([(), ("a",), QUEUES]),
        types=st.sampled_from([TYPES, TYPES, ("x",)]),
        endings=st.lists(st.tuples(picks, outcomes), max_size=3, unique_by=lambda ending: ending[0]),
    )
    def sync(
        self,
        worker: int,
        limit: int,
        starts: int,
        queues: tuple[str, ...],
        types: tuple[str, ...],
        endings: list[tuple[int, Outcome]],
    ) -> None:
        """A claim, with completions of standalone jobs in its company."""
        wish = ClaimRequest(
            owner=self.pick(self.workers, worker),
            worker_id=WorkerId("w1"),
            queues=queues,
            types=types,
            limit=limit,
            start_count=starts,
        )
        chosen = self.standalone(endings)

        async def command(side: Side) -> Any:
            completions = [await side.completion(number, outcome) for number, outcome in chosen]
            answer = await side.stores.job_queue.sync(SyncBatch(completions=completions, claim=wish))
            side.claims += answer.claimed
            accepted = [completion.lease_id in answer.accepted for completion in completions]
            return accepted, answer.claimed, answer.next_due_at

        self.both(command)

    def standalone(self, endings: Sequence[tuple[int, Outcome]]) -> list[tuple[int, Outcome]]:
        claims = self.sides[0].claims
        chosen = {number % len(claims): outcome for number, outcome in endings if claims}
        return [(number, outcome) for number, outcome in chosen.items() if claims[number].workflow_id is None]

    @precondition(lambda self: self.sides[0].claims)
    @rule(claim=picks, progress=st.sampled_from([None, JsonText('{"fraction":0.50}')]))
    def start(self, claim: int, progress: JsonText | None) -> None:
        number = claim % len(self.sides[0].claims)

        async def command(side: Side) -> bool:
            held, now = side.claims[number], await side.stores.now()
            start = Start(job_id=held.job_id, lease_id=held.lease_id, started_at=now, progress=progress)
            accepted = held.lease_id in (await side.stores.sync(starts=[start])).accepted
            if accepted and held.started_at is None:
                side.claims[number] = attrs.evolve(held, started_at=now)
            return accepted

        self.both(command)

    @precondition(lambda self: self.sides[0].claims)
    @rule(endings=st.lists(st.tuples(picks, outcomes), min_size=1, max_size=4))
    def complete(self, endings: list[tuple[int, Outcome]]) -> None:
        """Of any claim there ever was: those that have ended are fenced."""
        claims = self.sides[0].claims
        chosen = list({number % len(claims): outcome for number, outcome in endings}.items())
        self.both(lambda side: side.end(chosen))

    @precondition(lambda self: self.sides[0].claims)
    @rule(outcome=outcomes)
    def complete_newest(self, outcome: Outcome) -> None:
        newest = len(self.sides[0].claims) - 1
        self.both(lambda side: side.end([(newest, outcome)]))

    # --- what operators do ---

    @precondition(lambda self: self.jobs)
    @rule(job=picks)
    def cancel(self, job: int) -> None:
        self.both(lambda side: side.cancel(self.pick(self.jobs, job)))

    @precondition(lambda self: self.jobs)
    @rule(job=picks)
    def requeue(self, job: int) -> None:
        self.both(lambda side: side.requeue(self.pick(self.jobs, job)))

    @rule(queue=st.sampled_from([None, *QUEUES]), kind=st.sampled_from([None, "Oops", "poison"]))
    def requeue_dead(self, queue: str | None, kind: str | None) -> None:
        self.both(lambda side: side.requeue_dead(JobFilter(queue=queue, error_kind=kind)))

    @precondition(lambda self: self.jobs)
    @rule(job=picks)
    def delete_dead(self, job: int) -> None:
        self.both(lambda side: side.delete_dead(self.pick(self.jobs, job)))

    @precondition(lambda self: self.workflows)
    @rule(workflow=picks)
    def cancel_workflow(self, workflow: int) -> None:
        self.both(lambda side: side.cancel_workflow(self.pick(self.workflows, workflow)))

    @precondition(lambda self: self.workflows)
    @rule(workflow=picks)
    def retry_workflow(self, workflow: int) -> None:
        self.both(lambda side: side.retry_workflow(self.pick(self.workflows, workflow)))

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause_or_resume(self, queue: str, paused: bool) -> None:
        self.both(lambda side: side.pause(queue) if paused else side.resume(queue))

    @rule(queue=st.sampled_from([None, *QUEUES]))
    def purge(self, queue: str | None) -> None:
        self.both(lambda side: side.purge(queue))

    # --- what is looked at ---

    @rule(
        states=st.sets(st.sampled_from(JobState)),
        queue=st.sampled_from([None, "a"]),
        job_type=st.sampled_from([None, "x"]),
        limit=st.integers(1, 5),
        after=st.none() | picks,
    )
    def page(
        self, states: set[JobState], queue: str | None, job_type: str | None, limit: int, after: int | None
    ) -> None:
        job_filter = JobFilter(states=frozenset(states), queue=queue, type=job_type)
        behind = None if after is None or not self.jobs else self.pick(self.jobs, after)
        self.both(lambda side: side.stores.job_reader.page(job_filter, limit=limit, after=behind))

    @precondition(lambda self: self.jobs)
    @rule(job=picks)
    def upstream_results(self, job: int) -> None:
        job_id = self.pick(self.jobs, job)

        async def command(side: Side) -> dict[str, JsonText | None]:
            return dict(await side.stores.job_reader.upstream_results(job_id))

        self.both(command)

    @invariant()
    def both_show_the_same_and_what_they_keep_is_true(self) -> None:
        self.both(lambda side: side.everything())
        for side in self.sides:
            assert_true(self.runner.run(side.jobs()), self.runner.run(side.workflows()))


def assert_true(jobs: Sequence[Job], workflows: Sequence[Workflow]) -> None:
    """Histories are walks through the table of moves; kept counts are those that counting would find."""
    states = {job.job_id: job.status for job in jobs}
    for job in jobs:
        assert_legal(job)
        if not job.ended and job.request.workflow_id is not None:
            open_causes = [states[cause] is not JobState.SUCCESS for cause in job.request.depends_on]
            assert job.waits_for == sum(open_causes)
    for workflow in workflows:
        members = [job for job in jobs if job.request.workflow_id == workflow.workflow_id]
        found = Counter(job.status for job in members)
        counts = workflow.counts
        assert (counts.total, counts.succeeded) == (len(members), found[JobState.SUCCESS])
        assert (counts.failed, counts.canceled) == (found[JobState.DEAD], found[JobState.CANCELED])
        assert counts.running == found[JobState.RUNNING]
        assert (workflow.completed_at is not None) is workflow.ended


@pytest.fixture
def machine(migrated_url: str) -> Iterator[type[Agreement]]:
    tables = SQL(", ").join(Identifier(table.name) for table in metadata.sorted_tables)
    with asyncio.Runner() as runner, psycopg.connect(migrated_url, autocommit=True) as connection:
        database = Database(migrated_url, pool_size=2, max_overflow=0)
        runner.run(database.__aenter__())

        def new_sides() -> list[Side]:
            connection.execute(SQL("TRUNCATE {}").format(tables))
            queue = PostgresJobQueue(database)
            # Each claim from the beginning: what a cursor passes over depends on how fast this machine is.
            queue._cursor = ClaimCursor(count(step=PASSED_OVER_SECONDS_MAX).__next__)
            postgres = attrs.evolve(postgres_stores(database), job_queue=queue)
            return [Side(memory_stores(a_memory_store())), Side(postgres)]

        class OnThisDatabase(Agreement):
            pass

        OnThisDatabase.runner = runner
        OnThisDatabase.new_sides = staticmethod(new_sides)
        yield OnThisDatabase
        runner.run(database.__aexit__(None, None, None))


def test_memory_and_postgres_agree(machine: type[Agreement]) -> None:
    # A failure tells all its steps and where the two differ; to find fewer steps would take minutes.
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, phases=phases)
    )

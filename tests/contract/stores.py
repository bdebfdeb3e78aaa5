"""One adapter of each port over one store, and the few verbs that tests speak in."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import attrs
from attrs import frozen

from schedora.application.ports.events import Events
from schedora.application.ports.examination import Examination, Expected
from schedora.application.ports.explain_inputs_reader import ExplainInputsReader
from schedora.application.ports.health import Health
from schedora.application.ports.job_queue import ClaimRequest, JobQueue, Start, SyncAnswer, SyncBatch
from schedora.application.ports.job_reader import JobReader
from schedora.application.ports.job_writer import JobWriter
from schedora.application.ports.jobs import NewJob
from schedora.application.ports.lineage_reader import LineageReader
from schedora.application.ports.process_reports import ProcessReports
from schedora.application.ports.queues import Queues
from schedora.application.ports.rate_limiter import RateLimiter
from schedora.application.ports.records import Records
from schedora.application.ports.request_spans import RequestSpans
from schedora.application.ports.run_logs import RunLogs
from schedora.application.ports.shared_counters import SharedCounters
from schedora.application.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from schedora.application.ports.wakeup import Wakeup
from schedora.application.ports.workers import Workers
from schedora.application.ports.workflow_reader import WorkflowReader
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion, settle
from schedora.domain.ids import DEFAULT_TENANT, IncarnationId, JobId, JsonText, WorkerId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_request import JobRequest
from schedora.domain.outcome import Outcome
from schedora.domain.run_log import RunLog
from schedora.domain.worker import Worker
from schedora.domain.workflow import Workflow
from tests.builders import a_new_job, a_workflow_id, an_identity, an_incarnation

WORKER_DEATHS_MAX = 3
EXPECTED = Expected(version="1.2.3", heartbeat_timeout=timedelta(seconds=90), pool_size=20, pool_overflow=40)


class _Abandoned(Exception):
    pass


@frozen(kw_only=True)
class Stores:
    units: UnitOfWorkFactory
    job_writer: JobWriter
    job_queue: JobQueue
    job_reader: JobReader
    explain_inputs_reader: ExplainInputsReader
    lineage_reader: LineageReader
    workflow_reader: WorkflowReader
    workers: Workers
    queues: Queues
    records: Records
    wakeup: Wakeup
    events: Events
    run_logs: RunLogs
    request_spans: RequestSpans
    shared_counters: SharedCounters
    process_reports: ProcessReports
    health: Health
    examination: Examination
    rate_limiter: RateLimiter
    age_buckets: Callable[[timedelta], Awaitable[None]]
    """Makes it so much later for all token buckets that there are; earlier, as if a clock was set back, if negative."""
    age_jobs: Callable[[timedelta], Awaitable[None]]
    """Makes it so much longer since all jobs that there are were stored; when they are due stays."""
    callers_transaction: Callable[[], AbstractAsyncContextManager[object]]
    """Opens a connection of a caller's own, to join, with a transaction that commits on a clean exit."""

    async def now(self) -> datetime:
        async with self.units.begin() as unit:
            return await unit.now()

    async def kept_run_logs(self, job_id: JobId) -> tuple[RunLog, ...]:
        """Whole ones, of which nobody else reads more than a part."""
        with_lines = await self.run_logs.lines_of(job_id)
        with_spans = (await self.run_logs.spans_of([job_id])).get(job_id, ())
        assert not any(run_log.spans for run_log in with_lines)
        assert not any(run_log.lines for run_log in with_spans)
        return tuple(
            attrs.evolve(one, spans=other.spans) for one, other in zip(with_lines, with_spans, strict=True)
        )

    @asynccontextmanager
    async def abandoned_unit(self) -> AsyncIterator[UnitOfWork]:
        """A unit of work that ends with an exception."""
        with suppress(_Abandoned):
            async with self.units.begin() as unit:
                yield unit
                raise _Abandoned

    async def add(self, *jobs: NewJob) -> list[Job]:
        async with self.units.begin() as unit:
            return [submission.job for submission in await unit.jobs.add(jobs)]

    async def submit(self, *requests: JobRequest) -> list[Job]:
        return await self.add(*(a_new_job(request) for request in requests))

    async def submit_one(self, request: JobRequest | None = None, **fields: Any) -> Job:
        return (await self.add(a_new_job(request, **fields)))[0]

    async def workflow(self, name: str = "flow") -> WorkflowId:
        return (await self.make_workflow(name)).workflow_id

    async def make_workflow(self, name: str = "flow", **fields: Any) -> Workflow:
        wish: dict[str, Any] = {
            "workflow_id": a_workflow_id(),
            "name": name,
            "description": "",
            "config": JsonText("{}"),
            "tenant_id": DEFAULT_TENANT,
        }
        async with self.units.begin() as unit:
            return await unit.workflows.add(**wish | fields)

    async def worker(self, **identity: Any) -> Worker:
        return await self.workers.register(an_identity(**identity), an_incarnation())

    async def sync(
        self, *, completions: Sequence[Completion] = (), starts: Sequence[Start] = ()
    ) -> SyncAnswer:
        return await self.job_queue.sync(SyncBatch(completions=completions, starts=starts))

    async def ask(self, owner: Worker | IncarnationId, **wish: Any) -> SyncAnswer:
        """One claim; of all queues, jobs of type ``work``, up to ten, all started, unless said otherwise."""
        defaults: dict[str, Any] = {
            "owner": owner.incarnation if isinstance(owner, Worker) else owner,
            "worker_id": owner.identity.worker_id if isinstance(owner, Worker) else WorkerId("w1"),
            "queues": (),
            "types": ("work",),
            "limit": 10,
        }
        fields = defaults | wish
        fields.setdefault("start_count", fields["limit"])
        return await self.job_queue.sync(SyncBatch(claim=ClaimRequest(**fields)))

    async def claim(self, owner: Worker | IncarnationId, **wish: Any) -> list[ClaimedJob]:
        return list((await self.ask(owner, **wish)).claimed)

    async def settle(self, claimed: ClaimedJob, outcome: Outcome) -> Completion:
        """What the outcome makes of the job, now."""
        return settle(
            claimed,
            outcome,
            started_at=claimed.started_at,
            ended_at=await self.now(),
            unit_random=0.0,
            worker_deaths_max=WORKER_DEATHS_MAX,
        )

    async def complete(self, claimed: ClaimedJob, outcome: Outcome) -> bool:
        """Whether the store accepted it."""
        completion = await self.settle(claimed, outcome)
        return claimed.lease_id in (await self.sync(completions=[completion])).accepted

    async def job(self, job_id: JobId) -> Job:
        job = await self.job_reader.get(job_id)
        assert job is not None
        return job

    async def cancel(self, job_id: JobId, reason: str = "canceled by a test") -> Job:
        async with self.units.begin() as unit:
            [job] = await unit.jobs.lock([job_id])
            canceled = job.canceled(now=await unit.now(), reason=reason)
            await unit.jobs.save([canceled])
            return canceled

    async def requeue(self, job_id: JobId) -> Job:
        async with self.units.begin() as unit:
            [job] = await unit.jobs.lock([job_id])
            requeued = job.requeued(now=await unit.now(), reason="requeued by a test")
            await unit.jobs.save([requeued])
            return requeued

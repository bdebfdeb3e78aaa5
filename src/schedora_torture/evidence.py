"""What is left when it is over: records, ledger and counts, read past the proxies."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from attrs import frozen

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.process_reports import PostgresProcessReports
from schedora.application.errors import StoreUnavailable
from schedora.application.ports.job_reader import JobFilter
from schedora.application.ports.metrics import Gauge
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.process import FRESH_FOR
from schedora.domain.workflow import Workflow
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.settings import load_settings
from schedora.entrypoints.system import System
from schedora_torture import ledger
from schedora_torture.invariants import SideEffect
from schedora_torture.plan import HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, Plan

PAGE = 500

_LEFT = """
select
    (select count(*) from job_leases l join jobs j using (job_id) where j.queue = $1) as leases,
    (select count(*) from job_ready where queue = $1) as ready
"""
_FENCED = "select coalesce(sum(value), 0) from metric_totals where name = 'jobs_fenced_total'"


class Unreadable(Exception):
    """The database that was to tell what came of it does not."""


@contextmanager
def reading() -> Iterator[None]:
    """Raises ``Unreadable`` where the database is away."""
    try:
        yield
    except (StoreUnavailable, *ledger.AWAY) as error:
        raise Unreadable(
            f"what is left could not be read, so nothing is shown ({type(error).__name__}: {error})"
        ) from error


@frozen(kw_only=True)
class Evidence:
    """All of one look, when nothing moved any more. ``whys``: of the jobs that have not ended, what they wait for."""

    jobs: Mapping[JobId, Job]
    workflows: Mapping[WorkflowId, Workflow]
    effects: Sequence[SideEffect]
    leases: int
    ready: int
    counts: Mapping[JobState, int]
    """As the statistics of the queue tell them."""
    whys: Mapping[JobId, str]


async def open_jobs(plan: Plan, database_url: str) -> int:
    """How many jobs of this torture have not ended. Raises the driver's errors."""
    connection = await ledger.connect(database_url)
    try:
        return int(
            await connection.fetchval(
                "select count(*) from jobs where queue = $1 and status in ('PENDING', 'RETRYING')", plan.queue
            )
        )
    finally:
        await connection.close()


async def slots_used(database_url: str, names: Collection[str], since: datetime) -> Mapping[str, int]:
    """By the workers of these names that have told it since then. Raises ``StoreUnavailable``."""
    async with Database(database_url, pool_size=1, max_overflow=0) as database:
        reports = await PostgresProcessReports(database).fresh(FRESH_FOR)
    return {
        report.identity.name: int(value)
        for report in reports
        if report.identity.name in names and report.seen_at > since
        for series, value in report.gauges.items()
        if series.name == Gauge.WORKER_SLOTS_USED
    }


async def fenced_writes(database_url: str) -> int:
    """Refused because their lease was gone, in all processes that lived to count them, ever. Raises the driver's errors."""
    connection = await ledger.connect(database_url)
    try:
        return int(await connection.fetchval(_FENCED))
    finally:
        await connection.close()


async def store_time(database_url: str) -> datetime:
    """The database's clock. Raises the driver's errors."""
    connection = await ledger.connect(database_url)
    try:
        now: datetime = await connection.fetchval("select clock_timestamp()")
        return now
    finally:
        await connection.close()


async def collect(plan: Plan, database_url: str, names: Sequence[str]) -> Evidence:
    """``names`` are those of the workflows that were ordered."""
    settings = load_settings(
        database_url=database_url,
        otel_sdk_disabled=True,
        worker_heartbeat_interval=HEARTBEAT_INTERVAL.total_seconds(),
        worker_heartbeat_timeout=HEARTBEAT_TIMEOUT.total_seconds(),
    )
    system = build_system(settings.model_copy(update={"redis_url": None}), database_url=database_url)
    await system.open()
    try:
        return await _collected(system, plan, database_url, names)
    finally:
        await system.end_queries()
        await system.close()


async def _collected(system: System, plan: Plan, database_url: str, names: Sequence[str]) -> Evidence:
    jobs = await _jobs(system, plan)
    workflow_ids = {job.request.workflow_id for job in jobs.values() if job.request.workflow_id is not None}
    workflows = dict(await system.workflows.get_many(workflow_ids))
    for name in names:
        page = await system.workflows.page(status=None, name=name, limit=1, after=None)
        workflows |= {workflow.workflow_id: workflow for workflow in page.workflows}
    stats = (await system.queue_stats()).by_queue.get(plan.queue)
    connection = await ledger.connect(database_url)
    try:
        left = await connection.fetchrow(_LEFT, plan.queue)
        effects = await ledger.read(connection, plan.run)
    finally:
        await connection.close()
    return Evidence(
        jobs=jobs,
        workflows=workflows,
        effects=effects,
        leases=0 if left is None else left["leases"],
        ready=0 if left is None else left["ready"],
        counts={} if stats is None else stats.by_status,
        whys={
            job_id: (await system.explain_job(job_id)).summary
            for job_id, job in jobs.items()
            if not job.ended
        },
    )


async def _jobs(system: System, plan: Plan) -> dict[JobId, Job]:
    found: dict[JobId, Job] = {}
    after: JobId | None = None
    while True:
        page = await system.jobs.page(JobFilter(queue=plan.queue), limit=PAGE, after=after)
        found |= {job.job_id: job for job in page.jobs}
        after = page.next_after
        if after is None:
            return found

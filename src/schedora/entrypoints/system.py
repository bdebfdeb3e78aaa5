"""What every entry point works with: the use cases, and the ports that answer questions, all built."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

from attrs import frozen

from schedora.application.commands.cancel import CancelJob
from schedora.application.commands.queues import PauseQueue, PurgeQueue, ResumeQueue, RetainInQueue
from schedora.application.commands.requeue import DeleteDead, RequeueDead, RequeueJob
from schedora.application.commands.submit import SubmitJobs
from schedora.application.commands.workers import BeatWorker, DrainWorker, RegisterWorker
from schedora.application.commands.workflows import CancelWorkflow, CreateWorkflow, RetryWorkflow
from schedora.application.maintenance.prune import PruneRecords
from schedora.application.maintenance.rescue import RescueJobs
from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.ports.clock import Clock
from schedora.application.ports.events import Events
from schedora.application.ports.heartbeats import Heartbeats
from schedora.application.ports.job_queue import JobQueue
from schedora.application.ports.job_reader import JobReader, StatusSummary
from schedora.application.ports.metrics import Gauges, Metrics
from schedora.application.ports.process_reports import ProcessReports
from schedora.application.ports.queues import Queues
from schedora.application.ports.randomness import Randomness
from schedora.application.ports.rate_limiter import RateLimiter
from schedora.application.ports.request_spans import RequestSpans
from schedora.application.ports.run_locks import RunLocks
from schedora.application.ports.run_logs import RunLogs
from schedora.application.ports.shared_counters import SharedCounters
from schedora.application.ports.span_export import SpanExport
from schedora.application.ports.unit_of_work import UnitOfWorkFactory
from schedora.application.ports.wakeup import Wakeup
from schedora.application.ports.workers import Workers
from schedora.application.ports.workflow_reader import WorkflowReader
from schedora.application.queries.doctor import Examine
from schedora.application.queries.endings import Endings
from schedora.application.queries.event_feed import EventFeed
from schedora.application.queries.health import CheckHealth
from schedora.application.queries.job_log import ReadJobLog
from schedora.application.queries.queue_stats import ReadQueueStats
from schedora.application.queries.trace import TraceJob, TraceWorkflow
from schedora.application.queries.watch import Watch
from schedora.application.queries.why import ExplainJob
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.process import ProcessIdentity
from schedora.domain.workflow import Workflow
from schedora.entrypoints.settings import Settings


@frozen(kw_only=True)
class System:
    """One process's view of Schedora. ``open`` before use, ``close`` after; both may be called once."""

    settings: Settings
    clock: Clock
    randomness: Randomness
    metrics: Metrics
    gauges: Gauges
    shared_counters: SharedCounters
    process: ProcessIdentity
    """This one."""
    process_reports: ProcessReports
    schema: str
    """The revision of the schema that it works on."""
    wakeup: Wakeup
    events: Events
    units: UnitOfWorkFactory
    jobs: JobReader
    workflows: WorkflowReader
    workers: Workers
    heartbeats: Heartbeats | None
    """Signs of life beside the register; None where there are none."""
    queues: Queues
    queue_stats: ReadQueueStats
    rate_limiter: RateLimiter
    run_logs: RunLogs
    request_spans: RequestSpans
    span_export: SpanExport | None
    """On its way to a collector; None where none is named."""
    endings: Endings
    event_feed: EventFeed
    job_watch: Watch[JobId, StatusSummary]
    workflow_watch: Watch[WorkflowId, Workflow]
    submit_jobs: SubmitJobs
    explain_job: ExplainJob
    trace_job: TraceJob
    trace_workflow: TraceWorkflow
    read_job_log: ReadJobLog
    cancel_job: CancelJob
    requeue_job: RequeueJob
    requeue_dead: RequeueDead
    delete_dead: DeleteDead
    create_workflow: CreateWorkflow
    cancel_workflow: CancelWorkflow
    retry_workflow: RetryWorkflow
    register_worker: RegisterWorker
    beat_worker: BeatWorker
    drain_worker: DrainWorker
    pause_queue: PauseQueue
    resume_queue: ResumeQueue
    purge_queue: PurgeQueue
    retain_in_queue: RetainInQueue
    check_health: CheckHealth
    examine: Examine
    """Also before ``open``, and where that fails."""
    complete_jobs: CompleteJobs
    rescue_jobs: RescueJobs
    prune_records: PruneRecords
    queue_of_its_own: Callable[[], AbstractAsyncContextManager[JobQueue]]
    """The hot path, on connections that the worker's pipeline owns."""
    workers_of_its_own: Callable[[], AbstractAsyncContextManager[Workers]]
    """The register, for the heartbeat's thread: opened and closed on that thread's own event loop."""
    liveness_of_its_own: Callable[[], AbstractAsyncContextManager[tuple[Heartbeats, RunLocks]]] | None
    """What a worker shows beside the store, for the heartbeat's thread, too; None where there is nothing for that."""
    flush_metrics: Callable[[], Awaitable[None]]
    """Brings what this process has counted to the store. Raises ``StoreUnavailable``; then nothing is lost."""
    keep_flushing: Callable[[asyncio.Event], Coroutine[Any, Any, None]]
    """Does so every second until the event is set, and once more then."""
    give_up_metrics: Callable[[], None]
    """For the end: says what the store did not take."""
    report_process: Callable[[], Awaitable[None]]
    """Tells the store how the gauges of this process stand. Raises ``StoreUnavailable``."""
    keep_reporting: Callable[[asyncio.Event], Coroutine[Any, Any, None]]
    """Does so every few seconds until the event is set, and takes it back then."""
    check_schema: Callable[[], Awaitable[None]]
    """Raises ``SchemaMismatch`` where this version may not work on the schema that there is by now; ``StoreUnavailable``."""
    open: Callable[[], Awaitable[None]]
    """Connects, and raises ``StoreUnavailable`` or ``SchemaMismatch`` when that is in vain."""
    close: Callable[[], Awaitable[None]]

    async def end_queries(self) -> None:
        """Ends what those do that wait and look on. Before ``close``."""
        for query in (self.endings, self.queue_stats, self.job_watch, self.workflow_watch, self.event_feed):
            await query.close()

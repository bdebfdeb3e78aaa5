"""The composition root: the one place that knows both what is wished for and who answers.

Made of providers alone: the module of dependency-injector's containers imports FastAPI wherever that is installed,
and workers need not carry it.
"""

from datetime import timedelta
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

from dependency_injector import providers

from schedora.adapters.system.clock import SystemClock
from schedora.adapters.system.randomness import SystemRandomness
from schedora.adapters.telemetry.flusher import Flusher
from schedora.adapters.telemetry.gauges import RegisteredGauges
from schedora.adapters.telemetry.local_counters import LocalCounters
from schedora.adapters.telemetry.reporter import Reporter
from schedora.application.commands.cancel import CancelJob
from schedora.application.commands.group_commit import GroupCommit
from schedora.application.commands.queues import PauseQueue, PurgeQueue, ResumeQueue, RetainInQueue
from schedora.application.commands.requeue import DeleteDead, RequeueDead, RequeueJob
from schedora.application.commands.submit import SubmitJobs
from schedora.application.commands.workers import BeatWorker, DrainWorker, RegisterWorker
from schedora.application.commands.workflows import CancelWorkflow, CreateWorkflow, RetryWorkflow
from schedora.application.maintenance.prune import PruneRecords
from schedora.application.maintenance.rescue import RescueJobs
from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.ports.clock import Clock
from schedora.application.ports.metrics import Gauge
from schedora.application.ports.randomness import Randomness
from schedora.application.ports.span_export import SpanExport
from schedora.application.queries.doctor import Examine
from schedora.application.queries.endings import Endings
from schedora.application.queries.event_feed import EventFeed
from schedora.application.queries.health import CheckHealth
from schedora.application.queries.job_log import ReadJobLog
from schedora.application.queries.queue_stats import ReadQueueStats
from schedora.application.queries.trace import TraceJob, TraceSource, TraceWorkflow
from schedora.application.queries.watch import Watch
from schedora.application.queries.why import ExplainJob
from schedora.diagnosis.why.explanation import Silence
from schedora.domain.process import ProcessIdentity, ProcessKind
from schedora.entrypoints.settings import Settings
from schedora.entrypoints.system import System
from schedora.entrypoints.this_process import this_process

if TYPE_CHECKING:
    from schedora.entrypoints.container.memory import MemoryStorage
    from schedora.entrypoints.container.postgres import PostgresStorage
    from schedora.entrypoints.container.redis import RedisStorage

    Storage = MemoryStorage | PostgresStorage | RedisStorage


def _storage(
    *,
    settings: Settings,
    clock: Clock,
    randomness: Randomness,
    database_url: str | None,
    metrics: providers.Provider[LocalCounters],
    gauges: RegisteredGauges,
) -> "Storage":
    """The storages, told apart here and nowhere else: all offer the same names."""
    if database_url is None:
        from schedora.entrypoints.container.memory import MemoryStorage  # noqa: PLC0415 - one or the other

        return MemoryStorage(settings=settings, clock=clock, randomness=randomness)
    from schedora.entrypoints.container.postgres import PostgresStorage  # noqa: PLC0415 - as above

    storage = PostgresStorage(
        settings=settings, database_url=database_url, clock=clock, metrics=metrics, gauges=gauges
    )
    if settings.redis_url is None:
        return storage
    from schedora.entrypoints.container.redis import RedisStorage  # noqa: PLC0415 - who has no Redis need not carry it

    return RedisStorage(
        storage,
        settings=settings,
        clock=clock,
        randomness=randomness,
        redis_url=settings.redis_url,
        metrics=metrics,
        gauges=gauges,
    )


def _span_export(
    settings: Settings,
    metrics: providers.Provider[LocalCounters],
    process: ProcessIdentity,
    storage: "Storage",
) -> providers.Provider[SpanExport | None]:
    """None where no collector is named."""
    collector = settings.collector
    if collector is None:
        return providers.Object(None)
    from schedora.adapters.telemetry.span_export import OtlpSpanExport, otlp_exporter  # noqa: PLC0415 - as above

    resource = {
        "service.version": settings.app_version,
        "service.instance.id": str(process.process_id),
        "deployment.environment.name": settings.environment,
        "host.name": process.hostname,
        "process.pid": str(process.pid),
        "schedora.process.kind": process.kind,
        **settings.resource,
    }
    make_exporter = partial(
        otlp_exporter,
        endpoint=collector.endpoint,
        headers=collector.headers,
        timeout_seconds=collector.timeout_seconds,
    )
    return providers.Singleton(
        OtlpSpanExport,
        make_exporter,
        resource=resource,
        version=process.version,
        metrics=metrics,
        lineage=storage.lineage,
    )


def _system(
    *,
    settings: Settings,
    clock: Clock,
    randomness: Randomness,
    storage: "Storage",
    metrics: providers.Provider[LocalCounters],
    gauges: RegisteredGauges,
    process: ProcessIdentity,
) -> providers.Singleton[System]:
    gauges.register(Gauge.SERIES_UNFLUSHED, lambda: len(metrics()))
    reporter = providers.Singleton(Reporter, process, gauges, storage.process_reports, clock)
    flusher = providers.Singleton(
        Flusher, metrics, storage.shared_counters, clock, label_values_max=settings.metrics_label_values_max
    )
    span_export = _span_export(settings, metrics, process, storage)
    endings = providers.Singleton(Endings, storage.jobs, clock)
    unit_random = randomness.unit
    event_feed = providers.Singleton(EventFeed, storage.events, clock, unit_random)
    group_commit = providers.Singleton(
        GroupCommit,
        job_writer=storage.job_writer,
        events=storage.events,
        metrics=metrics,
        randomness=randomness,
        sampler=settings.sampler,
    )
    submit_jobs = providers.Singleton(
        SubmitJobs,
        units=storage.units,
        single=group_commit,
        wakeup=storage.wakeup,
        events=storage.events,
        metrics=metrics,
        randomness=randomness,
        sampler=settings.sampler,
    )
    cancel_job = providers.Singleton(
        CancelJob,
        units=storage.units,
        reader=storage.jobs,
        wakeup=storage.wakeup,
        events=storage.events,
        metrics=metrics,
    )
    requeue_job = providers.Singleton(
        RequeueJob, units=storage.units, reader=storage.jobs, wakeup=storage.wakeup, events=storage.events
    )
    requeue_dead = providers.Singleton(
        RequeueDead, units=storage.units, reader=storage.jobs, wakeup=storage.wakeup, events=storage.events
    )
    delete_dead = providers.Singleton(DeleteDead, units=storage.units, reader=storage.jobs)
    create_workflow = providers.Singleton(
        CreateWorkflow,
        units=storage.units,
        wakeup=storage.wakeup,
        events=storage.events,
        reader=storage.workflows,
        metrics=metrics,
        randomness=randomness,
        sampler=settings.sampler,
    )
    cancel_workflow = providers.Singleton(
        CancelWorkflow,
        units=storage.units,
        wakeup=storage.wakeup,
        events=storage.events,
        reader=storage.workflows,
        metrics=metrics,
    )
    retry_workflow = providers.Singleton(
        RetryWorkflow,
        units=storage.units,
        wakeup=storage.wakeup,
        events=storage.events,
        reader=storage.workflows,
    )
    register_worker = providers.Singleton(RegisterWorker, workers=storage.workers, randomness=randomness)
    beat_worker = providers.Singleton(BeatWorker, workers=storage.workers)
    drain_worker = providers.Singleton(DrainWorker, workers=storage.workers, wakeup=storage.wakeup)
    pause_queue = providers.Singleton(PauseQueue, queues=storage.queues)
    resume_queue = providers.Singleton(ResumeQueue, queues=storage.queues, wakeup=storage.wakeup)
    purge_queue = providers.Singleton(
        PurgeQueue, units=storage.units, reader=storage.jobs, events=storage.events, metrics=metrics
    )
    retain_in_queue = providers.Singleton(RetainInQueue, queues=storage.queues)
    check_health = providers.Singleton(
        CheckHealth,
        database=storage.health,
        workers=storage.workers,
        redis=storage.redis_health,
    )
    explain_job = providers.Singleton(
        ExplainJob,
        reader=storage.explain_inputs_reader,
        silence=providers.Factory(
            Silence,
            timeout=timedelta(seconds=settings.worker_heartbeat_timeout),
            interval=timedelta(seconds=settings.worker_heartbeat_interval),
            heard_elsewhere=settings.redis_url is not None,
        ),
    )
    trace_source = providers.Singleton(
        TraceSource, lineage=storage.lineage, run_logs=storage.run_logs, request_spans=storage.request_spans
    )
    trace_job = providers.Singleton(TraceJob, jobs=storage.jobs, source=trace_source)
    trace_workflow = providers.Singleton(TraceWorkflow, workflows=storage.workflows, source=trace_source)
    read_job_log = providers.Singleton(ReadJobLog, jobs=storage.jobs, run_logs=storage.run_logs)
    examine = providers.Singleton(
        Examine, store=storage.examination, redis=storage.redis_examination, clock=clock
    )
    complete_jobs = providers.Singleton(CompleteJobs, units=storage.units, wakeup=storage.wakeup)
    rescue_jobs = providers.Singleton(
        RescueJobs,
        units=storage.units,
        queue=storage.queue,
        workers=storage.workers,
        complete=complete_jobs,
        wakeup=storage.wakeup,
        events=storage.events,
        metrics=metrics,
        randomness=randomness,
        worker_deaths_max=settings.max_worker_deaths,
        span_export=span_export,
    )
    prune_records = providers.Singleton(
        PruneRecords, records=storage.records, clock=clock, retention=settings.retention
    )
    return providers.Singleton(
        System,
        settings=settings,
        clock=clock,
        randomness=randomness,
        metrics=metrics,
        gauges=gauges,
        shared_counters=storage.shared_counters,
        process=process,
        process_reports=storage.process_reports,
        schema=storage.schema,
        wakeup=storage.wakeup,
        events=storage.events,
        units=storage.units,
        jobs=storage.jobs,
        workflows=storage.workflows,
        workers=storage.workers,
        heartbeats=storage.heartbeats,
        queues=storage.queues,
        queue_stats=providers.Singleton(ReadQueueStats, storage.queues, clock),
        rate_limiter=storage.rate_limiter,
        run_logs=storage.run_logs,
        request_spans=storage.request_spans,
        span_export=span_export,
        endings=endings,
        event_feed=event_feed,
        job_watch=providers.Singleton(
            Watch,
            storage.jobs.provided.status_summaries,
            attrgetter("job_id"),
            feed=event_feed,
            clock=clock,
            unit_random=unit_random,
        ),
        workflow_watch=providers.Singleton(
            Watch,
            storage.workflows.provided.get_many,
            attrgetter("workflow_id"),
            feed=event_feed,
            clock=clock,
            unit_random=unit_random,
        ),
        submit_jobs=submit_jobs,
        explain_job=explain_job,
        trace_job=trace_job,
        trace_workflow=trace_workflow,
        read_job_log=read_job_log,
        cancel_job=cancel_job,
        requeue_job=requeue_job,
        requeue_dead=requeue_dead,
        delete_dead=delete_dead,
        create_workflow=create_workflow,
        cancel_workflow=cancel_workflow,
        retry_workflow=retry_workflow,
        register_worker=register_worker,
        beat_worker=beat_worker,
        drain_worker=drain_worker,
        pause_queue=pause_queue,
        resume_queue=resume_queue,
        purge_queue=purge_queue,
        retain_in_queue=retain_in_queue,
        check_health=check_health,
        examine=examine,
        complete_jobs=complete_jobs,
        rescue_jobs=rescue_jobs,
        prune_records=prune_records,
        queue_of_its_own=storage.queue_of_its_own,
        workers_of_its_own=storage.workers_of_its_own,
        liveness_of_its_own=storage.liveness_of_its_own,
        flush_metrics=flusher.provided.flush,
        keep_flushing=flusher.provided.run,
        give_up_metrics=flusher.provided.give_up,
        report_process=reporter.provided.report,
        keep_reporting=reporter.provided.run,
        check_schema=storage.check_schema,
        open=storage.open,
        close=storage.close,
    )


def build_system(
    settings: Settings,
    *,
    database_url: str | None,
    clock: Clock | None = None,
    randomness: Randomness | None = None,
    kind: ProcessKind = ProcessKind.CLIENT,
    name: str | None = None,
) -> System:
    """A system on PostgreSQL, or in memory where ``database_url`` is None. Does no I/O yet.

    Its settings name the database that it is on, whatever those given say. ``kind`` and ``name`` are those of the process
    that it is for; host and pid where it has no name.
    """
    settings = settings.model_copy(update={"database_url": database_url})
    clock = clock or SystemClock()
    randomness = randomness or SystemRandomness(clock)
    metrics = providers.Singleton(LocalCounters)
    gauges = RegisteredGauges()
    storage = _storage(
        settings=settings,
        clock=clock,
        randomness=randomness,
        database_url=database_url,
        metrics=metrics,
        gauges=gauges,
    )
    return _system(
        settings=settings,
        clock=clock,
        randomness=randomness,
        storage=storage,
        metrics=metrics,
        gauges=gauges,
        process=this_process(kind, name),
    )()

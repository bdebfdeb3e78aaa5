"""The composition root: the one place that knows both what is wished for and who answers."""

from typing import TYPE_CHECKING, Any

from dependency_injector import containers, providers

from schedora.adapters.system.clock import SystemClock
from schedora.adapters.system.randomness import SystemRandomness
from schedora.adapters.telemetry.flusher import Flusher
from schedora.adapters.telemetry.tally import Tally
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
from schedora.application.ports.randomness import Randomness
from schedora.application.queries.endings import Endings
from schedora.application.queries.health import CheckHealth
from schedora.entrypoints.container.settings import Settings
from schedora.entrypoints.container.storage import MemoryStorage, PostgresStorage
from schedora.entrypoints.system import System

if TYPE_CHECKING:
    from schedora.adapters.redis.health import RedisHealth


def _redis_health(url: str | None) -> "RedisHealth | None":
    if url is None:
        return None
    from schedora.adapters.redis.health import RedisHealth  # noqa: PLC0415 - who has no Redis need not carry it

    return RedisHealth(url)


class Root(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=Settings)
    clock: providers.Dependency[Any] = providers.Dependency()
    randomness: providers.Dependency[Any] = providers.Dependency()
    storage = providers.DependenciesContainer()

    metrics = providers.Singleton(Tally)
    flusher = providers.Singleton(Flusher, metrics, storage.totals, clock)
    endings = providers.Singleton(Endings, storage.jobs, clock)
    group_commit = providers.Singleton(
        GroupCommit, intake=storage.intake, wakeup=storage.wakeup, metrics=metrics, randomness=randomness
    )
    submit_jobs = providers.Singleton(
        SubmitJobs,
        units=storage.units,
        single=group_commit,
        wakeup=storage.wakeup,
        metrics=metrics,
        randomness=randomness,
    )
    cancel_job = providers.Singleton(
        CancelJob, units=storage.units, reader=storage.jobs, wakeup=storage.wakeup
    )
    requeue_job = providers.Singleton(
        RequeueJob, units=storage.units, reader=storage.jobs, wakeup=storage.wakeup
    )
    requeue_dead = providers.Singleton(
        RequeueDead, units=storage.units, reader=storage.jobs, wakeup=storage.wakeup
    )
    delete_dead = providers.Singleton(DeleteDead, units=storage.units, reader=storage.jobs)
    create_workflow = providers.Singleton(
        CreateWorkflow,
        units=storage.units,
        wakeup=storage.wakeup,
        reader=storage.workflows,
        metrics=metrics,
        randomness=randomness,
    )
    cancel_workflow = providers.Singleton(
        CancelWorkflow, units=storage.units, wakeup=storage.wakeup, reader=storage.workflows
    )
    retry_workflow = providers.Singleton(
        RetryWorkflow, units=storage.units, wakeup=storage.wakeup, reader=storage.workflows
    )
    register_worker = providers.Singleton(RegisterWorker, workers=storage.workers, randomness=randomness)
    beat_worker = providers.Singleton(BeatWorker, workers=storage.workers)
    drain_worker = providers.Singleton(DrainWorker, workers=storage.workers, wakeup=storage.wakeup)
    pause_queue = providers.Singleton(PauseQueue, queues=storage.queues)
    resume_queue = providers.Singleton(ResumeQueue, queues=storage.queues, wakeup=storage.wakeup)
    purge_queue = providers.Singleton(PurgeQueue, units=storage.units, reader=storage.jobs)
    retain_in_queue = providers.Singleton(RetainInQueue, queues=storage.queues)
    check_health = providers.Singleton(
        CheckHealth,
        database=storage.health,
        workers=storage.workers,
        redis=providers.Callable(_redis_health, settings.provided.redis_url),
    )
    complete_jobs = providers.Singleton(CompleteJobs, units=storage.units, wakeup=storage.wakeup)
    rescue_jobs = providers.Singleton(
        RescueJobs,
        units=storage.units,
        queue=storage.queue,
        workers=storage.workers,
        complete=complete_jobs,
        wakeup=storage.wakeup,
        metrics=metrics,
        randomness=randomness,
        worker_deaths_max=settings.provided.max_worker_deaths,
    )
    prune_records = providers.Singleton(
        PruneRecords, records=storage.records, clock=clock, retention=settings.provided.retention
    )
    system = providers.Singleton(
        System,
        settings=settings,
        clock=clock,
        randomness=randomness,
        metrics=metrics,
        totals=storage.totals,
        wakeup=storage.wakeup,
        units=storage.units,
        jobs=storage.jobs,
        workflows=storage.workflows,
        workers=storage.workers,
        queues=storage.queues,
        endings=endings,
        submit_jobs=submit_jobs,
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
        complete_jobs=complete_jobs,
        rescue_jobs=rescue_jobs,
        prune_records=prune_records,
        queue_of_its_own=storage.queue_of_its_own,
        workers_of_its_own=storage.workers_of_its_own,
        flush_metrics=flusher.provided.flush,
        keep_flushing=flusher.provided.run,
        open=storage.open,
        close=storage.close,
    )


def build_system(
    settings: Settings,
    *,
    database_url: str | None,
    clock: Clock | None = None,
    randomness: Randomness | None = None,
) -> System:
    """A system on PostgreSQL, or in memory where ``database_url`` is None. Does no I/O yet.

    Its settings name the database that it is on, whatever those given say.
    """
    settings = settings.model_copy(update={"database_url": database_url})
    clock = clock or SystemClock()
    randomness = randomness or SystemRandomness(clock)
    storage = (
        MemoryStorage(clock=clock, randomness=randomness)
        if database_url is None
        else PostgresStorage(settings=settings, database_url=database_url)
    )
    system: System = Root(settings=settings, clock=clock, randomness=randomness, storage=storage).system()
    return system

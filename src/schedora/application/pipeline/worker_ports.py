"""What a worker is made with, by what it is for."""

from attrs import frozen

from schedora.application.handlers import Handlers
from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.pipeline.execute import Execute
from schedora.application.pipeline.registration import HeartbeatControl
from schedora.application.pipeline.run_locks import RunLockKeeper
from schedora.application.pipeline.runs import RunOutput
from schedora.application.ports.job_queue import JobQueue
from schedora.application.ports.wakeup import Wakeup
from schedora.application.ports.workers import Workers


@frozen(kw_only=True)
class WorkerStore:
    """The store, as a worker uses it."""

    queue: JobQueue
    complete: CompleteJobs
    workers: Workers
    wakeup: Wakeup


@frozen(kw_only=True)
class Handling:
    """What a worker can run, how, and where the output of runs goes."""

    handlers: Handlers
    execute: Execute
    output: RunOutput


@frozen(kw_only=True)
class Liveness:
    """What shows others that a worker lives, and what it runs."""

    heartbeat: HeartbeatControl
    run_locks: RunLockKeeper | None = None

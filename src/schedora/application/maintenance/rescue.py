"""Give the jobs of lost workers back: what had not started waits again, what ran has failed.

Any number of processes may do this at once: each outcome is addressed to the lease that was lost, and the
store accepts it once.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeAlias

from attrs import frozen

from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.pipeline.complete import Completed, CompleteJobs, in_transactions
from schedora.application.pipeline.completion_metrics import count_canceled, count_completions
from schedora.application.pipeline.publish import publish_completed, publish_moved
from schedora.application.pipeline.traces import export_runs
from schedora.application.ports.events import Events
from schedora.application.ports.job_queue import JobQueue, SyncBatch
from schedora.application.ports.metrics import Counter, Metrics
from schedora.application.ports.randomness import Randomness
from schedora.application.ports.span_export import SpanExport
from schedora.application.ports.unit_of_work import UnitOfWorkFactory
from schedora.application.ports.wakeup import Wakeup
from schedora.application.ports.workers import Workers
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion, settle
from schedora.domain.job_state import WAITING
from schedora.domain.outcome import WorkerLost
from schedora.domain.worker_death import WorkerDeath

log = Logger("schedora.reaper")

BATCH_MAX = 500

_Ended: TypeAlias = tuple[ClaimedJob, Completion]


@frozen(kw_only=True)
class RescueJobs:
    units: UnitOfWorkFactory
    queue: JobQueue
    workers: Workers
    complete: CompleteJobs
    wakeup: Wakeup
    events: Events
    metrics: Metrics
    randomness: Randomness
    worker_deaths_max: int
    span_export: SpanExport | None = None

    async def __call__(self) -> int:
        """How many jobs were given back. Raises ``StoreUnavailable``."""
        rescued_count = 0
        while lost := await self.workers.lost_jobs(BATCH_MAX):
            async with self.units.begin() as unit:
                now = await unit.now()
            deaths = await self.workers.deaths({job.owner for job in lost})
            ended = [self._ended(job, _worker_lost(job, deaths.get(job.owner)), now) for job in lost]
            accepted_count = 0
            for part in _parts(ended):
                accepted_count += await self._give_back(part)
            rescued_count += accepted_count
            if not accepted_count:  # another reaper was faster
                break
        return rescued_count

    def _ended(self, job: ClaimedJob, outcome: WorkerLost, now: datetime) -> _Ended:
        completion = settle(
            job,
            outcome,
            started_at=job.started_at,
            ended_at=max(now, job.started_at or job.claimed_at),
            unit_random=self.randomness.unit(),
            worker_deaths_max=self.worker_deaths_max,
        )
        return job, completion

    async def _give_back(self, ended: Sequence[_Ended], *, plainly: bool = False) -> int:
        """How many of them the store has accepted. Where one of them is more than it can take, the others must not wait for
        that, in this round or any other: each is tried by itself, and then ``plainly``, without what its worker left.
        """
        try:
            return await self._hand_in(ended)
        except StoreUnavailable:
            raise
        except Exception as refused:  # noqa: BLE001 - whatever a store says of what it can't keep
            error = refused
        if len(ended) > 1:
            log.warning("a batch of rescued jobs was refused", error=type(error).__name__)
            return sum([await self._give_back([one]) for one in ended])
        [(job, completion)] = ended
        told = {"job_id": str(job.job_id), "exc_info": error}
        if plainly:
            log.error("the store does not take a job back: it stays with its lost worker", **told)
            return 0
        log.error("the store refuses what a lost worker left of a job", **told)
        how = f"worker {job.worker_id} was lost, and the store refused to keep how ({type(error).__name__})"
        one = self._ended(job, WorkerLost(message=how), completion.ended_at)
        return await self._give_back([one], plainly=True)

    async def _hand_in(self, ended: Sequence[_Ended]) -> int:
        completed = await self._deliver([completion for _, completion in ended])
        settled = [one for one in ended if one[1].lease_id in completed.accepted]
        count_completions(self.metrics, [completion for _, completion in settled])
        count_canceled(self.metrics, completed.canceled)
        self.metrics.count(Counter.JOBS_RESCUED, amount=len(settled))
        waiting = [completion for _, completion in settled if completion.status in WAITING]
        self.wakeup.notify(
            queues={completion.queue for completion in waiting},
            later=all(completion.scheduled_at is not None for completion in waiting),
        )
        publish_completed(self.events, settled)
        export_runs(self.span_export, settled)
        publish_moved(self.events, completed.canceled)
        _log(settled)
        return len(settled)

    async def _deliver(self, completions: Sequence[Completion]) -> Completed:
        """Either all of them are of workflows' jobs, or none is."""
        if completions[0].workflow_id is not None:
            return await self.complete(completions)
        answer = await self.queue.sync(SyncBatch(completions=completions))
        return Completed(accepted=answer.accepted)


def _worker_lost(job: ClaimedJob, death: WorkerDeath | None) -> WorkerLost:
    if death is None:
        return WorkerLost(message=f"worker {job.worker_id} fell silent")
    return WorkerLost(message=f"worker {job.worker_id} {death.how}", evidence=death.evidence(job.job_id))


def _parts(ended: Sequence[_Ended]) -> list[list[_Ended]]:
    """One is told before the next is tried, which may fail."""
    jobs = {completion.lease_id: job for job, completion in ended}
    completions = [completion for _, completion in ended]
    alone = [one for one in completions if one.workflow_id is None]
    in_workflows = in_transactions([one for one in completions if one.workflow_id is not None])
    return [[(jobs[one.lease_id], one) for one in part] for part in (alone, *in_workflows) if part]


def _log(settled: Iterable[_Ended]) -> None:
    for job, completion in settled:
        log.warning(
            "job rescued from a lost worker",
            job_id=str(job.job_id),
            job_type=job.type,
            worker_id=job.worker_id,
            status=completion.status,
            worker_deaths=completion.worker_deaths,
        )

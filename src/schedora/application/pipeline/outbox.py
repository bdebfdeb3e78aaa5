"""Completions on their way to the store: kept until it has answered, whatever happens to it meanwhile."""

from collections.abc import Collection
from datetime import datetime

from attrs import frozen

from schedora.application.log import Logger
from schedora.application.pipeline.journal import tell_completion
from schedora.application.pipeline.ledger import count_completion, count_fenced
from schedora.application.ports.metrics import Metrics
from schedora.application.ports.randomness import Randomness
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion, settle
from schedora.domain.ids import LeaseId
from schedora.domain.outcome import Failed, Outcome

log = Logger("schedora.worker")

STORAGE_REFUSED = "storage_refused"
BATCH_MAX = 500


@frozen(kw_only=True)
class _Waiting:
    job: ClaimedJob
    completion: Completion


class Outbox:
    """Bounded by what the worker holds: a job is claimed only into room, and leaves through here."""

    def __init__(self, *, metrics: Metrics, randomness: Randomness, worker_deaths_max: int) -> None:
        self._metrics = metrics
        self._randomness = randomness
        self._worker_deaths_max = worker_deaths_max
        self._standalone: dict[LeaseId, _Waiting] = {}
        self._in_workflows: dict[LeaseId, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._standalone) + len(self._in_workflows)

    def leases(self) -> set[LeaseId]:
        """The leases that the completions at hand are to end."""
        return {*self._standalone, *self._in_workflows}

    def settle(
        self, job: ClaimedJob, outcome: Outcome, *, started_at: datetime | None, ended_at: datetime
    ) -> Completion:
        return settle(
            job,
            outcome,
            started_at=started_at,
            ended_at=ended_at,
            unit_random=self._randomness.unit(),
            worker_deaths_max=self._worker_deaths_max,
        )

    def put(self, job: ClaimedJob, completion: Completion) -> None:
        waiting = self._in_workflows if job.workflow_id is not None else self._standalone
        waiting[job.lease_id] = _Waiting(job=job, completion=completion)

    def standalone(self) -> list[Completion]:
        """The next batch of completions that concern one job each, in the order of job ids."""
        return _batch(self._standalone)

    def in_workflows(self) -> list[Completion]:
        """The next batch of completions that concern other jobs too."""
        return _batch(self._in_workflows)

    def delivered(self, completions: Collection[Completion], accepted: Collection[LeaseId]) -> None:
        """Forgets what the store has answered, counts it, and tells of it."""
        for completion in completions:
            waiting = self._standalone.pop(completion.lease_id, None)
            waiting = self._in_workflows.pop(completion.lease_id, None) or waiting
            if completion.lease_id in accepted:
                count_completion(self._metrics, completion)
                if waiting is not None:
                    tell_completion(waiting.job, completion)
            else:
                log.warning("late result dropped: the lease is gone", job_id=str(completion.job_id))
        count_fenced(self._metrics, sum(c.lease_id not in accepted for c in completions))

    def refused(self, completion: Completion, error: Exception) -> None:
        """The store can't keep this completion, though it keeps others: the job fails with the reason."""
        waiting = self._standalone.get(completion.lease_id) or self._in_workflows.get(completion.lease_id)
        if waiting is None or (completion.error is not None and completion.error.kind == STORAGE_REFUSED):
            raise error
        log.error("the store refuses a completion", job_id=str(completion.job_id), exc_info=error)
        outcome = Failed(kind=STORAGE_REFUSED, message=type(error).__name__, retryable=False)
        failure = self.settle(
            waiting.job, outcome, started_at=completion.started_at, ended_at=completion.ended_at
        )
        self.put(waiting.job, failure)


def _batch(waiting: dict[LeaseId, _Waiting]) -> list[Completion]:
    batch = [entry.completion for _, entry in zip(range(BATCH_MAX), waiting.values(), strict=False)]
    batch.sort(key=lambda completion: completion.job_id)
    return batch

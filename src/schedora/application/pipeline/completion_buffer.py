"""Completions on their way to the store: kept until it has answered, whatever happens to it meanwhile."""

from collections.abc import Collection
from datetime import timedelta
from itertools import islice
from typing import NamedTuple

from schedora.application.log import Logger
from schedora.application.pipeline.settle import Settle
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JobId, LeaseId
from schedora.domain.outcome import Failed

log = Logger("schedora.worker")

STORAGE_REFUSED = "storage_refused"
BATCH_MAX = 1_000
BATCH_CHARACTERS_MAX = 16 * 1024 * 1024
"""Of results, in one batch: one that is larger than that goes by itself."""


class _Waiting(NamedTuple):
    job: ClaimedJob
    completion: Completion


class CompletionBuffer:
    """Bounded by what the worker holds: a job is claimed only into room, and leaves through here."""

    def __init__(self, settle: Settle) -> None:
        self._settle = settle
        self._standalone: dict[LeaseId, _Waiting] = {}
        self._in_workflows: dict[LeaseId, _Waiting] = {}
        self._sent: dict[LeaseId, _Waiting] = {}
        self.characters = 0
        """Of the results in it."""
        self.since = timedelta(0)
        """When the first of those that wait was put in, on the monotonic clock; of no meaning while none waits."""

    def __len__(self) -> int:
        return self.waiting + len(self._sent)

    @property
    def waiting(self) -> int:
        """How many are not under way."""
        return len(self._standalone) + len(self._in_workflows)

    @property
    def standalone(self) -> int:
        """How many of those concern one job each."""
        return len(self._standalone)

    def job_ids(self) -> set[JobId]:
        """The jobs whose outcomes these are."""
        waiting = (*self._standalone.values(), *self._in_workflows.values(), *self._sent.values())
        return {entry.completion.job_id for entry in waiting}

    def leases(self) -> set[LeaseId]:
        """The leases that the completions at hand are to end."""
        return {*self._standalone, *self._in_workflows, *self._sent}

    def put(self, job: ClaimedJob, completion: Completion, at: timedelta) -> None:
        if not self.waiting:
            self.since = at
        self._waiting(job)[job.lease_id] = _Waiting(job, completion)
        self.characters += _characters(completion)

    def take_standalone(self) -> list[Completion]:
        """The next batch of completions that concern one job each, in the order of job ids. They are under way until
        they are ``delivered``, ``refused`` or ``put_back``.
        """
        return self._take(self._standalone)

    def take_in_workflows(self) -> list[Completion]:
        """The next batch of completions that concern other jobs too; as ``take_standalone``."""
        return self._take(self._in_workflows)

    def put_back(self, completions: Collection[Completion]) -> None:
        """Those of them that are under way wait again: it is not known what has become of them."""
        for completion in completions:
            if (sent := self._sent.pop(completion.lease_id, None)) is not None:
                self._waiting(sent.job)[completion.lease_id] = sent

    def delivered(
        self, completions: Collection[Completion], accepted: Collection[LeaseId]
    ) -> list[tuple[ClaimedJob, Completion]]:
        """Forgets what the store has answered. Returns those that it accepted, each once however often it is answered."""
        taken: list[tuple[ClaimedJob, Completion]] = []
        for completion in completions:
            lease_id = completion.lease_id
            waiting = self._sent.pop(lease_id, None)
            if waiting is not None:
                self.characters -= _characters(completion)
            if lease_id not in accepted:
                log.warning("late result dropped: the lease is gone", job_id=str(completion.job_id))
            elif waiting is not None:
                taken.append((waiting.job, completion))
        return taken

    def refused(self, completion: Completion, error: Exception) -> None:
        """The store can't keep this completion, though it keeps others: the job fails with the reason."""
        waiting = self._sent.pop(completion.lease_id, None)
        if waiting is not None:
            self.characters -= _characters(completion)
        if waiting is None or (completion.error is not None and completion.error.kind == STORAGE_REFUSED):
            raise error
        log.error("the store refuses a completion", job_id=str(completion.job_id), exc_info=error)
        outcome = Failed(kind=STORAGE_REFUSED, message=type(error).__name__, retryable=False)
        failure = self._settle.ended(
            waiting.job, outcome, started_at=completion.started_at, ended_at=completion.ended_at
        )
        self.put(waiting.job, failure, self.since)

    def _take(self, waiting: dict[LeaseId, _Waiting]) -> list[Completion]:
        batch: list[Completion] = []
        characters = 0
        for entry in islice(waiting.values(), BATCH_MAX):
            characters += _characters(entry.completion)
            if batch and characters > BATCH_CHARACTERS_MAX:
                break
            batch.append(entry.completion)
        for completion in batch:
            self._sent[completion.lease_id] = waiting.pop(completion.lease_id)
        batch.sort(key=_job_id)
        return batch

    def _waiting(self, job: ClaimedJob) -> dict[LeaseId, _Waiting]:
        return self._standalone if job.workflow_id is None else self._in_workflows


def _characters(completion: Completion) -> int:
    return 0 if completion.result is None else len(completion.result)


def _job_id(completion: Completion) -> JobId:
    return completion.job_id

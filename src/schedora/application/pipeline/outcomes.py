"""The outcomes of jobs, on their way from the handlers to settlement."""

import asyncio
from datetime import timedelta
from typing import NamedTuple

from schedora.application.pipeline.completion_buffer import CompletionBuffer
from schedora.application.pipeline.run import Run
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JobId, LeaseId
from schedora.domain.outcome import Outcome, Succeeded

FULL_CHARACTERS = 64 * 1024 * 1024
"""Of results that the store has not taken: a worker that holds so many starts nothing that would add to them."""


class Ended(NamedTuple):
    """One job and its outcome."""

    job: ClaimedJob
    run: Run | None
    """None if the job never ran."""
    outcome: Outcome
    at: timedelta
    """On the monotonic clock."""


class Outcomes:
    """A queue, before that of ``completions``. Sets ``changed`` for each outcome that is put in. Once it is ``full`` no
    more jobs are started: it never holds more than that and the results of what runs.
    """

    def __init__(self, completions: CompletionBuffer, changed: asyncio.Event) -> None:
        self._completions = completions
        self._changed = changed
        self._ended: list[Ended] = []
        self._characters = 0

    def __len__(self) -> int:
        return len(self._ended)

    @property
    def full(self) -> bool:
        """Whether this queue and the next hold as many results as the worker may, in characters."""
        return self._characters + self._completions.characters >= FULL_CHARACTERS

    def put(self, job: ClaimedJob, run: Run | None, outcome: Outcome, at: timedelta) -> None:
        self._ended.append(Ended(job, run, outcome, at))
        if isinstance(outcome, Succeeded) and outcome.result is not None:
            self._characters += len(outcome.result)
        self._changed.set()

    def take_all(self) -> list[Ended]:
        """Empties the queue, oldest first."""
        ended, self._ended = self._ended, []
        self._characters = 0
        return ended

    def leases(self) -> set[LeaseId]:
        return {one.job.lease_id for one in self._ended}

    def job_ids(self) -> set[JobId]:
        return {one.job.job_id for one in self._ended}

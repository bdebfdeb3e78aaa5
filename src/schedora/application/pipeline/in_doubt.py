"""Runs that completed their jobs inside transactions of their handlers, until it is known whether those committed."""

from schedora.application.pipeline.run import Run
from schedora.application.ports.job_queue import JobQueue
from schedora.domain.ids import JobId, LeaseId
from schedora.domain.outcome import Failed, Outcome, Succeeded

NOT_COMMITTED = "completion_not_committed"


class InDoubt:
    """Those that have ended and of which the store is yet to be asked."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._ended: list[tuple[Run, Outcome]] = []

    def __len__(self) -> int:
        return len(self._ended)

    def leases(self) -> set[LeaseId]:
        """The leases that are gone if all have committed."""
        return {run.job.lease_id for run, _ in self._ended}

    def job_ids(self) -> set[JobId]:
        """The jobs whose outcomes are not known."""
        return {run.job.job_id for run, _ in self._ended}

    def add(self, run: Run, outcome: Outcome) -> None:
        self._ended.append((run, outcome))

    async def resolve(self) -> list[tuple[Run, Outcome | None]]:
        """Each run with the outcome that counts: none where the transaction has committed, for then the lease is
        gone. Raises ``StoreUnavailable``; then all stay in doubt.
        """
        asked = list(self._ended)
        # By owner: runs outlive the incarnation that claimed their jobs.
        owners = {run.job.owner for run, _ in asked}
        held = {lease_id for owner in owners for lease_id in await self._queue.held(owner)}
        del self._ended[: len(asked)]
        return [(run, not_committed(outcome) if run.job.lease_id in held else None) for run, outcome in asked]


def not_committed(outcome: Outcome) -> Outcome:
    """Having returned as if all was well is no success."""
    if isinstance(outcome, Succeeded):
        message = "the handler called complete_in and returned, but its transaction was not committed"
        return Failed(kind=NOT_COMMITTED, message=message)
    return outcome

"""Availability of idle workers. A job that is submitted while one is available is leased to it as it is stored, so it needs
no claim.

Availability is a hint, no promise: the store checks whether the worker may have the job.
"""

from typing import Protocol

from attrs import frozen

from schedora.domain.ids import IncarnationId


@frozen(kw_only=True)
class AvailableWorker:
    """One job would be started at once by this owner."""

    owner: IncarnationId


class WorkerAvailability(Protocol):
    async def take(self, *, queue: str, job_type: str) -> AvailableWorker | None:
        """One for a job of this queue and type, which nobody else gets; None where there is none, or none soon enough
        to be worth waiting for. Never raises.
        """
        ...


class NobodyAvailable:
    """Where workers have nowhere to make any."""

    async def take(self, *, queue: str, job_type: str) -> AvailableWorker | None:  # noqa: ARG002 - there is none for any
        return None

"""Offers of idle workers. A job that is submitted while one is at hand is leased to who made it as it is stored, so it needs
no claim.

An offer is a wish and no promise: the store looks whether the worker may have the job.
"""

from typing import Protocol

from attrs import frozen

from schedora.domain.ids import IncarnationId


@frozen(kw_only=True)
class Offer:
    """One job would be started at once by this owner."""

    owner: IncarnationId


class Offers(Protocol):
    async def take(self, *, queue: str, job_type: str) -> Offer | None:
        """One for a job of this queue and type, which nobody else gets; None where there is none, or none soon enough
        to be worth waiting for. Never raises.
        """
        ...


class NoOffers:
    """Where workers have nowhere to make any."""

    async def take(self, *, queue: str, job_type: str) -> Offer | None:  # noqa: ARG002 - there is none for any
        return None

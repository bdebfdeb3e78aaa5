"""Bring completions of workflows' jobs to the store: the completion, what it releases and what it cancels
are one transaction. Where nothing is canceled, that is one step.
"""

from collections.abc import Sequence

from attrs import frozen

from schedora.application.errors import LeaseLost
from schedora.application.ports.unit_of_work import JoinedUnitOfWork, UnitOfWork, UnitOfWorkFactory
from schedora.application.ports.wakeup import Wakeup
from schedora.application.propagation import Ending, propagate
from schedora.domain.completion import Completion
from schedora.domain.dependency import Effect, effect
from schedora.domain.ids import LeaseId
from schedora.domain.job import Job


@frozen(kw_only=True)
class Completed:
    """What came of completions: the leases whose completion was accepted, the queues that got claimable jobs, and the
    jobs that were canceled, for they depended on what can no longer succeed.
    """

    accepted: frozenset[LeaseId] = frozenset()
    queues: frozenset[str] = frozenset()
    canceled: tuple[Job, ...] = ()


@frozen(kw_only=True)
class CompleteJobs:
    units: UnitOfWorkFactory
    wakeup: Wakeup

    async def __call__(self, completions: Sequence[Completion]) -> Completed:
        """Raises ``StoreUnavailable``."""
        advancing = [one for one in completions if one.workflow_id is not None and not _cancels(one)]
        completed = Completed()
        if advancing:
            advanced = await self.units.advance(advancing)
            self.wakeup.ring(queues=advanced.queues)
            completed = Completed(accepted=advanced.accepted, queues=advanced.queues)
        if len(advancing) == len(completions):
            return completed
        rest = await self._in_unit([one for one in completions if one.workflow_id is None or _cancels(one)])
        return Completed(
            accepted=completed.accepted | rest.accepted,
            queues=completed.queues | rest.queues,
            canceled=rest.canceled,
        )

    async def _in_unit(self, completions: Sequence[Completion]) -> Completed:
        async with self.units.begin() as unit:
            completed = await complete(unit, completions)
        self.wakeup.ring(queues=completed.queues)
        return completed

    async def within(self, connection: object, completion: Completion) -> frozenset[str]:
        """Completes inside the caller's transaction. Answers the queues that get claimable jobs with its commit,
        which tells of them.

        Raises ``LeaseLost``.
        """
        async with self.units.join(connection) as unit:
            return await complete_within(unit, completion)


def _cancels(completion: Completion) -> bool:
    """Whether what depends on the job is canceled by this."""
    return completion.ends_job and effect(completion.status) is not Effect.RELEASE


async def complete_within(unit: JoinedUnitOfWork, completion: Completion) -> frozenset[str]:
    """As ``CompleteJobs.within``, in a unit that has joined the caller's transaction already."""
    completed = await complete(unit, [completion])
    if completion.lease_id not in completed.accepted:
        raise LeaseLost(f"job {completion.job_id} is no longer held by this run")
    await unit.ring(queues=completed.queues)
    return completed.queues


async def complete(unit: UnitOfWork, completions: Sequence[Completion]) -> Completed:
    """Completes them, with all that this means for others."""
    workflow_ids = {c.workflow_id for c in completions if c.workflow_id is not None}
    if workflow_ids:
        await unit.workflows.lock(workflow_ids)
    accepted = await unit.jobs.complete(completions)
    endings = [
        Ending(job_id=c.job_id, workflow_id=c.workflow_id, status=c.status)
        for c in completions
        if c.lease_id in accepted and c.ends_job and c.workflow_id is not None
    ]
    if not endings:
        return Completed(accepted=frozenset(accepted))
    propagated = await propagate(unit, endings, now=await unit.now())
    return Completed(
        accepted=frozenset(accepted), queues=frozenset(propagated.queues), canceled=propagated.canceled
    )

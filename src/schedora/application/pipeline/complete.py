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
        """In one transaction, which is quickest for those that ``in_transactions`` gives. Raises ``StoreUnavailable``."""
        if all(map(_advances, completions)):
            advanced = await self.units.advance(completions)
            completed = Completed(accepted=advanced.accepted, queues=advanced.queues)
        else:
            async with self.units.begin() as unit:
                completed = await complete(unit, completions)
        self.wakeup.notify(queues=completed.queues)
        return completed

    async def within(self, connection: object, completion: Completion) -> frozenset[str]:
        """Completes inside the caller's transaction. Answers the queues that get claimable jobs with its commit,
        which tells of them.

        Raises ``LeaseLost``.
        """
        async with self.units.join(connection) as unit:
            return await complete_within(unit, completion)


def in_transactions(completions: Sequence[Completion]) -> list[list[Completion]]:
    """Those that cancel nothing, for whom one step is enough, and the others: so that whoever delivers them knows of the
    ones whatever comes of the others.
    """
    advancing = [one for one in completions if _advances(one)]
    others = [one for one in completions if not _advances(one)]
    return [part for part in (advancing, others) if part]


def _advances(completion: Completion) -> bool:
    """Whether it concerns others at most by what it releases."""
    cancels = completion.ends_job and effect(completion.status) is not Effect.RELEASE
    return completion.workflow_id is not None and not cancels


async def complete_within(unit: JoinedUnitOfWork, completion: Completion) -> frozenset[str]:
    """As ``CompleteJobs.within``, in a unit that has joined the caller's transaction already."""
    completed = await complete(unit, [completion])
    if completion.lease_id not in completed.accepted:
        raise LeaseLost(f"job {completion.job_id} is no longer held by this run")
    await unit.notify(queues=completed.queues)
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

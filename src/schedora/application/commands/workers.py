"""What workers say of themselves over HTTP, and what operators ask of them."""

from attrs import frozen

from schedora.application.errors import Conflict, NotFound, WorkerDeclaredLost
from schedora.application.ports.randomness import Randomness
from schedora.application.ports.wakeup import Wakeup
from schedora.application.ports.workers import Workers
from schedora.domain.ids import IncarnationId, WorkerId
from schedora.domain.worker import LIVE, Worker, WorkerIdentity, WorkerState


@frozen(kw_only=True)
class RegisterWorker:
    workers: Workers
    randomness: Randomness

    async def __call__(self, identity: WorkerIdentity) -> Worker:
        """ACTIVE. A live worker of this name is renewed; a lost or stopped one is followed by a new
        incarnation, so that what the old one held can't be taken for the new one's.
        """
        known = await self.workers.named(identity.worker_id)
        if known and known[0].status in LIVE:
            return await self.workers.register(identity, known[0].incarnation)
        return await self.workers.register(identity, IncarnationId(self.randomness.random_id()))


@frozen(kw_only=True)
class BeatWorker:
    workers: Workers

    async def __call__(
        self, worker_id: WorkerId, *, cpu_percent: float | None, memory_percent: float | None
    ) -> None:
        """Raises ``NotFound``, and ``WorkerDeclaredLost`` when only registering again helps."""
        worker = await newest(self.workers, worker_id)
        status = await self.workers.beat(
            worker.incarnation, cpu_percent=cpu_percent, memory_percent=memory_percent
        )
        if status not in LIVE:
            raise WorkerDeclaredLost(
                f"worker {worker_id} is {status or 'forgotten'}: its jobs were given to others; register again"
            )


@frozen(kw_only=True)
class DrainWorker:
    workers: Workers
    wakeup: Wakeup

    async def __call__(self, worker_id: WorkerId) -> Worker:
        """DRAINING: it takes no new jobs and finishes what it runs. Raises ``NotFound``; ``Conflict`` when it
        is not live.
        """
        worker = await newest(self.workers, worker_id)
        if worker.status not in LIVE:
            raise Conflict(f"worker {worker_id} is {worker.status} and can't be drained")
        await self.workers.set_status([worker.incarnation], WorkerState.DRAINING)
        self.wakeup.notify(owners=[worker.incarnation])
        return await newest(self.workers, worker_id)


async def newest(workers: Workers, worker_id: WorkerId) -> Worker:
    """The newest incarnation of this name. Raises ``NotFound``."""
    known = await workers.named(worker_id)
    if not known:
        raise NotFound("worker", worker_id)
    return known[0]

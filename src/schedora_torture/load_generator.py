"""Whoever orders: submits over HTTP, says everything again until it is answered, and notes what was accepted."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from attrs import field, frozen

from schedora.domain.job_state import JobState
from schedora.domain.workflow import WorkflowState
from schedora.entrypoints.sdk.api_views import CreatedWorkflow
from schedora.entrypoints.sdk.client import AsyncSchedoraClient
from schedora.entrypoints.sdk.errors import ConflictError, ServerError, Unavailable
from schedora_torture.plan import Plan
from schedora_torture.workload import JobOrder, Order, OrderKind

TIMEOUT_SECONDS = 8.0
WAIT_SECONDS = 5.0
AT_ONCE_MAX = 64
"""Calls under way that store something."""
_PAUSE_SECONDS = (0.05, 0.5)

T = TypeVar("T")


class GivenUp(Exception):
    """Nobody wants it any more: it was not answered until the end."""


@frozen(kw_only=True)
class Complaint:
    """An answer that contradicts what was ordered, or an earlier answer."""

    about: str
    said: str


@frozen(kw_only=True)
class Accepted:
    """What was accepted, and all that was asked for, whatever was answered: jobs by idempotency key, workflows by name."""

    jobs: Mapping[UUID, JobOrder]
    workflows: Mapping[UUID, Order]
    asked: Mapping[str, JobOrder]
    asked_workflows: Mapping[str, Order]
    complaints: Sequence[Complaint]
    given_up: Sequence[Order] = ()
    """What was not done to the end: nobody saw to it that these end as they should."""
    failed_answers: Mapping[str, int] = field(factory=dict)
    """Those with a 5xx other than 503, by what they say: how often."""


class LoadGenerator:
    """``run`` orders; ``finish`` waits until everything that was begun is done. What came of it is in the other members."""

    def __init__(self, plan: Plan, urls: Sequence[str]) -> None:
        self._clients = [AsyncSchedoraClient(url, timeout=TIMEOUT_SECONDS) for url in urls]
        self._turn = itertools.cycle(self._clients)
        self._random = Random(plan.seed)  # noqa: S311 - places pauses
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(AT_ONCE_MAX)
        self._given_up = False
        self.jobs: dict[UUID, JobOrder] = {}
        """What was accepted, as it was ordered."""
        self.workflows: dict[UUID, Order] = {}
        self.asked: dict[str, JobOrder] = {}
        """By idempotency key, whatever came of it."""
        self.asked_workflows: dict[str, Order] = {}
        self.complaints: list[Complaint] = []
        self.given_up: list[Order] = []
        self.failed_answers: Counter[str] = Counter()
        self.calls = 0
        self.failed_calls = 0

    async def run(self, orders: Iterable[Order], stopping: asyncio.Event) -> None:
        """Each at its time, until they end or ``stopping`` is set."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for order in orders:
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), max(0.0, began + order.at_seconds - loop.time()))
            if stopping.is_set():
                return
            self.take(order)

    def take(self, order: Order) -> None:
        """Orders it, beside everything else."""
        task = asyncio.create_task(self._follow(order))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, bound: timedelta) -> None:
        """Waits for all that was begun; gives up what is not answered within ``bound``."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=bound.total_seconds())
        self._given_up = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def accepted(self) -> Accepted:
        """All that it has noted."""
        return Accepted(
            jobs=self.jobs,
            workflows=self.workflows,
            asked=self.asked,
            asked_workflows=self.asked_workflows,
            complaints=self.complaints,
            given_up=self.given_up,
            failed_answers=self.failed_answers,
        )

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    async def _follow(self, order: Order) -> None:
        try:
            await self._ordered(order)
        except (GivenUp, asyncio.CancelledError):
            self.given_up.append(order)
        except Exception as error:  # noqa: BLE001 - whatever it is, this order was not followed to its end
            self._complain(f"order {order.number} ({order.kind})", f"{type(error).__name__}: {error}")

    async def _ordered(self, order: Order) -> None:
        match order.kind:
            case OrderKind.BATCH:
                await self._batch(order)
            case _ if order.workflow is not None:
                await self._flow(order, order.workflow)
            case _:
                await self._single(order)

    async def _single(self, order: Order) -> None:
        (job,) = order.jobs
        options = dict(job.options)
        if order.kind is OrderKind.DELAYED:
            options["scheduled_at"] = datetime.now(UTC) + timedelta(seconds=order.delay_seconds)
        job_id = await self._submit(job, options)
        if order.kind is OrderKind.REPEATED:
            await asyncio.sleep(order.delay_seconds)
            again = await self._submit(job, options)
            if again != job_id:
                self._complain(job.key, f"accepted as job {job_id}, and once more as job {again}")
        elif order.kind is OrderKind.CANCELED:
            await asyncio.sleep(order.delay_seconds)
            await self._cancel(job, job_id)
        elif order.kind is OrderKind.REQUEUED:
            await self._requeue(job_id)

    async def _submit(self, job: JobOrder, options: dict[str, Any]) -> UUID:
        self.asked[job.key] = job
        async with self._at_once:
            seen = await self._insist(
                lambda client: client.submit(job.type, job.payload, idempotency_key=job.key, **options)
            )
        if not seen.same_request:
            self._complain(job.key, "the job that has this key was stored with another request")
        self.jobs[seen.job_id] = job
        return seen.job_id

    async def _batch(self, order: Order) -> None:
        rows: list[Any] = [
            {"type": job.type, "payload": job.payload, "idempotency_key": job.key, **job.options}
            for job in order.jobs
        ]
        self.asked |= {job.key: job for job in order.jobs}
        async with self._at_once:
            stored = await self._insist(lambda client: client.submit_many(rows))
        if len({row.created for row in stored}) > 1:
            self._complain(f"order {order.number}", "a batch was stored in part")
        self.jobs |= {row.job_id: job for row, job in zip(stored, order.jobs, strict=True)}

    async def _cancel(self, job: JobOrder, job_id: UUID) -> None:
        try:
            await self._insist(lambda client: client.cancel_job(job_id))
        except ConflictError:  # an earlier try had come through
            seen = await self._insist(lambda client: client.get_job(job_id))
            if seen.status is not JobState.CANCELED:
                self._complain(job.key, f"can't be canceled, and is {seen.status}")

    async def _requeue(self, job_id: UUID) -> None:
        """As often as it is DEAD: the loss of a worker is a failed attempt as well."""
        while (await self._ended(job_id)) is JobState.DEAD:
            with suppress(ConflictError):  # an earlier try had come through
                await self._insist(lambda client: client.retry_job(job_id))

    async def _ended(self, job_id: UUID) -> JobState:
        while True:
            with suppress(TimeoutError):
                seen = await self._insist(lambda client: client.wait(job_id, timeout=WAIT_SECONDS))
                return seen.status

    async def _flow(self, order: Order, name: str) -> None:
        steps: list[Any] = [
            {
                "key": job.key, "type": job.type, "payload": job.payload, "depends_on": job.depends_on,
                **job.options,
            }
            for job in order.jobs
        ]  # fmt: skip
        self.asked_workflows[name] = order
        async with self._at_once:
            workflow_id = await self._insist(lambda client: _created(client, name, steps))
        self.workflows[workflow_id] = order
        if order.kind is OrderKind.CANCELED_FLOW:
            await asyncio.sleep(order.delay_seconds)
            with suppress(ConflictError):  # an earlier try had come through
                await self._insist(lambda client: client.cancel_workflow(workflow_id))
        elif order.kind is OrderKind.MENDED_FLOW:
            while (await self._ended_flow(workflow_id)) is WorkflowState.FAILED:
                with suppress(ConflictError):
                    await self._insist(lambda client: client.retry_workflow(workflow_id))

    async def _ended_flow(self, workflow_id: UUID) -> WorkflowState:
        while True:
            with suppress(TimeoutError):
                seen = await self._insist(lambda client: client.wait_workflow(workflow_id, WAIT_SECONDS))
                return seen.status

    async def _insist(self, call: Callable[[AsyncSchedoraClient], Awaitable[T]]) -> T:
        """The answer, whoever of the servers gives it and however long that takes. Raises ``GivenUp``."""
        while not self._given_up:
            self.calls += 1
            try:
                return await call(next(self._turn))
            except ServerError as error:
                self.failed_answers[str(error)] += 1
            except Unavailable:
                pass
            self.failed_calls += 1
            await asyncio.sleep(self._random.uniform(*_PAUSE_SECONDS))
        raise GivenUp

    def _complain(self, about: str, said: str) -> None:
        self.complaints.append(Complaint(about=about, said=said))


async def _created(client: AsyncSchedoraClient, name: str, steps: list[Any]) -> UUID:
    """The id of the workflow of this name, made now or by an earlier try whose answer was lost."""
    try:
        made: CreatedWorkflow = await client.create_workflow(name, jobs=steps)
    except ConflictError:
        return (await client.list_workflows(name=name))[0].workflow_id
    return made.workflow_id

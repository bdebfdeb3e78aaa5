"""Single submissions that arrive together are written together, and each is answered by itself."""

import asyncio
import copy
from collections import deque
from collections.abc import Coroutine, Sequence
from contextvars import Context
from typing import Any

from attrs import define

from schedora.application.commands.created import count_created
from schedora.application.commands.new_jobs import new_jobs
from schedora.application.errors import LockConflict, StoreUnavailable
from schedora.application.pipeline.publish import publish_submitted
from schedora.application.ports.events import Events
from schedora.application.ports.job_writer import JobWriter
from schedora.application.ports.jobs import Submission
from schedora.application.ports.metrics import Metrics
from schedora.application.ports.randomness import Randomness
from schedora.application.telemetry.sampling import EVERYTHING, Sampler
from schedora.domain.ids import JobId
from schedora.domain.job_request import JobRequest

GROUP_MAX = 500
GROUP_CHARACTERS_MAX = 8 * 1024 * 1024
WAITING_MAX = 10_000
WAITING_CHARACTERS_MAX = 64 * 1024 * 1024
FLUSHES_MAX = 2
"""While one is written, the next is made ready."""
SHARED_MIN = 16
"""Fewer are not shared between flushes: what a statement costs by itself would be paid twice."""


@define(eq=False)
class _Waiting:
    request: JobRequest
    answer: asyncio.Future[Submission]


class GroupCommit:
    """For one event loop. The first to come is written at once; those who come meanwhile go together.

    Whoever goes away while he waits takes nobody with him; his job may exist.
    """

    def __init__(
        self,
        *,
        job_writer: JobWriter,
        events: Events,
        metrics: Metrics,
        randomness: Randomness,
        sampler: Sampler = EVERYTHING,
    ) -> None:
        self._job_writer = job_writer
        self._events = events
        self._metrics = metrics
        self._randomness = randomness
        self._sampler = sampler
        self._waiting: deque[_Waiting] = deque()
        self._characters = 0
        self._room = asyncio.Event()
        self._flushing = 0
        self._writing = 0
        self._lone = False
        """Whether the last who came, came alone."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, request: JobRequest) -> Submission:
        """Once its job is durable, or found. Raises ``StoreUnavailable``, and what the store refuses it with.

        Waits for room where too many wait already.
        """
        while len(self._waiting) >= WAITING_MAX or self._characters >= WAITING_CHARACTERS_MAX:
            self._room.clear()
            await self._room.wait()
        if self._lone and not self._flushing:
            return await self._submit_alone(request)
        answer: asyncio.Future[Submission] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(request, answer))
        self._characters += len(request.payload)
        if self._flushing < FLUSHES_MAX:
            self._flushing += 1
            self._start(self._flush())
        return await answer

    async def _submit_alone(self, request: JobRequest) -> Submission:
        """By whoever waits for it himself: nobody else does, and to change tasks takes its time."""
        self._flushing += 1
        self._writing += 1
        try:
            (submission,) = await self._add([request])
            return submission
        finally:
            self._writing -= 1
            if self._waiting:
                self._lone = False
                self._start(self._flush())
            else:
                self._flushing -= 1

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        # In a context of its own: it is nobody's in particular.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _flush(self) -> None:
        try:
            while self._waiting:
                group = self._taken(self._share())
                self._lone = len(group) == 1
                self._writing += 1
                try:
                    await self._write(group)
                finally:
                    self._writing -= 1
        except asyncio.CancelledError:  # the event loop comes to its end
            while self._waiting:
                _refuse(
                    self._taken(GROUP_MAX), StoreUnavailable("the process ends before the job was stored")
                )
            raise
        finally:
            self._flushing -= 1

    def _share(self) -> int:
        """How many to take: those who came at one moment would else all be answered at one moment, and come back
        at one; in two parts, one is made ready while the other is written.
        """
        idle = FLUSHES_MAX - self._writing
        return min(GROUP_MAX, max(SHARED_MIN, -(-len(self._waiting) // idle)))

    def _taken(self, count: int) -> list[_Waiting]:
        group: list[_Waiting] = []
        characters = 0
        while self._waiting and len(group) < count and characters < GROUP_CHARACTERS_MAX:
            one = self._waiting.popleft()
            self._characters -= len(one.request.payload)
            if not one.answer.done():  # else nobody waits for it any more
                group.append(one)
                characters += len(one.request.payload)
        self._room.set()
        return group

    async def _write(self, group: Sequence[_Waiting]) -> None:
        if not group:
            return
        try:
            submissions = await self._add([one.request for one in group])
        except LockConflict as error:
            if len(group) == 1:
                _refuse(group, error)
            # Each by itself and aside: what one of them waits for, the others and those who come need not wait for.
            for one in group if len(group) > 1 else ():
                self._start(self._write([one]))
        except StoreUnavailable as error:
            _refuse(group, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one's own
            if len(group) == 1:
                _refuse(group, error)
            else:  # until the one is found that the store refuses
                middle = len(group) // 2
                await self._write(group[:middle])
                await self._write(group[middle:])
        except asyncio.CancelledError:
            _refuse(group, StoreUnavailable("the process ends while the job is stored"))
            raise
        else:
            for one, submission in zip(group, submissions, strict=True):
                if not one.answer.done():
                    one.answer.set_result(submission)

    async def _add(self, requests: Sequence[JobRequest]) -> list[Submission]:
        job_ids = [JobId(job_id) for job_id in self._randomness.ordered_ids(len(requests))]
        jobs = new_jobs(
            requests,
            job_ids,
            randomness=self._randomness,
            upstream={},
            sampler=self._sampler,
        )
        submissions = await self._job_writer.add(jobs)
        created = [submission.new for submission in submissions if submission.created]
        count_created(created, metrics=self._metrics)
        publish_submitted(self._events, submissions)
        return submissions


def _refuse(group: Sequence[_Waiting], error: Exception) -> None:
    """Each gets an error of its own: raising it adds to it where it was raised."""
    for one in group:
        if not one.answer.done():
            own = copy.copy(error)
            own.__cause__ = error
            one.answer.set_exception(own)

"""What the seed has users submit, and what their handlers do: succeed, fail, snooze, hang, refuse to stop, take their worker down."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from attrs import define, evolve, field, frozen

from schedora.adapters.memory.virtual_clock import BEGINNING
from schedora.application.commands.workflows import Step, WorkflowRequest
from schedora.application.context import JobContext
from schedora.application.directives import Discard, Retry, Snooze
from schedora.application.encoding import decode_json, encode_json
from schedora.application.handlers import BoundCall, Executor, Handler, Handlers
from schedora.application.pipeline.runs import GRACE
from schedora.domain.ids import JobId, JsonText, LeaseToken
from schedora.domain.job_request import JobRequest
from schedora.domain.retry import RetryKind, RetryPolicy
from schedora_torture.invariants import Guard, SideEffect

if TYPE_CHECKING:
    from tests.simulation.processes import WorkerProcess

BUSY_SECONDS: Final = 60.0
"""So long users submit, and troubles come."""
QUEUES: Final = ("red", "blue")
ASYNC, THREAD, NOTE, UNKNOWN = "async", "thread", "note", "unknown"
"""Job types. A note is submitted by a handler within the transaction that completes its job: its effect. Of the last no worker
has a handler.
"""
DAY: Final = timedelta(days=1)
"""What is due then rests for all of a simulation."""
LATE_SECONDS: Final = 12.0
"""So long a worker stands still as a handler ends, at least: its jobs are given back meanwhile."""


class Act(StrEnum):
    """What one run does."""

    RETURNS = "returns"
    RAISES = "raises"
    RETRIES = "asks for a retry"
    DISCARDS = "discards"
    SNOOZES = "snoozes"
    HANGS = "hangs"
    STUBBORN = "does not stop"
    KILLS = "takes its worker down"
    BLOCKS = "blocks the event loop"
    NOT_COMMITTED = "does not commit"
    COMMITS_AND_HANGS = "commits, and hangs"
    LATE = "ends as its worker stands still"
    PUTS_OFF = "asks for a retry in a day"


IN_TRANSACTIONS: Final = (Act.NOT_COMMITTED, Act.COMMITS_AND_HANGS)
IN_THREADS: Final = (Act.RAISES, Act.RETRIES, Act.DISCARDS, Act.SNOOZES, Act.PUTS_OFF)


@frozen
class Scene:
    act: Act
    seconds: float


@frozen(kw_only=True)
class Play:
    """What the runs of one job do, by their lease tokens; what comes after the last scene returns at once."""

    number: int
    guard: Guard
    scenes: tuple[Scene, ...]

    def scene(self, token: LeaseToken) -> Scene:
        return self.scenes[token - 1] if token <= len(self.scenes) else Scene(Act.RETURNS, 0.0)


@define
class Stage:
    """Where handlers act: what they have written elsewhere, and what they have been told to do."""

    plays: dict[int, Play] = field(factory=dict)
    effects: list[SideEffect] = field(factory=list)
    tokens: dict[JobId, LeaseToken] = field(factory=dict)
    """The largest that a store elsewhere has seen of each job."""

    def handlers(self, process: "WorkerProcess") -> Handlers:
        return Handlers(
            [
                Handler(type=ASYNC, executor=Executor.ASYNC, bind=self._binding(_Actor(self, process).act)),
                Handler(type=THREAD, executor=Executor.THREAD, bind=self._binding(_Actor(self, process).act_sync)),
                Handler(type=NOTE, executor=Executor.ASYNC, bind=lambda _payload: _noted),
            ]
        )  # fmt: skip

    def _binding(self, act: Callable[[JobContext, Play], object]) -> Callable[[JsonText], BoundCall]:
        def bind(payload: JsonText) -> BoundCall:
            play = self.plays[decode_json(payload)["play"]]
            return lambda context: act(context, play)

        return bind


@frozen
class _Actor:
    stage: Stage
    process: "WorkerProcess"

    async def act(self, context: JobContext, play: Play) -> object:
        self._enter(context, play)
        try:
            return await self._play(context, play)
        finally:
            self.process.handlers_running -= 1

    def act_sync(self, context: JobContext, play: Play) -> object:
        scene = play.scene(context.lease_token)
        if scene.act in IN_THREADS:
            _raise(scene)
        self._write(context, play)
        return {"play": play.number}

    async def _play(self, context: JobContext, play: Play) -> object:
        scene, sleep = play.scene(context.lease_token), self.process.clock.sleep
        around = self.process.around
        seconds = timedelta(seconds=scene.seconds)
        context.progress(0.5)
        if around.calm and scene.act in (Act.KILLS, Act.BLOCKS, Act.LATE):
            scene = Scene(Act.RETURNS, scene.seconds)  # these are troubles, which are over
        if scene.act is Act.KILLS:
            await sleep(seconds)
            around.network.struck["handlers that take their worker down"] += 1
            self.process.crash()
            await asyncio.Event().wait()
        if scene.act is Act.BLOCKS:
            around.network.struck["handlers that block the event loop"] += 1
            self.process.block(scene.seconds)
            await asyncio.sleep(0)
        if scene.act is Act.COMMITS_AND_HANGS:
            await self._commit(context, play)
        if scene.act in (Act.HANGS, Act.STUBBORN, Act.COMMITS_AND_HANGS):
            try:
                await sleep(context.job.timeout * 2)
            except asyncio.CancelledError:
                if scene.act is not Act.STUBBORN:
                    raise
                around.network.struck["handlers that do not stop"] += 1
                await sleep(GRACE * 1.5)
                return None
        if scene.act is Act.COMMITS_AND_HANGS:
            return None
        await sleep(seconds)
        if scene.act in IN_THREADS:
            _raise(scene)
        if scene.act is Act.NOT_COMMITTED:
            with suppress(_RolledBack):
                await self._commit(context, play, but=_RolledBack)
            return None
        if play.guard is Guard.COMPLETION:
            await self._commit(context, play)
        else:
            self._write(context, play)
        if scene.act is Act.LATE:
            around.network.struck["handlers that end as their worker stands still"] += 1
            self.process.stall(LATE_SECONDS + 2 * scene.seconds)
        return {"play": play.number}

    def _enter(self, context: JobContext, play: Play) -> None:
        self.process.handlers_running += 1
        around = self.process.around
        name = around.witness.name_of(context.job_id)
        scene = play.scene(context.lease_token)
        around.witness.tell(
            self.process.name,
            f"runs {name} under token {context.lease_token}: {scene.act}, {scene.seconds:.3f} s",
        )
        self.process.check_slots()

    async def _commit(self, context: JobContext, play: Play, *, but: type[Exception] | None = None) -> None:
        async with self.process.around.system.units.begin() as unit:
            await self._note(context, play, unit)
            await context.complete_in(unit, {"play": play.number})
            if but is not None:
                raise but

    async def _note(self, context: JobContext, play: Play, unit: object) -> None:
        told = encode_json({"job": str(context.job_id), "token": context.lease_token, "attempt": context.attempt,
                            "worker": self.process.name})  # fmt: skip
        request = JobRequest(type=NOTE, payload=told, queue=context.job.queue)
        await self.process.around.system.submit_jobs([request], connection=unit)

    def _write(self, context: JobContext, play: Play) -> None:
        """Elsewhere, where no transaction of the store reaches."""
        if play.guard is Guard.TOKEN:
            if context.lease_token < self.stage.tokens.get(context.job_id, 0):
                self.process.around.network.struck["writes refused for their token"] += 1
                raise RuntimeError("a newer run has written")
            self.stage.tokens[context.job_id] = context.lease_token
        self.stage.effects.append(
            SideEffect(
                job_id=context.job_id,
                lease_token=context.lease_token,
                attempt=context.attempt,
                at=self.process.around.system.clock.now(),
                worker_id=context.job.worker_id,
                guard=play.guard,
            )
        )


class _RolledBack(Exception):
    """Thrown by the handler's own code, within its transaction."""


async def _noted(_context: JobContext) -> None:
    """It is there: that is all."""


def _raise(scene: Scene) -> None:
    match scene.act:
        case Act.RAISES:
            raise RuntimeError("no luck")
        case Act.RETRIES:
            raise Retry(after=scene.seconds)
        case Act.DISCARDS:
            raise Discard("of no use")
        case Act.SNOOZES:
            raise Snooze(scene.seconds)
        case Act.PUTS_OFF:
            raise Retry(after=DAY.total_seconds())


class Workload:
    """Draws requests."""

    def __init__(self, chance: random.Random, stage: Stage) -> None:
        self._chance = chance
        self._stage = stage
        # Each seed has handlers of its own temper: few kinds of trouble at a time, so that each gets far.
        acts = [act for act in Act if act not in (Act.RETURNS, *IN_TRANSACTIONS)]
        self._acts = chance.sample(acts, chance.randint(1, len(acts)))
        self._troubled = chance.choice((0.1, 0.3, 0.6))
        self._resting = chance.choice((0.0, 0.0, 0.05, 0.2))
        """How many jobs wait for what does not come."""

    def job(self) -> JobRequest:
        chance = self._chance
        number = len(self._stage.plays)
        job_type = THREAD if chance.random() < 0.2 else ASYNC
        guard = chance.choice(
            (Guard.NONE, Guard.TOKEN, Guard.COMPLETION) if job_type == ASYNC else (Guard.NONE, Guard.TOKEN)
        )
        self._stage.plays[number] = Play(
            number=number, guard=guard, scenes=tuple(self._scenes(job_type, guard))
        )
        later = chance.random() < 0.15
        delay = timedelta(seconds=chance.random() * BUSY_SECONDS * 1.2)
        if chance.random() < self._resting:
            if chance.random() < 0.5:
                job_type = UNKNOWN
            else:
                later, delay = True, DAY
        return JobRequest(
            type=job_type,
            payload=encode_json({"play": number}),
            idempotency_key=f"key-{number}",
            queue=chance.choice(QUEUES),
            priority=chance.randint(0, 10),
            scheduled_at=BEGINNING + delay if later else None,
            retry=RetryPolicy(
                kind=chance.choice(list(RetryKind)),
                max_retries=chance.randint(0, 4),
                base=timedelta(seconds=chance.choice((0, 0.5, 2, 5))),
                max_delay=timedelta(seconds=10),
            ),
            timeout=timedelta(seconds=chance.choice((1, 3, 10, 20))),
        )

    def workflow(self, name: str) -> WorkflowRequest:
        """A graph of some jobs, each behind some of those before."""
        steps: list[Step] = []
        keys: list[str] = []
        for position in range(self._chance.randint(2, 6)):
            key = f"step-{position}"
            after = tuple(k for k in keys if self._chance.random() < 0.5)
            steps.append(Step(request=evolve(self.job(), key=key), after=after))
            keys.append(key)
        return WorkflowRequest(name=name, steps=tuple(steps))

    def _scenes(self, job_type: str, guard: Guard) -> Sequence[Scene]:
        chance = self._chance
        acts: list[Act] = list(self._acts)
        if job_type == THREAD:
            acts = [act for act in acts if act in IN_THREADS]
        elif guard is Guard.COMPLETION:
            acts = [*IN_TRANSACTIONS, *(act for act in acts if act not in (Act.STUBBORN, Act.BLOCKS))]
        scenes = []
        for _ in range(chance.randint(1, 5)):
            act = chance.choice(acts) if acts and chance.random() < self._troubled else Act.RETURNS
            longest = chance.choice((0.01, 0.5, 4, 12))
            scenes.append(Scene(act, chance.random() * longest))
        return scenes

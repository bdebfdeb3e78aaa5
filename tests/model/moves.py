"""All that can happen next in one state: each is one transaction of the engine's own code, or one thing that a process does by itself.

A use case that commits more than once can be cut short after each commit, by the death of who runs it. An answer can be lost: then
the store has the change, and who asked for it does not know.
"""

from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from enum import Enum
from typing import Any, Final

import attrs
from attrs import field, frozen

from schedora.adapters.memory.job_queue import MemoryJobQueue
from schedora.adapters.memory.job_reader import MemoryJobReader
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.unit_of_work import MemoryUnitOfWorkFactory
from schedora.adapters.memory.wakeup import MemoryWakeup
from schedora.adapters.memory.workers import MemoryWorkers
from schedora.adapters.memory.workflow_reader import MemoryWorkflowReader
from schedora.application.commands.cancel import CancelJob
from schedora.application.commands.queues import PurgeQueue
from schedora.application.commands.requeue import RequeueJob
from schedora.application.commands.workflows import CancelWorkflow, RetryWorkflow
from schedora.application.errors import Conflict, LeaseLost
from schedora.application.maintenance import reaper
from schedora.application.maintenance.rescue import RescueJobs
from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.ports.job_queue import ClaimRequest, Start, SyncBatch
from schedora.domain import completion as endings
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText, LeaseId
from schedora.domain.job_state import REQUEUABLE, WAITING
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded
from schedora.domain.worker import Worker, WorkerState
from schedora.domain.workflow import WorkflowState
from schedora_torture.invariants import Guard, SideEffect
from tests.model.invariants import Seen
from tests.model.situations import Situation, a_row
from tests.model.store import Numbers, Opened, Unheeded, done
from tests.model.system import SILENT_SINCE, Hand, Node, Phase, System

HEARTBEAT_TIMEOUT: Final = timedelta(seconds=90)
_NOBODY: Final[Any] = Unheeded()


class Kind(Enum):
    """Who lets it happen."""

    PROGRESS = "progress"
    """The engine and handlers that end, well or badly: comes by itself."""
    CHOICE = "choice"
    """A handler that snoozes, a worker that releases: may be chosen for ever."""
    FAULT = "fault"
    OPERATOR = "operator"


@frozen
class Move:
    """One thing that can happen, and what comes of it. ``broken`` is what must not have happened on the way."""

    told: str
    kind: Kind
    after: System
    broken: tuple[str, ...] = field(default=(), kw_only=True)


def moves(situation: Situation, system: System) -> Iterator[Move]:
    """Everything that may happen, within what is left of faults and requests."""
    for move in _moves(situation, system):
        match move.kind:
            case Kind.FAULT if system.faults_left is not None:
                if system.faults_left:
                    yield attrs.evolve(
                        move, after=attrs.evolve(move.after, faults_left=system.faults_left - 1)
                    )
            case Kind.OPERATOR if system.requests_left is not None:
                if system.requests_left:
                    left = system.requests_left - 1
                    yield attrs.evolve(move, after=attrs.evolve(move.after, requests_left=left))
            case _:
                yield move


def _moves(situation: Situation, system: System) -> Iterator[Move]:
    for index in range(len(system.nodes)):
        yield from _Worker(situation, system, index).moves()
    yield from _reaper(situation, system)
    yield from _operator(system)


@frozen
class _Worker:
    situation: Situation
    system: System
    index: int

    @property
    def node(self) -> Node:
        return self.system.nodes[self.index]

    @property
    def name(self) -> str:
        return self.node.row.identity.worker_id

    def moves(self) -> Iterator[Move]:
        hand = self.node.hand
        if self.node.row.status is WorkerState.STALE:
            told = f"{self.name} hears that it was declared lost, and registers again"
            yield Move(told, Kind.PROGRESS, self._reborn())
        else:
            yield from self._declared_lost()
        yield Move(f"{self.name} dies, and starts again", Kind.FAULT, self._reborn())
        if hand is None:
            yield from self._claims()
        elif hand.told is not None:
            yield from self._ends(
                hand, hand.told, f"{self.name} says again that {hand.claim.type} is {hand.told.status}"
            )
        else:
            yield from self._goes_on(hand)

    def _goes_on(self, hand: Hand) -> Iterator[Move]:
        job = hand.claim.type
        if self.system.lease_of(hand.claim) is None:
            yield from self._looks(hand)
        if hand.claim.started_at is None and (hand.phase is not Phase.TAKEN or hand.claim.suspect):
            yield from self._starts(hand)
        if hand.phase is Phase.TAKEN and (hand.claim.started_at is not None or not hand.claim.suspect):
            begun = attrs.evolve(
                hand, phase=Phase.RUNNING, started_at=hand.claim.started_at or self.system.now
            )
            yield Move(f"{self.name} begins {job}", Kind.PROGRESS, self._holding(begun))
        if hand.phase is Phase.RUNNING:
            yield self._writes(hand)
        for outcome, told, kind in _outcomes(hand):
            started_at = hand.started_at or hand.claim.started_at
            completion = endings.settle(
                hand.claim, outcome, started_at=started_at, ended_at=self.system.now, unit_random=0.0,
                worker_deaths_max=self.situation.worker_deaths_max,
            )  # fmt: skip
            yield from self._ends(hand, completion, f"{self.name} says that {job} {told}", kind)
        if hand.phase is Phase.WROTE:
            yield from self._commits(hand)

    def _claims(self) -> Iterator[Move]:
        row = self.node.row
        for job in self.system.jobs:
            for start_count in (0, 1) if job.status in WAITING else ():
                opened = Opened(self.system)
                wish = ClaimRequest(
                    owner=row.incarnation, worker_id=row.identity.worker_id, queues=(), types=(job.request.type,),
                    limit=1, start_count=start_count,
                )  # fmt: skip
                answer = done(MemoryJobQueue(opened.store).sync(SyncBatch(claim=wish)))
                if not answer.claimed:
                    continue
                (claimed,) = answer.claimed
                (after,) = opened.systems()
                told = f"{self.name} claims {claimed.type}" + (" and starts it" if claimed.started_at else "")
                broken = (
                    ()
                    if row.status is WorkerState.ACTIVE
                    else (f"{Seen.CLAIMED_WHILE_ACTIVE}: {self.name} claims and is {row.status}",)
                )
                yield Move(told, Kind.PROGRESS, self._holding(Hand(claim=claimed), after), broken=broken)
                yield Move(f"{told}, and does not hear of it", Kind.FAULT, after, broken=broken)
        for claim in done(MemoryJobQueue(Opened(self.system).store).claims(row.incarnation)):
            found = self._holding(Hand(claim=claim))
            yield Move(f"{self.name} finds {claim.type} under its lease", Kind.PROGRESS, found)

    def _looks(self, hand: Hand) -> Iterator[Move]:
        held = done(MemoryJobQueue(Opened(self.system).store).held(self.node.row.incarnation))
        if hand.claim.lease_id not in held:
            told = f"{self.name} sees that {hand.claim.type} is no longer its own"
            yield Move(told, Kind.PROGRESS, self._holding(None))

    def _starts(self, hand: Hand) -> Iterator[Move]:
        claim, started_at = hand.claim, hand.started_at or self.system.now
        opened = Opened(self.system)
        start = Start(job_id=claim.job_id, lease_id=claim.lease_id, started_at=started_at)
        answer = done(MemoryJobQueue(opened.store).sync(SyncBatch(starts=[start])))
        (after,) = opened.systems()
        broken = _unfenced(self.system, claim, answer.accepted)
        if claim.lease_id not in answer.accepted:
            told = f"{self.name} records the start of {claim.type}: fenced"
            yield Move(told, Kind.PROGRESS, self._holding(None), broken=broken)
            return
        recorded = attrs.evolve(claim, started_at=after.jobs[after.place_of(claim)].started_at)
        told = f"{self.name} records the start of {claim.type}"
        phase = max(hand.phase, Phase.RUNNING)
        known = attrs.evolve(hand, claim=recorded, phase=phase, started_at=recorded.started_at)
        yield Move(told, Kind.PROGRESS, self._holding(known, after), broken=broken)
        asked = attrs.evolve(hand, started_at=started_at)
        yield Move(f"{told}, and does not hear of it", Kind.FAULT, self._holding(asked, after), broken=broken)

    def _writes(self, hand: Hand) -> Move:
        """The other store is asked to do no more than to refuse what is smaller."""
        index, token = self.system.place_of(hand.claim), hand.claim.lease_token
        if token < self.system.kept_tokens[index]:
            refused = self._holding(attrs.evolve(hand, phase=Phase.REFUSED))
            return Move(
                f"{self.name} writes for {hand.claim.type} under token {token}: refused",
                Kind.PROGRESS,
                refused,
            )
        kept = list(self.system.kept_tokens)
        kept[index] = token
        after = attrs.evolve(
            self._holding(attrs.evolve(hand, phase=Phase.WROTE)),
            kept_tokens=tuple(kept),
            written=(*self.system.written, self._effect(hand, Guard.TOKEN)),
        )
        return Move(f"{self.name} writes for {hand.claim.type} under token {token}", Kind.PROGRESS, after)

    def _ends(
        self, hand: Hand, completion: Completion, told: str, kind: Kind = Kind.PROGRESS
    ) -> Iterator[Move]:
        opened = Opened(self.system)
        if completion.workflow_id is None:
            answer = done(MemoryJobQueue(opened.store).sync(SyncBatch(completions=[completion])))
            accepted = answer.accepted
        else:
            accepted = done(_complete(opened)([completion])).accepted
        *earlier, after = opened.systems()
        broken = _unfenced(self.system, hand.claim, accepted)
        fenced = "" if hand.claim.lease_id in accepted else ": refused"
        unheard = attrs.evolve(hand, phase=Phase.TOLD, told=completion)
        yield Move(f"{told}{fenced}", kind, self._holding(None, after), broken=broken)
        for cut in (*earlier, after):
            yield Move(
                f"{told}{fenced}, and does not hear of it",
                Kind.FAULT,
                self._holding(unheard, cut),
                broken=broken,
            )

    def _commits(self, hand: Hand) -> Iterator[Move]:
        """``complete_in``: the handler's own transaction, which its completion joins."""
        completion = endings.settle(
            hand.claim, Succeeded(), started_at=hand.started_at, ended_at=self.system.now, unit_random=0.0,
            worker_deaths_max=self.situation.worker_deaths_max,
        )  # fmt: skip
        opened = Opened(self.system)

        async def transaction() -> None:
            units = MemoryUnitOfWorkFactory(opened.store)
            async with units.begin() as own:
                await _complete(opened).within(own, completion)

        told = f"{self.name} completes {hand.claim.type} in its own transaction"
        try:
            done(transaction())
        except LeaseLost:
            yield Move(f"{told}: its lease is lost", Kind.PROGRESS, self._holding(None))
            return
        effects = (*self.system.committed, self._effect(hand, Guard.COMPLETION))
        for after in opened.systems():
            broken = _unfenced(self.system, hand.claim, {completion.lease_id})
            ended = self._holding(None, attrs.evolve(after, committed=effects))
            yield Move(told, Kind.PROGRESS, ended, broken=broken)

    def _declared_lost(self) -> Iterator[Move]:
        """It is paused or cut off for longer than the timeout; what it has in hand it may go on with, later."""
        row = attrs.evolve(self.node.row, last_heartbeat=SILENT_SINCE)
        for after, worker in _declare(self._row(row)):
            if worker.incarnation != row.incarnation:  # that of another, which was silent before
                continue
            yield Move(f"{self.name} falls silent, and the reaper declares it lost", Kind.FAULT, after)

    def _effect(self, hand: Hand, guard: Guard) -> SideEffect:
        claim = hand.claim
        return SideEffect(
            job_id=claim.job_id, lease_token=claim.lease_token, attempt=claim.current_attempt, at=self.system.now,
            worker_id=claim.worker_id, guard=guard,
        )  # fmt: skip

    def _holding(self, hand: Hand | None, system: System | None = None) -> System:
        """With this in the worker's hand, in a state that its doing has led to."""
        after = system or self.system.stepped()
        nodes = list(after.nodes)
        nodes[self.index] = attrs.evolve(nodes[self.index], hand=hand)
        return attrs.evolve(after, nodes=tuple(nodes))

    def _row(self, row: Worker) -> System:
        nodes = list(self.system.nodes)
        nodes[self.index] = attrs.evolve(nodes[self.index], row=row)
        return self.system.stepped(nodes=tuple(nodes))

    def _reborn(self) -> System:
        """A new incarnation. The old one's row matters as long as it has leases."""
        system, old = self.system, self.node.row
        nodes = list(system.nodes)
        nodes[self.index] = Node(row=a_row(self.situation, self.index, 10 * (system.age + 1) + self.index))
        left = (attrs.evolve(old, last_heartbeat=SILENT_SINCE),) if any(system.leases_of(old)) else ()
        return system.stepped(nodes=tuple(nodes), gone=(*system.gone, *left))


def _outcomes(hand: Hand) -> Iterator[tuple[Outcome, str, Kind]]:
    """How a run may end from here. A handler that has written, or was refused, has nothing to wait for any more."""
    oops = Failed(kind="Oops", message="it failed")
    match hand.phase:
        case Phase.RUNNING:
            yield oops, "has failed", Kind.PROGRESS
            yield (
                Failed(kind="Discard", message="useless", retryable=False),
                "is to be discarded",
                Kind.PROGRESS,
            )
            yield Snoozed(delay=timedelta(0)), "snoozes", Kind.CHOICE
        case Phase.WROTE:
            yield Succeeded(result=JsonText("1")), "has succeeded", Kind.PROGRESS
            yield oops, "has failed", Kind.PROGRESS
        case Phase.REFUSED:
            yield oops, "has failed", Kind.PROGRESS
            return
    yield Released(reason="drained"), "is released", Kind.CHOICE


def _declare(system: System) -> Iterator[tuple[System, Worker]]:
    """What a reaper does with workers that it has not heard for too long, one by one."""
    for silent in done(MemoryWorkers(Opened(system).store).silent(HEARTBEAT_TIMEOUT)):
        watched = HEARTBEAT_TIMEOUT * 2
        lost: Any = reaper.lost  # type: ignore[attr-defined] # as the reaper has it, with whatever is planted there
        if lost(silent.silent_for, HEARTBEAT_TIMEOUT, heard_elsewhere=False, watched_for=watched):
            opened = Opened(system)
            workers = MemoryWorkers(opened.store)
            stale = done(workers.declare_stale([silent.incarnation], HEARTBEAT_TIMEOUT))
            (after,) = opened.systems()
            yield from ((after, worker) for worker in stale)


def _reaper(situation: Situation, system: System) -> Iterator[Move]:
    for after, worker in _declare(system):
        name = worker.identity.worker_id
        heard = worker.last_heartbeat != SILENT_SINCE
        broken = (
            (f"{Seen.LOST_WHEN_SILENT}: {name} was declared lost, and was heard all the time",)
            if heard
            else ()
        )
        yield Move(f"the reaper declares {name} lost", Kind.PROGRESS, after, broken=broken)
    if system.lost is not None:
        yield from _rescue(situation, system, system.lost)
        return
    for claim in done(MemoryWorkers(Opened(system).store).lost_jobs(len(system.jobs))):
        told = f"the reaper finds {claim.type} with {claim.worker_id}, which is lost"
        yield Move(told, Kind.PROGRESS, system.stepped(lost=claim))


def _rescue(situation: Situation, system: System, lost: ClaimedJob) -> Iterator[Move]:
    opened = Opened(system)
    workers = _Outdated(opened.store, [lost])
    rescue = RescueJobs(
        units=MemoryUnitOfWorkFactory(opened.store), queue=MemoryJobQueue(opened.store), workers=workers,
        complete=_complete(opened), wakeup=MemoryWakeup(opened.store), events=_NOBODY, metrics=_NOBODY,
        randomness=_numbers(system), worker_deaths_max=situation.worker_deaths_max,
    )  # fmt: skip
    rescued = done(rescue())
    broken = _unfenced(system, lost, {lost.lease_id} if rescued else set())
    told = f"the reaper gives {lost.type} back" + ("" if rescued else ": fenced")
    *earlier, after = opened.systems()
    yield Move(told, Kind.PROGRESS, attrs.evolve(after, lost=None), broken=broken)
    for cut in (system.stepped(), *earlier):
        yield Move(
            "the reaper dies, and starts again", Kind.FAULT, attrs.evolve(cut, lost=None), broken=broken
        )


class _Outdated(MemoryWorkers):
    """Tells once what was found some time ago."""

    def __init__(self, store: MemoryStore, lost: list[ClaimedJob]) -> None:
        super().__init__(store)
        self._lost = lost

    async def lost_jobs(self, limit: int) -> list[ClaimedJob]:
        found, self._lost = self._lost, []
        return found


def _operator(system: System) -> Iterator[Move]:
    for job in system.jobs:
        if not job.ended:
            yield from _command(system, f"cancel {job.request.type}", lambda o: _cancel(o)(job.job_id))  # noqa: B023
        if job.status in REQUEUABLE:
            yield from _command(system, f"requeue {job.request.type}", lambda o: _requeue(o)(job.job_id))  # noqa: B023
    if any(job.status in WAITING for job in system.jobs):
        yield from _command(system, "purge", lambda o: _purge(o)(None))
    flow = system.workflow
    if flow is not None and not flow.ended:
        yield from _command(system, "cancel the workflow", lambda o: _cancel_flow(o)(flow.workflow_id))
    if flow is not None and flow.status is WorkflowState.FAILED:
        yield from _command(system, "retry the workflow", lambda o: _retry_flow(o)(flow.workflow_id))


def _command(
    system: System, told: str, ask: Callable[[Opened], Coroutine[Any, Any, object]]
) -> Iterator[Move]:
    """Each of its commits is a state: who asked may die in between."""
    opened = Opened(system)
    try:
        done(ask(opened))
    except Conflict:
        return
    for after in opened.systems():
        yield Move(f"the operator asks to {told}", Kind.OPERATOR, after)


def _complete(opened: Opened) -> CompleteJobs:
    return CompleteJobs(units=MemoryUnitOfWorkFactory(opened.store), wakeup=MemoryWakeup(opened.store))


def _parts(opened: Opened, *, metrics: bool, reader: type = MemoryJobReader) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "units": MemoryUnitOfWorkFactory(opened.store),
        "reader": reader(opened.store),
        "wakeup": MemoryWakeup(opened.store),
        "events": _NOBODY,
    }
    return parts | ({"metrics": _NOBODY} if metrics else {})


def _cancel(opened: Opened) -> CancelJob:
    return CancelJob(**_parts(opened, metrics=True))


def _requeue(opened: Opened) -> RequeueJob:
    return RequeueJob(**_parts(opened, metrics=False))


def _purge(opened: Opened) -> PurgeQueue:
    parts = _parts(opened, metrics=True)
    del parts["wakeup"]
    return PurgeQueue(**parts)


def _cancel_flow(opened: Opened) -> CancelWorkflow:
    return CancelWorkflow(**_parts(opened, metrics=True, reader=MemoryWorkflowReader))


def _retry_flow(opened: Opened) -> RetryWorkflow:
    return RetryWorkflow(**_parts(opened, metrics=False, reader=MemoryWorkflowReader))


def _numbers(system: System) -> Any:
    return Numbers(system.age + 1)


def _unfenced(
    before: System, claim: ClaimedJob, accepted: "frozenset[LeaseId] | set[LeaseId]"
) -> tuple[str, ...]:
    """What is wrong where the store took a write under a lease that was gone."""
    if claim.lease_id in accepted and before.lease_of(claim) is None:
        told = f"a write for {claim.type} was accepted, and its lease was gone"
        return (f"{Seen.ACCEPTED_UNDER_ITS_LEASE}: {told}",)
    return ()

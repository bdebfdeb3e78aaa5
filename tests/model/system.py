"""One state of a small system: what its store has committed, what its workers and its reaper have in hand, and what handlers have written.

Two systems with one ``key`` go on alike: ids, instants and the numbers of attempts are left out of it, lease tokens count by their
order alone, and workers by what they are at, not by their names.
"""

from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta
from enum import IntEnum

import attrs
from attrs import field, frozen

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.dependency import waited_in_vain
from schedora.domain.ids import LeaseToken
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.lease import Lease
from schedora.domain.worker import Worker
from schedora.domain.workflow import Workflow
from schedora_torture.invariants import SideEffect
from tests.builders import NOON

STEP_TAKES = timedelta(milliseconds=1)
SILENT_SINCE = NOON - timedelta(hours=1)
"""The last heartbeat of a worker that was not heard for too long; of all others it is later."""


class Phase(IntEnum):
    """How far a worker is with the job in its hand."""

    TAKEN = 1
    """Its handler has not begun."""
    RUNNING = 2
    WROTE = 3
    """Its handler has written elsewhere, under its token."""
    REFUSED = 4
    """It wanted to, and was refused: a later token was there before."""
    TOLD = 5
    """Its end was sent to the store, and the answer did not come."""


@frozen(kw_only=True)
class Hand:
    claim: ClaimedJob
    phase: Phase = Phase.TAKEN
    started_at: datetime | None = None
    told: Completion | None = None

    @property
    def left_to_do(self) -> int:
        """How far its handler is from having written elsewhere, as far as it may: all that matters once the lease is gone,
        for the store takes nothing any more.
        """
        if self.phase is Phase.TAKEN and not (self.claim.suspect and self.claim.started_at is None):
            return 2
        return 1 if self.phase is Phase.RUNNING else 0


@frozen(kw_only=True)
class Node:
    """A worker process: its row in the store, and the job that it has in hand."""

    row: Worker
    hand: Hand | None = None


@frozen(kw_only=True)
class System:
    jobs: tuple[Job, ...]
    workflow: Workflow | None
    nodes: tuple[Node, ...]
    gone: tuple[Worker, ...] = ()
    """Incarnations that are no more and still hold leases."""
    lost: ClaimedJob | None = None
    """What the reaper has found under the lease of a lost worker, and not given back yet."""
    kept_tokens: tuple[LeaseToken, ...]
    """Of each job: the newest lease token that the other store has seen."""
    written: tuple[SideEffect, ...] = field(default=(), repr=False)
    """What that store took, in this order."""
    committed: tuple[SideEffect, ...] = field(default=(), repr=False)
    """What committed with completions."""
    faults_left: int | None = None
    """How many more there may be; None: any number."""
    requests_left: int | None = None
    """Of an operator's, likewise."""
    age: int = 0
    """How many steps led here."""

    @property
    def now(self) -> datetime:
        return NOON + self.age * STEP_TAKES

    @property
    def settled(self) -> bool:
        """All has ended, and nobody has anything in hand."""
        at_hand = self.lost is not None or any(node.hand is not None for node in self.nodes)
        return not at_hand and all(job.ended for job in self.jobs)

    @property
    def workers(self) -> tuple[Worker, ...]:
        return (*(node.row for node in self.nodes), *self.gone)

    def forgetting(self) -> "System":
        """Without incarnations that are no more and hold nothing: nothing comes of them."""
        gone = tuple(worker for worker in self.gone if any(self.leases_of(worker)))
        return self if len(gone) == len(self.gone) else attrs.evolve(self, gone=gone)

    def place_of(self, claim: ClaimedJob) -> int:
        """Which of the jobs it is."""
        return next(index for index, job in enumerate(self.jobs) if job.job_id == claim.job_id)

    def lease_of(self, claim: ClaimedJob) -> Lease | None:
        """The lease of this very claim; None where it is gone."""
        lease = self.jobs[self.place_of(claim)].lease
        return lease if lease is not None and lease.lease_id == claim.lease_id else None

    def leases_of(self, worker: Worker) -> Iterable[tuple[int, Lease]]:
        for index, job in enumerate(self.jobs):
            if job.lease is not None and job.lease.owner == worker.incarnation:
                yield index, job.lease

    def key(self) -> Hashable:
        """What decides how it can go on."""
        ranks = [self._token_ranks(index) for index in range(len(self.jobs))]
        return (
            tuple(self._job_key(index, ranks[index]) for index in range(len(self.jobs))),
            self.workflow is not None and (self.workflow.canceled_at is not None, self.workflow.counts),
            tuple(sorted((self._row_key(node.row), self._hand_key(node.hand, ranks)) for node in self.nodes)),
            tuple(sorted(self._row_key(worker) for worker in self.gone)),
            () if self.lost is None else self._claim_key(self.lost),
            self.faults_left,
            self.requests_left,
        )

    def told(self) -> str:
        """In one line, for people."""
        return " ".join(
            f"{job.request.type}={job.status}{f'({job.retry_count} retries)' if job.retry_count else ''}"
            for job in self.jobs
        )

    def _token_ranks(self, index: int) -> dict[LeaseToken, int]:
        hands = (node.hand.claim for node in self.nodes if node.hand is not None)
        tokens = {claim.lease_token for claim in hands if claim.job_id == self.jobs[index].job_id}
        tokens |= {self.jobs[index].lease_token, self.kept_tokens[index]}
        return {token: rank for rank, token in enumerate(sorted(tokens))}

    def _job_key(self, index: int, ranks: dict[LeaseToken, int]) -> tuple[Hashable, ...]:
        job = self.jobs[index]
        return (
            job.status.value,
            job.history[-1].to_state is JobState.RETRYING if job.history else False,
            job.waits_for,
            job.retry_count,
            job.worker_deaths,
            job.suspect,
            waited_in_vain(job),
            job.lease_token > 0,
            ranks[job.lease_token],
            ranks[self.kept_tokens[index]],
        )

    def _row_key(self, worker: Worker) -> tuple[str, tuple[tuple[int, bool], ...]]:
        leases = tuple((index, lease.started_at is not None) for index, lease in self.leases_of(worker))
        return worker.status.value, leases

    def _hand_key(self, hand: Hand | None, ranks: list[dict[LeaseToken, int]]) -> tuple[Hashable, ...]:
        if hand is None:
            return ()
        claim = hand.claim
        index = self.place_of(claim)
        rank = ranks[index][claim.lease_token]
        if self.lease_of(claim) is None:
            return index, False, hand.left_to_do, rank
        return index, True, claim.started_at is not None, rank, hand.phase.value, hand.started_at is not None

    def _claim_key(self, claim: ClaimedJob) -> tuple[Hashable, ...]:
        index = self.place_of(claim)
        lives = self.lease_of(claim) is not None
        return index, lives, lives and claim.started_at is not None

    def stepped(self, **changes: object) -> "System":
        """The next one, with these changes."""
        return attrs.evolve(self, age=self.age + 1, **changes)  # type: ignore[arg-type] # its own fields

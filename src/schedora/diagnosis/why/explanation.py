"""Why a job does not run, or what it does: the inputs about it as reasons, the decisive ones first.

Several may hold at once, and all are told: those that keep a claim from taking the job, then those that only delay it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs
from attrs import frozen

from schedora.diagnosis.why.inputs import (
    CandidateWorker,
    ExplainInputs,
    LeaseHolder,
    QueuePosition,
    UnfinishedUpstream,
)
from schedora.diagnosis.why.reason import BLOCKING, DELAYING, Reason, ReasonCode, Why
from schedora.diagnosis.wording import (
    NAMED_MAX,
    ago,
    counted,
    error_line,
    in_words,
    listed,
    one_line,
    plural,
    some_of,
)
from schedora.domain.events import AttemptError
from schedora.domain.ids import WorkerId
from schedora.domain.job import UPSTREAM_FAILED
from schedora.domain.job_state import ENDED, REQUEUABLE, WAITING, JobState
from schedora.domain.worker import LIVE, SUPPRESSED_TIMEOUTS_MAX, WorkerState

OVERLOOKED_AFTER: Final = timedelta(seconds=15)
"""So long after it has become ready, a job that some worker has room for should have been claimed: the slowest poll comes
within ten seconds.
"""

STARTS_WITHIN: Final = timedelta(seconds=5)
"""A job that is claimed and has a slot starts sooner, unless its worker is stuck."""

LATE_BEAT: Final = 1.25
"""So many intervals after the last, a heartbeat is not just late on its way."""

MOMENT: Final = timedelta(seconds=0.1)
"""What takes no longer is told as this."""

OVERDUE_AFTER: Final = timedelta(seconds=5)
"""So long after its timeout at least, a job that still runs is overdue: to stop it takes a moment."""


@frozen(kw_only=True)
class Silence:
    """For how long a worker may be silent: it is heard every ``interval``, and given up after ``timeout``, or, where it may be
    heard elsewhere than in the store, later.
    """

    timeout: timedelta
    interval: timedelta = timedelta(0)
    heard_elsewhere: bool = False

    @property
    def notable(self) -> timedelta:
        """From here on a heartbeat is missing for sure."""
        return max(self.timeout / 2, self.interval * LATE_BEAT)


def why(inputs: ExplainInputs, position: QueuePosition | None, silence: Silence) -> Why:
    """``position`` is what stands before a job that is ready; None of any other, and where it is not known."""
    reasons = tuple(
        attrs.evolve(reason, message=one_line(reason.message))
        for reason in _reasons(inputs, position, silence)
    )
    decisive = [one for kind in (BLOCKING, DELAYING) for one in reasons if one.code in kind]
    told = "; ".join(reason.message for reason in decisive) or reasons[0].message
    return Why(
        job_id=inputs.job_id,
        status=inputs.status,
        ready=inputs.ready,
        summary=f"{inputs.status}: {told}",
        reasons=reasons,
    )


def _reasons(inputs: ExplainInputs, position: QueuePosition | None, silence: Silence) -> Iterator[Reason]:
    if inputs.status in ENDED:
        yield _ended(inputs)
    elif inputs.holder is not None:
        yield from _held(inputs, inputs.holder, silence)
    else:
        yield from _blocking(inputs)
        if inputs.ready:
            yield from _delaying(inputs, position, silence)
        if inputs.last_error is not None and not (inputs.status is JobState.RETRYING and not inputs.due):
            yield _failed_before(inputs, inputs.last_error)


def _blocking(inputs: ExplainInputs) -> Iterator[Reason]:
    """What keeps every claim from taking it."""
    if inputs.waits_for:
        yield _waits_for_jobs(inputs)
    if not inputs.due:
        yield _due_later(inputs)
    if inputs.paused_at is not None:
        yield Reason(
            code=ReasonCode.QUEUE_PAUSED,
            message=f"queue {inputs.queue} has been paused for {in_words(inputs.at - inputs.paused_at)}",
            queue=inputs.queue,
            since=inputs.paused_at,
        )
    if not inputs.takers:
        yield _nobody_takes_it(inputs)


def _waits_for_jobs(inputs: ExplainInputs) -> Reason:
    told = [_upstream(cause, inputs.at) for cause in inputs.upstream[:NAMED_MAX]]
    if (more := inputs.waits_for - len(told)) > 0:
        told.append(f"{more:,} more" if told else counted(more, "job"))
    root = _root(inputs)
    return Reason(
        code=ReasonCode.WAITS_FOR_JOBS,
        message=f"waits for {listed(told)}{root}",
        count=inputs.waits_for,
        jobs=(*inputs.upstream, *_root_of(inputs)),
    )


def _due_later(inputs: ExplainInputs) -> Reason:
    eta, error, move = inputs.scheduled_at - inputs.at, inputs.last_error, inputs.last_move
    if inputs.status is JobState.RETRYING and error is not None:
        return Reason(
            code=ReasonCode.RETRIES_LATER,
            message=f"retries in {in_words(eta)}: attempt {error.attempt} failed with"
            f" {error_line(error.kind, error.message)}",
            since=error.at,
            until=inputs.scheduled_at,
            eta_seconds=eta.total_seconds(),
            attempt=error.attempt,
            error_kind=error.kind,
            error_message=error.message,
        )
    put_back = move is not None and (move.from_state, move.to_state) == (JobState.RUNNING, JobState.PENDING)
    reason = f": {move.reason}" if put_back and move is not None and move.reason else ""
    return Reason(
        code=ReasonCode.DUE_LATER,
        message=f"due in {in_words(eta)}{reason}",
        until=inputs.scheduled_at,
        eta_seconds=eta.total_seconds(),
    )


def _nobody_takes_it(inputs: ExplainInputs) -> Reason:
    """Of a job that no live worker would take: what the nearest of them lack."""
    knowing = [worker for worker in inputs.workers if worker.knows_type]
    if serving := [worker for worker in knowing if worker.serves_queue]:
        return Reason(
            code=ReasonCode.WORKERS_DRAINING,
            message=f"{_names(serving)}, which could run it, {plural(len(serving), 'drains', 'drain')}",
            count=len(serving),
            worker_ids=_ids(serving),
        )
    if knowing:
        return Reason(
            code=ReasonCode.QUEUE_NOT_SERVED,
            message=f"{_names(knowing)} {plural(len(knowing), 'knows', 'know')} type {inputs.type},"
            f" but no live worker that does serves queue {inputs.queue}",
            queue=inputs.queue,
            type=inputs.type,
            count=len(knowing),
            worker_ids=_ids(knowing),
        )
    if inputs.workers:
        return Reason(
            code=ReasonCode.TYPE_UNKNOWN,
            message=f"no live worker knows type {inputs.type}",
            type=inputs.type,
            count=len(inputs.workers),
        )
    return Reason(code=ReasonCode.NO_WORKERS, message="no worker is live")


def _delaying(inputs: ExplainInputs, position: QueuePosition | None, silence: Silence) -> Iterator[Reason]:
    """What stands between a job that is ready and its claim; and that it is ready."""
    heard = [worker for worker in inputs.takers if inputs.at - worker.last_heartbeat < silence.notable]
    delays = []
    if not heard:
        delays.append(_workers_silent(inputs, inputs.takers))
    elif not any(worker.free_slots for worker in heard):
        delays.append(_slots_taken(heard))
    if position is None or position.ahead:
        delays.append(_jobs_ahead(position))
    yield from delays
    yield _ready(inputs, heard, delayed=bool(delays))


def _ready(inputs: ExplainInputs, heard: Sequence[CandidateWorker], *, delayed: bool) -> Reason:
    since = inputs.ready_since
    free_slots = sum(worker.free_slots for worker in heard)
    told = f"ready for {in_words(inputs.at - since)}"
    if not delayed:
        overlooked = inputs.at - since >= OVERLOOKED_AFTER
        told += f"{', and not claimed though' if overlooked else ':'} {_names(heard)}"
        told += f" {plural(len(heard), 'has', 'have')} {counted(free_slots, 'free slot')}"
    return Reason(
        code=ReasonCode.READY,
        message=told,
        since=since,
        slots=free_slots,
        count=len(inputs.takers),
        worker_ids=_ids(inputs.takers),
    )


def _workers_silent(inputs: ExplainInputs, takers: Sequence[CandidateWorker]) -> Reason:
    heard_at = max(worker.last_heartbeat for worker in takers)
    return Reason(
        code=ReasonCode.WORKERS_SILENT,
        message=f"{_names(takers)}, which could run it, {plural(len(takers), 'has', 'have')} been silent for"
        f" {in_words(inputs.at - heard_at)}",
        since=heard_at,
        count=len(takers),
        worker_ids=_ids(takers),
    )


def _slots_taken(workers: Sequence[CandidateWorker]) -> Reason:
    slots = sum(worker.slots for worker in workers)
    taken = "the slot" if slots == 1 else f"all {slots:,} slots"
    return Reason(
        code=ReasonCode.SLOTS_TAKEN,
        message=f"{taken} of the {plural(len(workers), 'worker', f'{len(workers):,} workers')} that could run it"
        f" {plural(slots, 'is', 'are')} taken: {_names(workers)}",
        slots=slots,
        count=len(workers),
        worker_ids=_ids(workers),
    )


def _jobs_ahead(position: QueuePosition | None) -> Reason:
    if position is None:
        return Reason(
            code=ReasonCode.JOBS_AHEAD,
            message="how many jobs go first takes too long to count",
            at_least=True,
        )
    eta_seconds = None
    told = f"more than {position.ahead:,} jobs" if position.at_least else counted(position.ahead, "job")
    if position.claims_per_second:
        eta_seconds = position.ahead / position.claims_per_second
        more = "more than " if position.at_least else "about "
        span = max(MOMENT, timedelta(seconds=eta_seconds))
        pace = f", {more}{in_words(span)} at the present rate"
    else:
        pace = ""
    return Reason(
        code=ReasonCode.JOBS_AHEAD,
        message=f"behind {told} of higher priority or earlier time{pace}",
        count=position.ahead,
        at_least=position.at_least,
        per_second=position.claims_per_second,
        eta_seconds=eta_seconds,
    )


def _failed_before(inputs: ExplainInputs, error: AttemptError) -> Reason:
    return Reason(
        code=ReasonCode.FAILED_BEFORE,
        message=f"attempt {error.attempt} failed {ago(inputs.at, error.at)} with"
        f" {error_line(error.kind, error.message)}",
        since=error.at,
        attempt=error.attempt,
        worker_ids=() if error.worker_id is None else (error.worker_id,),
        error_kind=error.kind,
        error_message=error.message,
    )


def _held(inputs: ExplainInputs, holder: LeaseHolder, silence: Silence) -> Iterator[Reason]:
    yield from _of_holder(inputs, holder, silence)
    if holder.started_at is None:
        yield _claimed(inputs, holder)
    else:
        yield from _running(inputs, holder, holder.started_at)
    if inputs.last_error is not None:
        yield _failed_before(inputs, inputs.last_error)


def _of_holder(inputs: ExplainInputs, holder: LeaseHolder, silence: Silence) -> Iterator[Reason]:
    """What may keep it from finishing the job."""
    worker, worker_ids, beat = holder.worker_id, (holder.worker_id,), holder.last_heartbeat
    if holder.status not in LIVE or beat is None:
        state = "forgotten" if holder.status is None else holder.status
        yield Reason(
            code=ReasonCode.HOLDER_LOST,
            message=f"held by {worker}, which is {state}: a reaper gives the job back",
            worker_ids=worker_ids,
            last_heartbeat=beat,
        )
        return
    if inputs.at - beat >= silence.notable:
        given_up = beat + silence.timeout
        suppressed = (
            f", or at {in_words(silence.timeout * SUPPRESSED_TIMEOUTS_MAX)} while it is heard in Redis"
        )
        yield Reason(
            code=ReasonCode.HOLDER_SILENT,
            message=f"held by {worker}, which has been silent for {in_words(inputs.at - beat)}:"
            f" it is given up at {in_words(silence.timeout)}{suppressed if silence.heard_elsewhere else ''}",
            worker_ids=worker_ids,
            since=beat,
            last_heartbeat=beat,
            until=given_up,
            eta_seconds=max(0.0, (given_up - inputs.at).total_seconds()),
        )
    if holder.status is WorkerState.DRAINING:
        yield Reason(
            code=ReasonCode.HOLDER_DRAINING,
            message=f"{worker} drains: it releases what it can't finish",
            worker_ids=worker_ids,
        )


def _claimed(inputs: ExplainInputs, holder: LeaseHolder) -> Reason:
    if holder.slots is not None and holder.running_jobs >= holder.slots:
        told = f"waits for a slot: {holder.running_jobs} of {holder.slots} {plural(holder.slots, 'is', 'are')} taken"
    elif inputs.at - holder.claimed_at < STARTS_WITHIN:
        told = "is about to start"
    else:
        free = (
            ""
            if holder.slots is None
            else f" though it has {counted(holder.slots - holder.running_jobs, 'free slot')}"
        )
        told = f"and not started{free}"
    return Reason(
        code=ReasonCode.CLAIMED,
        message=f"claimed by {holder.worker_id} {ago(inputs.at, holder.claimed_at)}, {told}",
        since=holder.claimed_at,
        worker_ids=(holder.worker_id,),
        last_heartbeat=holder.last_heartbeat,
        slots=holder.slots,
        count=holder.running_jobs,
    )


def _running(inputs: ExplainInputs, holder: LeaseHolder, started_at: datetime) -> Iterator[Reason]:
    until, beat = started_at + inputs.timeout, holder.last_heartbeat
    if inputs.at - until > OVERDUE_AFTER:
        yield Reason(
            code=ReasonCode.OVERDUE,
            message=f"its timeout of {in_words(inputs.timeout)} passed {ago(inputs.at, until)}:"
            " its worker has not ended it",
            since=until,
            worker_ids=(holder.worker_id,),
        )
    heard = "" if beat is None else f", heartbeat {ago(inputs.at, beat)}"
    yield Reason(
        code=ReasonCode.RUNNING,
        message=f"has run on {holder.worker_id} for {in_words(inputs.at - started_at)},"
        f" attempt {inputs.attempt}{heard}",
        since=started_at,
        until=until,
        attempt=inputs.attempt,
        worker_ids=(holder.worker_id,),
        last_heartbeat=beat,
    )


def _ended(inputs: ExplainInputs) -> Reason:
    when = "" if inputs.completed_at is None else f" {ago(inputs.at, inputs.completed_at)}"
    worker_ids = () if inputs.worker_id is None else (inputs.worker_id,)
    match inputs.status:
        case JobState.SUCCESS:
            ran_for = (inputs.completed_at or inputs.at) - (inputs.started_at or inputs.at)
            return Reason(
                code=ReasonCode.SUCCEEDED,
                message=f"ended{when}: attempt {inputs.attempt} succeeded, on {inputs.worker_id}"
                f" within {in_words(max(MOMENT, ran_for))}",
                since=inputs.completed_at,
                attempt=inputs.attempt,
                worker_ids=worker_ids,
            )
        case JobState.DEAD:
            error = inputs.last_error
            told = "" if error is None else f", last error {error_line(error.kind, error.message)}"
            return Reason(
                code=ReasonCode.DEAD,
                message=f"ended{when} after {counted(inputs.attempt, 'attempt')}{told}",
                since=inputs.completed_at,
                attempt=inputs.attempt,
                worker_ids=worker_ids,
                error_kind=None if error is None else error.kind,
                error_message=None if error is None else error.message,
            )
        case _:
            return _canceled(inputs, when)


def _canceled(inputs: ExplainInputs, when: str) -> Reason:
    reason = None if inputs.last_move is None else inputs.last_move.reason
    if reason != UPSTREAM_FAILED:
        told = "" if reason is None else f": {reason}"
        return Reason(code=ReasonCode.CANCELED, message=f"ended{when}{told}", since=inputs.completed_at)
    told = "a job that is gone, or lives again"
    if failed := [cause for cause in inputs.upstream if cause.status in REQUEUABLE]:
        told = listed([_upstream(cause, inputs.at) for cause in failed[:NAMED_MAX]])
    root = _root(inputs)
    return Reason(
        code=ReasonCode.UPSTREAM_FAILED,
        message=f"ended{when}, for it waited for {told}{root}",
        since=inputs.completed_at,
        jobs=(*failed, *_root_of(inputs)),
    )


def _upstream(job: UnfinishedUpstream, at: datetime) -> str:
    name = job.key or f"{job.type} {job.job_id}"
    match job.status:
        case JobState.SCHEDULED | JobState.RUNNING:
            told = f" on {job.worker_id} for {in_words(at - job.since)}"
        case JobState.DEAD | JobState.CANCELED:
            error = "" if job.error_kind is None else f": {error_line(job.error_kind, job.error_message)}"
            told = f" for {in_words(at - job.since)}{error}"
        case _ if job.waits_for:
            told = f", waits for {counted(job.waits_for, 'job')}"
        case _ if job.since > at:
            told = f", due in {in_words(job.since - at)}"
        case _:
            told = f", due for {in_words(at - job.since)}"
    return f"{name} ({job.status}{told})"


def _root(inputs: ExplainInputs) -> str:
    if inputs.root is None:
        return ""
    cut_short = inputs.root.status in WAITING and inputs.root.waits_for > 0
    return f"; {'further on' if cut_short else 'in the end'} for {_upstream(inputs.root, inputs.at)}"


def _root_of(inputs: ExplainInputs) -> tuple[UnfinishedUpstream, ...]:
    return () if inputs.root is None else (inputs.root,)


def _ids(workers: Sequence[CandidateWorker]) -> tuple[WorkerId, ...]:
    return tuple(worker.worker_id for worker in workers)


def _names(workers: Sequence[CandidateWorker]) -> str:
    return some_of([str(worker.worker_id) for worker in workers])

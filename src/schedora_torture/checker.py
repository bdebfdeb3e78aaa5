"""Whether the promises were kept: what was accepted against records, ledger and counts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from enum import StrEnum

from attrs import frozen

from schedora.application.encoding import decode_json
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.job_state import ENDED, JobState
from schedora_torture import invariants
from schedora_torture.evidence import Evidence
from schedora_torture.fleet import Ending
from schedora_torture.invariants import Terms
from schedora_torture.load_generator import Accepted
from schedora_torture.workload import JobOrder

TERMS = Terms(
    # Starts and ends bear what a worker takes for the store's time, which is never ahead of it: it is what the newest answer said,
    # and the span since then. All else bears the store's own, read after what it goes by was seen. What is left is by how much
    # the clocks of spans and of times go apart between two answers.
    clock_error=timedelta(milliseconds=10),
    worker_deaths_max=1000,
)
_WITHOUT_EFFECT = frozenset({"torture.silent", "torture.doomed", "torture.endless"})
"""The first ends while nothing reaches the database, and leaves its result to arrive late."""


class Promise(StrEnum):
    """What is checked beside the invariants of records; each has one name, which reports go by."""

    ACCEPTED_IS_STORED = "accepted_is_stored"
    """What was accepted is there, once, as it was ordered."""
    NOTHING_UNASKED = "nothing_unasked"
    """There is no job that nobody ordered."""
    ANSWERS_AGREE = "answers_agree"
    """No answer of the API contradicts an earlier one."""
    EVERYTHING_ENDS = "everything_ends"
    """Once faults are over, everything ends within the bound."""
    ENDS_AS_ORDERED = "ends_as_ordered"
    """Each job ends as its handler and whoever ordered it say, whatever has failed."""
    RESULT_OF_THE_HOLDER = "result_of_the_holder"
    """The result of a job is that of the run whose token it has."""
    NOTHING_LEFT = "nothing_left"
    """Where all has ended there is no lease, nothing ready, and no slot in use."""
    COUNTS_AGREE = "counts_agree"
    """The statistics of the queue are the sum of its records."""
    NO_FAILED_ANSWERS = "no_failed_answers"
    """The API answers with no 5xx but 503."""
    PROCESSES_STAY = "processes_stay"
    """No process ends unless it is asked to, or finds no database when it starts."""
    PROCESSES_END = "processes_end"
    """Once faults are over, a process that is asked to end does so."""


@frozen(kw_only=True)
class Breach:
    """A promise or an invariant that does not hold. ``history`` is that of the job that it is about, where it is one."""

    promise: str
    subject: str
    detail: str
    history: tuple[str, ...] = ()


def breaches(accepted: Accepted, evidence: Evidence) -> list[Breach]:
    """All that records and answers tell of, the gravest promises first."""
    return [
        *_lost(accepted, evidence),
        *_unasked(accepted, evidence),
        *_contradicted(accepted),
        *_unended(accepted, evidence),
        *_otherwise_ended(accepted, evidence),
        *_of_other_runs(evidence),
        *_broken_invariants(evidence),
        *_left(evidence),
        *_miscounted(evidence),
        *_failed_answers(accepted),
    ]


def unfreed(workers: Iterable[str], slots_used: Mapping[str, int]) -> list[Breach]:
    """``slots_used`` are what workers tell long enough after everything has ended; each must have told."""
    found = []
    for name in workers:
        used = slots_used.get(name)
        if used != 0:
            still = (
                "it does not tell how many slots it uses" if used is None else f"it still uses {used} slots"
            )
            detail = f"everything has ended, and {still}"
            found.append(Breach(promise=Promise.NOTHING_LEFT, subject=f"worker {name}", detail=detail))
    return found


def misbehaved(endings: Iterable[Ending], stubborn: Iterable[str]) -> list[Breach]:
    """What processes have done: ``endings`` that nobody had asked for, and names of those that had to be killed."""
    gone = [
        Breach(
            promise=Promise.PROCESSES_STAY,
            subject=ending.name,
            detail=f"ended with status {ending.status}, and nobody had asked it to; see {ending.log}",
        )
        for ending in endings
        if not ending.in_vain
    ]
    return gone + [
        Breach(
            promise=Promise.PROCESSES_END, subject=name, detail="was asked to end, did not, and was killed"
        )
        for name in stubborn
    ]


def history(job: Job) -> tuple[str, ...]:
    """What happened to it, a line each."""
    return tuple(
        " ".join(
            filter(
                None,
                [
                    event.at.isoformat(timespec="milliseconds"),
                    f"{event.from_state or 'new'} to {event.to_state}",
                    f"attempt {event.attempt}",
                    f"by {event.worker_id}" if event.worker_id else "",
                    f"({event.reason})" if event.reason else "",
                ],
            )
        )
        for event in job.events()
    )


def _of_job(promise: str, job: Job, detail: str) -> Breach:
    return Breach(
        promise=promise,
        subject=f"job {job.job_id} ({job.request.type})",
        detail=detail,
        history=history(job),
    )


def _lost(accepted: Accepted, evidence: Evidence) -> Iterator[Breach]:
    promise = Promise.ACCEPTED_IS_STORED
    for job_id, order in accepted.jobs.items():
        job = evidence.jobs.get(JobId(job_id))
        if job is None:
            yield Breach(
                promise=promise, subject=f"job {job_id} ({order.type})", detail="accepted, and not stored"
            )
        elif (difference := _difference(job, order)) is not None:
            yield _of_job(promise, job, difference)
    members = _members(evidence)
    for workflow_id, ordered in accepted.workflows.items():
        workflow = evidence.workflows.get(WorkflowId(workflow_id))
        subject = f"workflow {workflow_id} ({ordered.kind})"
        if workflow is None:
            yield Breach(promise=promise, subject=subject, detail="accepted, and not stored")
            continue
        stored = {job.job_id: job for job in members.get(workflow.workflow_id, ())}
        steps = {step.key: step for step in ordered.jobs}
        keys = sorted(str(job.request.key) for job in stored.values())
        if keys != sorted(steps):
            detail = f"its jobs are {keys}, and were ordered as {sorted(steps)}"
            yield Breach(promise=promise, subject=subject, detail=detail)
            continue
        for job in stored.values():
            step = steps[str(job.request.key)]
            upstream = sorted(str(stored[cause].request.key) for cause in job.request.depends_on)
            if upstream != sorted(step.depends_on):
                yield _of_job(
                    promise, job, f"it depends on {upstream}, and should on {sorted(step.depends_on)}"
                )
            if (difference := _difference(job, step)) is not None:
                yield _of_job(promise, job, difference)


def _difference(job: Job, order: JobOrder) -> str | None:
    request = job.request
    # Within a workflow the order's key is that of the step.
    key = request.idempotency_key if request.workflow_id is None else request.key
    if key != order.key:
        return f"its key is {key}, and was {order.key}"
    if request.type != order.type or decode_json(request.payload) != order.payload:
        return f"it is {request.type} {request.payload}, and was ordered as {order.type} {order.payload}"
    stored = {
        "queue": request.queue,
        "max_retries": request.retry.max_retries,
        "timeout_seconds": request.timeout.total_seconds(),
    }
    for name, value in stored.items():
        if value != (wanted := order.options.get(name, value)):
            return f"its {name} is {value}, and was ordered as {wanted}"
    return None


def _members(evidence: Evidence) -> dict[WorkflowId, list[Job]]:
    members: dict[WorkflowId, list[Job]] = {}
    for job in evidence.jobs.values():
        if job.request.workflow_id is not None:
            members.setdefault(job.request.workflow_id, []).append(job)
    return members


def _unasked(accepted: Accepted, evidence: Evidence) -> Iterator[Breach]:
    promise = Promise.NOTHING_UNASKED
    for job in evidence.jobs.values():
        if job.request.workflow_id is None and job.request.idempotency_key not in accepted.asked:
            yield _of_job(promise, job, f"nobody ordered a job with the key {job.request.idempotency_key}")
    for workflow in evidence.workflows.values():
        if workflow.name not in accepted.asked_workflows:
            yield Breach(
                promise=promise, subject=f"workflow {workflow.workflow_id}", detail="nobody ordered it"
            )
    for key, times in Counter(job.request.idempotency_key for job in evidence.jobs.values()).items():
        if key is not None and times > 1:
            yield Breach(promise=promise, subject=f"key {key}", detail=f"{times} jobs have it")
    for name, times in Counter(workflow.name for workflow in evidence.workflows.values()).items():
        if times > 1:
            yield Breach(promise=promise, subject=f"name {name}", detail=f"{times} workflows have it")


def _contradicted(accepted: Accepted) -> Iterator[Breach]:
    for complaint in accepted.complaints:
        yield Breach(promise=Promise.ANSWERS_AGREE, subject=complaint.about, detail=complaint.said)


def _unended(accepted: Accepted, evidence: Evidence) -> Iterator[Breach]:
    for order in accepted.given_up:
        yield Breach(
            promise=Promise.EVERYTHING_ENDS,
            subject=f"order {order.number} ({order.kind})",
            detail="what was asked for was not answered in time",
        )
    for job_id, why in evidence.whys.items():
        yield _of_job(Promise.EVERYTHING_ENDS, evidence.jobs[job_id], why)


def _otherwise_ended(accepted: Accepted, evidence: Evidence) -> Iterator[Breach]:
    given_up = {id(job) for order in accepted.given_up for job in order.jobs}
    for job in evidence.jobs.values():
        order = _order_of(job, accepted, evidence)
        if order is None or id(order) in given_up:
            continue
        if job.ended and job.status is not order.ending:
            because = f": {job.error_message}" if job.error_message else ""
            yield _of_job(
                Promise.ENDS_AS_ORDERED, job, f"it is {job.status}, and should be {order.ending}{because}"
            )


def _order_of(job: Job, accepted: Accepted, evidence: Evidence) -> JobOrder | None:
    workflow_id = job.request.workflow_id
    if workflow_id is None:
        return accepted.asked.get(job.request.idempotency_key or "")
    workflow = evidence.workflows.get(workflow_id)
    # Nobody looks after one whose acceptance was never heard of.
    if workflow is None or workflow_id not in accepted.workflows:
        return None
    return next((step for step in accepted.workflows[workflow_id].jobs if step.key == job.request.key), None)


def _of_other_runs(evidence: Evidence) -> Iterator[Breach]:
    for job in evidence.jobs.values():
        if job.status is JobState.SUCCESS:
            result = None if job.result is None else decode_json(job.result)
            if result != job.lease_token:
                yield _of_job(
                    Promise.RESULT_OF_THE_HOLDER, job, f"its token is {job.lease_token}, its result {result}"
                )


def _broken_invariants(evidence: Evidence) -> Iterator[Breach]:
    members = _members(evidence)
    found = [violation for job in evidence.jobs.values() for violation in invariants.of_job(job, TERMS)]
    for workflow_id, workflow in evidence.workflows.items():
        found += invariants.of_workflow(workflow, members.get(workflow_id, ()), TERMS)
    with_effects = [job for job in evidence.jobs.values() if job.request.type not in _WITHOUT_EFFECT]
    found += invariants.of_effects(with_effects, evidence.effects, TERMS)
    jobs = {str(job_id): job for job_id, job in evidence.jobs.items()}
    for violation in found:
        job = jobs.get(violation.subject)
        if job is not None:
            yield _of_job(violation.invariant, job, violation.detail)
        else:
            yield Breach(promise=violation.invariant, subject=violation.subject, detail=violation.detail)


def _left(evidence: Evidence) -> Iterator[Breach]:
    if all(job.ended for job in evidence.jobs.values()) and (evidence.leases or evidence.ready):
        detail = (
            f"everything has ended, and there are {evidence.leases} leases and {evidence.ready} ready jobs"
        )
        yield Breach(promise=Promise.NOTHING_LEFT, subject="the queue", detail=detail)


def _miscounted(evidence: Evidence) -> Iterator[Breach]:
    records = Counter(job.status for job in evidence.jobs.values())
    for state in ENDED:
        told = evidence.counts.get(state, 0)
        if told != records[state]:
            detail = f"its statistics tell of {told} jobs {state}, and there are {records[state]}"
            yield Breach(promise=Promise.COUNTS_AGREE, subject="the queue", detail=detail)


def _failed_answers(accepted: Accepted) -> Iterator[Breach]:
    for said, times in accepted.failed_answers.items():
        yield Breach(promise=Promise.NO_FAILED_ANSWERS, subject="the API", detail=f"{times} times: {said}")

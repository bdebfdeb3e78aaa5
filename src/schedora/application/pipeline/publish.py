"""What happened to jobs, told to whoever looks on: the one place where moves become notices.

To be called once the store has committed them. While nobody listens nothing is made; whether anybody does is asked only by
who has something to tell, for it may cost a look at the store.
"""

from collections.abc import Collection
from datetime import datetime

from schedora.application.ports.events import Events
from schedora.application.ports.jobs import Submission
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.events import JobEvent, Notice
from schedora.domain.job import Job, current_moves
from schedora.domain.job_state import JobState


def publish_submitted(events: Events, submissions: Collection[Submission]) -> None:
    """Of those that made a job."""
    if submissions and events.wanted:
        events.publish([notice for one in submissions if one.created for notice in _submitted(one)])


def publish_created(events: Events, jobs: Collection[Job]) -> None:
    """Of jobs that came into being just now, with all that has happened to them since."""
    if jobs and events.wanted:
        events.publish([_of(job, event) for job in jobs for event in job.events()])


def publish_claimed(events: Events, jobs: Collection[ClaimedJob]) -> None:
    """Of jobs that came with a claim: some have started with it."""
    if jobs and events.wanted:
        events.publish([_held(job, event) for job in jobs for event in _claimed(job)])


def publish_started(events: Events, jobs: Collection[ClaimedJob]) -> None:
    """Of jobs whose start the store has learnt of just now."""
    if jobs and events.wanted:
        events.publish([_held(job, _claimed(job)[-1]) for job in jobs])


def publish_completed(events: Events, settled: Collection[tuple[ClaimedJob, Completion]]) -> None:
    """Of completions that the store has accepted: of the start too, where that is how the store learnt of it."""
    if settled and events.wanted:
        events.publish(
            [_held(job, event) for job, completion in settled for event in _completed(job, completion)]
        )


def publish_moved(events: Events, jobs: Collection[Job]) -> None:
    """Of the newest move of jobs that were canceled or requeued."""
    if jobs and events.wanted:
        events.publish([_of(job, job.history[-1]) for job in jobs])


def _submitted(submission: Submission) -> list[Notice]:
    if submission.record is not None:
        return [_of(submission.record, event) for event in submission.record.events()]
    new, request = submission.new, submission.new.request
    event = _created(submission.created_at)
    return [Notice(new.job_id, request.type, request.queue, request.workflow_id, event)]


def _created(at: datetime) -> JobEvent:
    return JobEvent(at=at, from_state=None, to_state=JobState.PENDING, attempt=0)


def _claimed(job: ClaimedJob) -> tuple[JobEvent, ...]:
    return current_moves(
        waited_as=job.waited_as,
        attempt=job.current_attempt,
        worker_id=job.worker_id,
        claimed_at=job.claimed_at,
        started_at=job.started_at,
    )


def _completed(job: ClaimedJob, completion: Completion) -> tuple[JobEvent, ...]:
    moves = completion.moves or current_moves(
        waited_as=job.waited_as,
        attempt=completion.attempt,
        worker_id=job.worker_id,
        claimed_at=job.claimed_at,
        started_at=completion.started_at,
        succeeded_at=completion.ended_at,
    )
    return moves[1 if job.started_at is None else 2 :]


def _held(job: ClaimedJob, event: JobEvent) -> Notice:
    return Notice(job.job_id, job.type, job.queue, job.workflow_id, event)


def _of(job: Job, event: JobEvent) -> Notice:
    request = job.request
    return Notice(job.job_id, request.type, request.queue, request.workflow_id, event)

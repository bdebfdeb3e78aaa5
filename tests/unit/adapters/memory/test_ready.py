"""The claimable jobs in the order of claims."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from schedora.adapters.memory.job_index import JobIndex
from schedora.adapters.memory.ready import Ready
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from tests.builders import NOON, SECOND, a_job, a_request

jobs = st.lists(
    st.builds(
        lambda state, queue, priority, seconds, waits_for: a_job(
            state,
            request=a_request(queue=queue, priority=priority),
            scheduled_at=NOON + seconds * SECOND,
            waits_for=waits_for,
        ),
        st.sampled_from([state for state in JobState if state is not JobState.FAILED]),
        st.sampled_from("abc"),
        st.integers(0, 2),
        st.integers(0, 5),
        st.sampled_from([0, 0, 0, 1]),
    ),
    max_size=12,
)
moments = st.integers(-1, 6).map(lambda seconds: NOON + seconds * SECOND)
queues = st.sets(st.sampled_from("abc"))


def ready_of(jobs: list[Job]) -> Ready:
    ready = Ready()
    for job in jobs:
        ready.add(job)
    return ready


@given(jobs, moments, queues)
def test_due_ones_come_by_priority_then_time_then_id(jobs: list[Job], now: object, wanted: set[str]) -> None:
    due = [job for job in jobs if job.request.queue in wanted and job.scheduled_at <= now]  # type: ignore[operator]
    due.sort(key=lambda job: (-job.request.priority, job.scheduled_at, job.job_id))
    found = ready_of(jobs).due(now, wanted=wanted.__contains__)  # type: ignore[arg-type]
    assert [place.job_id for place in found] == [job.job_id for job in due]


@given(jobs, moments, queues)
def test_delayed_ones_come_by_time(jobs: list[Job], now: object, wanted: set[str]) -> None:
    delayed = [job for job in jobs if job.request.queue in wanted and job.scheduled_at > now]  # type: ignore[operator]
    delayed.sort(key=lambda job: (job.scheduled_at, job.job_id))
    found = ready_of(jobs).delayed(now, wanted=wanted.__contains__)  # type: ignore[arg-type]
    assert [place.job_id for place in found] == [job.job_id for job in delayed]


@given(jobs)
def test_oldest_is_the_first_to_fall_due(jobs: list[Job]) -> None:
    ready = ready_of(jobs)
    for queue in "abc":
        of_queue = [job.scheduled_at for job in jobs if job.request.queue == queue]
        assert ready.oldest(queue) == min(of_queue, default=None)
    assert sorted(place.job_id for place in ready) == sorted(job.job_id for job in jobs)


@given(jobs, st.data())
def test_removed_jobs_leave_no_trace(jobs: list[Job], data: st.DataObject) -> None:
    gone = data.draw(st.lists(st.sampled_from(jobs), unique_by=id)) if jobs else []
    ready = ready_of(jobs)
    for job in gone:
        ready.remove(job)
    left = [job for job in jobs if job not in gone]
    assert ready._lines == ready_of(left)._lines


def told(jobs: list[Job]) -> JobIndex:
    index = JobIndex()
    for job in jobs:
        index.follow(None, job)
    return index


@given(jobs, st.data())
def test_index_that_followed_every_change_equals_a_new_one(jobs: list[Job], data: st.DataObject) -> None:
    index = told(jobs)
    now: dict[object, Job] = {job.job_id: job for job in jobs}
    for job in data.draw(st.lists(st.sampled_from(jobs))) if jobs else []:
        before = now.get(job.job_id)
        if before is None:
            continue
        after = data.draw(st.sampled_from(["goes", "waits", "moves"]))
        if after == "goes":
            index.follow(before, None)
            del now[job.job_id]
            continue
        state = JobState.PENDING if after == "waits" else JobState.SCHEDULED
        fresh = a_job(
            state,
            job_id=job.job_id,
            request=job.request,
            scheduled_at=job.scheduled_at + timedelta(seconds=1),
        )
        index.follow(before, fresh)
        now[job.job_id] = fresh
    rebuilt = told(list(now.values()))
    assert index.ids == sorted(rebuilt.ids)
    assert index.leases == rebuilt.leases
    assert +index.counts == +rebuilt.counts
    assert index.ready._lines == rebuilt.ready._lines

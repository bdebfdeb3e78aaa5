"""What an ending means for the rest of its workflow."""

import pytest

from schedora.application.ports.workflows import CountChange
from schedora.application.propagation import (
    Ending,
    Propagated,
    count_changes,
    propagate,
    workflow_id_of,
)
from schedora.domain.job import UPSTREAM_FAILED, Job
from schedora.domain.job_state import ENDED, JobState
from tests.builders import HOUR, NOON, a_job, a_request, a_workflow_id
from tests.unit.application.bench import Bench, id_of

S = JobState


async def end(bench: Bench, jobs: dict[str, Job], **endings: JobState) -> Propagated:
    """Tells of endings of jobs that are left as they are: propagation looks at their dependants alone."""
    async with bench.stores.units.begin() as unit:
        await unit.workflows.lock([id_of(jobs)])
        return await propagate(
            unit,
            [
                Ending(job_id=jobs[key].job_id, workflow_id=id_of(jobs), status=status)
                for key, status in endings.items()
            ],
            now=NOON + HOUR,
        )


async def waits(bench: Bench, jobs: dict[str, Job]) -> dict[str, int]:
    return {key: (await bench.stores.job(job.job_id)).waits_for for key, job in jobs.items()}


async def test_success_releases_those_that_wait_for_nothing_else(bench: Bench) -> None:
    flow = await bench.flow(a="", b="", c="a", d="ab", e="c")
    assert (await end(bench, flow, a=S.SUCCESS)).queues == {"queue-c"}
    assert await waits(bench, flow) == {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1}
    assert (await end(bench, flow, b=S.SUCCESS)).queues == {"queue-d"}
    assert (await bench.workflow_of(flow)).counts.succeeded == 2


async def test_two_successes_of_one_batch_count_twice(bench: Bench) -> None:
    flow = await bench.flow(a="", b="", c="ab")
    assert (await end(bench, flow, a=S.SUCCESS, b=S.SUCCESS)).queues == {"queue-c"}


@pytest.mark.parametrize("status", [S.DEAD, S.CANCELED])
async def test_every_other_ending_cancels_all_the_way_down(bench: Bench, status: JobState) -> None:
    flow = await bench.flow(a="", b="a", c="b", d="", e="cd")
    propagated = await end(bench, flow, a=status)
    assert propagated.queues == set()
    assert propagated.canceled == tuple([await bench.stores.job(flow[key].job_id) for key in "bce"])
    states = await bench.states(flow)
    assert {key for key, state in states.items() if state is S.CANCELED} == set("bce")
    job = await bench.stores.job(flow["e"].job_id)
    assert (job.history[-1].reason, job.completed_at) == (UPSTREAM_FAILED, NOON + HOUR)
    counts = (await bench.workflow_of(flow)).counts
    assert (counts.failed, counts.canceled) == ((1, 3) if status is S.DEAD else (0, 4))


async def test_failure_and_success_may_come_together(bench: Bench) -> None:
    flow = await bench.flow(a="", b="", c="ab", d="b")
    assert (await end(bench, flow, a=S.DEAD, b=S.SUCCESS)).queues == {"queue-d"}
    assert await bench.states(flow) == {"a": S.PENDING, "b": S.PENDING, "c": S.CANCELED, "d": S.PENDING}


async def test_no_ending_changes_nothing(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a")
    before = await bench.workflow_of(flow)
    assert await end(bench, flow) == Propagated()
    assert await bench.workflow_of(flow) == before


def test_counts_move_by_what_ended_and_by_what_lives_again() -> None:
    one, two = a_workflow_id(), a_workflow_id()
    changes = count_changes(
        [(two, S.SUCCESS), (one, S.DEAD), (two, S.SUCCESS), (two, S.CANCELED)],
        [(one, S.CANCELED), (one, S.DEAD)],
    )
    assert changes == [
        CountChange(workflow_id=one, failed=0, canceled=-1),
        CountChange(workflow_id=two, succeeded=2, canceled=1),
    ]
    assert count_changes([]) == []


@pytest.mark.parametrize("status", sorted(set(JobState) - ENDED))
def test_only_endings_are_counted(status: JobState) -> None:
    with pytest.raises(KeyError):
        count_changes([(a_workflow_id(), status)])


def test_workflow_of_a_job_that_has_none_is_a_contradiction() -> None:
    workflow_id = a_workflow_id()
    assert workflow_id_of(a_job(request=a_request(workflow_id=workflow_id))) == workflow_id
    with pytest.raises(ValueError, match="belongs to no workflow"):
        workflow_id_of(a_job())

"""A promise that was kept is not called broken, and each that was broken is called by its name."""

from typing import Any
from uuid import uuid4

import attrs
import pytest

from schedora.domain.ids import JsonText, LeaseToken
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.workflow import Workflow
from schedora_torture.checker import Promise, breaches, misbehaved, unfreed
from schedora_torture.fleet import Ending
from schedora_torture.invariants import Guard, Invariant
from schedora_torture.load_generator import Complaint
from schedora_torture.workload import JobOrder, Order, OrderKind
from tests.builders import NOON, a_job, a_workflow, a_workflow_id
from tests.unit.torture.evidences import ORDER, a_done_job, accepted, an_effect, evidence

JOB = a_done_job()
BATCH = Order(at_seconds=0, number=1, kind=OrderKind.CHAIN, jobs=(ORDER,), workflow="r/2")


def told(**what: Any) -> set[str]:
    found = breaches(
        accepted(JOB, **what.pop("accepted", {})),
        evidence(JOB, **what.pop("evidence", {})),
    )
    assert not what
    return {str(breach.promise) for breach in found}


def test_promises_that_were_kept() -> None:
    assert told() == set()


def test_a_job_that_was_accepted_and_is_not_there() -> None:
    (breach,) = breaches(accepted(JOB), evidence())
    assert breach.promise == Promise.ACCEPTED_IS_STORED


@pytest.mark.parametrize(
    "order",
    [
        attrs.evolve(ORDER, key="r/other"),
        attrs.evolve(ORDER, payload={"seconds": 0.2}),
        attrs.evolve(ORDER, type="torture.flaky"),
        attrs.evolve(ORDER, options={"queue": "torture-r", "max_retries": 100}),
        attrs.evolve(ORDER, options={"queue": "another"}),
        attrs.evolve(ORDER, options={"timeout_seconds": 0.5}),
    ],
)
def test_a_job_that_was_stored_otherwise(order: JobOrder) -> None:
    assert told(accepted={"jobs": {JOB.job_id: order}}) == {Promise.ACCEPTED_IS_STORED}


def test_a_workflow_that_was_accepted_and_is_not_there() -> None:
    assert told(accepted={"workflows": {uuid4(): BATCH}}) == {Promise.ACCEPTED_IS_STORED}


def test_a_workflow_that_was_stored_in_part() -> None:
    workflow = a_workflow(workflow_id=a_workflow_id(), name="r/2", created_at=NOON)
    assert Promise.ACCEPTED_IS_STORED in told(
        accepted={"workflows": {workflow.workflow_id: BATCH}, "asked_workflows": {"r/2": BATCH}},
        evidence={"workflows": {workflow.workflow_id: workflow}},
    )


def a_chain(*changes: Any) -> tuple[Workflow, list[Job]]:
    """Two steps, and what makes another request of each."""
    workflow = a_workflow(workflow_id=a_workflow_id(), name="r/2", created_at=NOON)
    first, second = (a_job(), a_job())
    requests = [
        attrs.evolve(
            JOB.request,
            key=key,
            idempotency_key=None,
            workflow_id=workflow.workflow_id,
            depends_on=depends_on,
        )
        for key, depends_on in (("link0", ()), ("link1", (first.job_id,)))
    ]
    jobs = [
        attrs.evolve(job, request=attrs.evolve(request, **change))
        for job, request, change in zip((first, second), requests, changes, strict=True)
    ]
    return workflow, jobs


@pytest.mark.parametrize(
    ("changes", "as_ordered"),
    [
        (({}, {}), True),
        (({}, {"key": "link0"}), False),
        (({}, {"depends_on": ()}), False),
        (({"payload": JsonText("{}")}, {}), False),
        (({}, {"type": "torture.flaky"}), False),
    ],
)
def test_a_workflow_is_stored_step_by_step_as_it_was_ordered(
    changes: tuple[dict[str, Any], ...], as_ordered: bool
) -> None:
    workflow, jobs = a_chain(*changes)
    steps = (
        attrs.evolve(ORDER, key="link0"),
        attrs.evolve(ORDER, key="link1", depends_on=("link0",)),
    )
    order = attrs.evolve(BATCH, jobs=steps)
    found = breaches(
        accepted(workflows={workflow.workflow_id: order}, asked_workflows={"r/2": order}),
        evidence(*jobs, workflows={workflow.workflow_id: workflow}),
    )
    assert (Promise.ACCEPTED_IS_STORED not in {breach.promise for breach in found}) is as_ordered


def test_two_workflows_with_one_name() -> None:
    twins = [a_workflow(workflow_id=a_workflow_id(), name="r/2", created_at=NOON) for _ in range(2)]
    found = breaches(
        accepted(asked_workflows={"r/2": BATCH}),
        evidence(workflows={workflow.workflow_id: workflow for workflow in twins}),
    )
    assert "2 workflows have it" in {breach.detail for breach in found}


def test_what_nobody_ordered() -> None:
    assert told(accepted={"asked": {}}) == {Promise.NOTHING_UNASKED}
    workflow = a_workflow(workflow_id=a_workflow_id(), name="r/2", created_at=NOON)
    assert told(evidence={"workflows": {workflow.workflow_id: workflow}}) == {Promise.NOTHING_UNASKED}


def test_two_jobs_with_one_key() -> None:
    twin = a_done_job()
    found = breaches(accepted(JOB, twin), evidence(JOB, twin))
    assert {breach.promise for breach in found} == {Promise.NOTHING_UNASKED}


def test_answers_that_contradict_each_other() -> None:
    assert told(accepted={"complaints": [Complaint(about="r/1", said="two ids")]}) == {Promise.ANSWERS_AGREE}


def test_an_answer_that_no_api_should_give() -> None:
    assert told(accepted={"failed_answers": {"500 Internal Server Error": 2}}) == {Promise.NO_FAILED_ANSWERS}


def test_a_job_that_has_not_ended_is_told_with_what_it_waits_for_and_what_it_went_through() -> None:
    waiting = attrs.evolve(a_job(), request=JOB.request)
    seen = evidence(waiting, effects=(), whys={waiting.job_id: "PENDING: no worker"})
    (breach,) = breaches(accepted(waiting), seen)
    assert (breach.promise, breach.detail) == (Promise.EVERYTHING_ENDS, "PENDING: no worker")
    assert breach.history == (f"{NOON.isoformat(timespec='milliseconds')} new to PENDING attempt 0",)


def test_a_job_that_ended_otherwise_than_ordered() -> None:
    doomed = attrs.evolve(ORDER, ending=JobState.DEAD)
    assert told(accepted={"asked": {ORDER.key: doomed}}) == {Promise.ENDS_AS_ORDERED}


def test_an_order_that_nobody_followed_to_its_end_is_told_as_that() -> None:
    doomed = attrs.evolve(ORDER, ending=JobState.DEAD)
    order = Order(at_seconds=0, number=1, kind=OrderKind.REQUEUED, jobs=(doomed,))
    assert told(accepted={"asked": {ORDER.key: doomed}, "given_up": [order]}) == {Promise.EVERYTHING_ENDS}


def test_a_result_of_another_run() -> None:
    other = attrs.evolve(JOB, result=JsonText("7"))
    found = breaches(accepted(other), evidence(other))
    assert {breach.promise for breach in found} == {Promise.RESULT_OF_THE_HOLDER}


@pytest.mark.parametrize(
    ("effects", "invariant"),
    [
        ([], Invariant.SUCCESS_HAS_ITS_EFFECT),
        ([an_effect(JOB), an_effect(JOB)], Invariant.ONE_EFFECT_A_CLAIM),
        ([an_effect(JOB), an_effect(JOB, lease_token=LeaseToken(2))], Invariant.EFFECT_OF_A_CLAIM),
        (
            [an_effect(JOB, guard=Guard.COMPLETION), an_effect(JOB, guard=Guard.COMPLETION)],
            Invariant.EFFECT_ONCE,
        ),
    ],
)
def test_effects_that_do_not_fit_the_records(effects: list[Any], invariant: Invariant) -> None:
    assert invariant in told(evidence={"effects": effects})


def test_what_is_left_behind() -> None:
    assert told(evidence={"leases": 1}) == {Promise.NOTHING_LEFT}
    assert told(evidence={"ready": 1}) == {Promise.NOTHING_LEFT}
    used, silent = unfreed(["worker-1.1", "worker-2.1", "worker-3.1"], {"worker-1.1": 2, "worker-2.1": 0})
    assert (used.promise, used.subject) == (Promise.NOTHING_LEFT, "worker worker-1.1")
    assert (silent.promise, silent.subject) == (Promise.NOTHING_LEFT, "worker worker-3.1")


def test_statistics_that_count_otherwise() -> None:
    assert told(evidence={"counts": {JobState.SUCCESS: 2}}) == {Promise.COUNTS_AGREE}


IN_VAIN = Ending(
    name="api-1.1", status=1, last_words="schedora: the database can't be reached", log="api-1.1.log",
    lived_seconds=61, begun=False,
)  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {"last_words": '{"message":"service failed"}'},
        {"status": -11},
        {"status": 2},
        {"begun": True},
        {"lived_seconds": 300},
    ],
)
def test_a_process_that_ended_by_itself(changed: dict[str, Any]) -> None:
    (breach,) = misbehaved([attrs.evolve(IN_VAIN, **changed)], [])
    assert (breach.promise, breach.subject) == (Promise.PROCESSES_STAY, "api-1.1")


def test_a_process_may_find_no_database_when_it_starts() -> None:
    assert misbehaved([IN_VAIN], []) == []


def test_a_process_that_does_not_end_when_it_is_asked_to() -> None:
    (breach,) = misbehaved([], ["worker-1.1"])
    assert (breach.promise, breach.subject) == (Promise.PROCESSES_END, "worker-1.1")

"""Create, cancel and retry whole workflows."""

import attrs
import pytest

from schedora.adapters.memory.faults import BEFORE_COMMIT
from schedora.adapters.memory.workflow_reader import MemoryWorkflowReader
from schedora.application.commands import workflows as module
from schedora.application.commands.cancel import CANCELED_BY_REQUEST
from schedora.application.commands.workflows import Step, WorkflowRequest
from schedora.application.errors import Conflict, Invalid, NameTaken, NotFound, StoreUnavailable
from schedora.application.ports.job_reader import JobFilter
from schedora.application.ports.metrics import Counter
from schedora.domain.errors import CycleFound, DuplicateKey, InvalidField, UnknownKey
from schedora.domain.ids import JsonText, WorkflowId
from schedora.domain.job_state import JobState
from schedora.domain.workflow import Workflow, WorkflowState
from tests.builders import HOUR, TRACE, a_request, a_workflow_id
from tests.unit.application.bench import DOWN, UP, Bench, id_of

S = JobState
W = WorkflowState


def steps(**edges: str) -> tuple[Step, ...]:
    return tuple(Step(request=a_request(key=key), after=tuple(causes)) for key, causes in edges.items())


async def nothing_stored(bench: Bench) -> bool:
    jobs = await bench.stores.job_reader.page(JobFilter(), limit=1, after=None)
    workflows = await bench.stores.workflow_reader.page(status=None, name=None, limit=1, after=None)
    return not jobs.jobs and not workflows.workflows


async def test_whole_graph_is_stored(bench: Bench) -> None:
    request = WorkflowRequest(
        name="order-42", description="what for", config=JsonText('{"a":1}'), steps=steps(b="a", a="", c="ab")
    )
    created = await bench.create_workflow(request)
    workflow = created.workflow
    assert (workflow.name, workflow.description, workflow.config) == ("order-42", "what for", '{"a":1}')
    assert (workflow.status, workflow.counts.total) == (W.PENDING, 3)
    assert await bench.stores.workflow_reader.get(workflow.workflow_id) == workflow
    jobs = {job.request.key: job for job in created.jobs}
    assert list(jobs) == ["b", "a", "c"]
    assert {key: job.waits_for for key, job in jobs.items()} == {"b": 1, "a": 0, "c": 2}
    assert jobs["c"].request.depends_on == (jobs["a"].job_id, jobs["b"].job_id)
    assert {job.request.workflow_id for job in created.jobs} == {workflow.workflow_id}
    for job in created.jobs:
        assert await bench.stores.job(job.job_id) == job


async def test_jobs_of_a_workflow_share_its_trace_unless_they_bring_their_own(bench: Bench) -> None:
    own = Step(request=a_request(key="own", trace=TRACE))
    created = await bench.create_workflow(WorkflowRequest(name="w", steps=(own, *steps(a="", b="a"))))
    first, second, third = (job.trace for job in created.jobs)
    assert first == TRACE
    assert second == third != TRACE
    given = await bench.create_workflow(WorkflowRequest(name="v", steps=steps(a=""), trace=TRACE))
    assert given.jobs[0].trace == TRACE


async def test_jobs_are_counted_and_the_first_ones_announced(bench: Bench) -> None:
    await bench.flow(a="", b="a", c="")
    assert bench.metrics.counted[Counter.JOBS_CREATED, "work"] == 3
    assert [hint.queues for hint in bench.hints] == [{"queue-a", "queue-c"}]


async def test_workflow_may_begin_empty(bench: Bench) -> None:
    created = await bench.create_workflow(WorkflowRequest(name="w"))
    assert (created.jobs, created.workflow.counts.total, created.workflow.status) == ((), 0, W.PENDING)
    assert bench.hints == []


@pytest.mark.parametrize("field", ["name", "description"])
def test_field_that_breaks_its_rule_is_named(field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        WorkflowRequest(**{"name": "w"} | {field: "x" * 20_000})  # type: ignore[arg-type]  # texts both
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("edges", "error", "path"),
    [
        ({"a": "b", "b": "a"}, CycleFound, ("a", "b", "a")),
        ({"a": "a"}, CycleFound, ("a", "a")),
        ({"a": "", "b": "x"}, UnknownKey, ("b", "x")),
    ],
)
async def test_graph_that_can_not_be_satisfied_is_refused_whole(
    bench: Bench, edges: dict[str, str], error: type[Exception], path: tuple[str, ...]
) -> None:
    with pytest.raises(error) as caught:
        await bench.create_workflow(WorkflowRequest(name="w", steps=steps(**edges)))
    assert getattr(caught.value, "path", None) == path
    assert await nothing_stored(bench)


async def test_key_used_twice_is_refused(bench: Bench) -> None:
    with pytest.raises(DuplicateKey):
        await bench.create_workflow(WorkflowRequest(name="w", steps=(*steps(a="", b=""), *steps(a=""))))
    assert await nothing_stored(bench)


async def test_step_without_key_or_with_a_repeated_dependency_is_named(bench: Bench) -> None:
    wrong = (*steps(a=""), Step(request=a_request()), *steps(c="aa"), Step(request=a_request()))
    with pytest.raises(Invalid, match="every job of a workflow needs a key") as caught:
        await bench.create_workflow(WorkflowRequest(name="w", steps=wrong))
    assert [error.field for error in caught.value.errors] == [
        "jobs[1].key",
        "jobs[3].key",
        "jobs[2].depends_on",
    ]
    assert await nothing_stored(bench)


async def test_too_many_jobs_are_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JOBS_MAX", 2)
    await bench.create_workflow(WorkflowRequest(name="full", steps=steps(a="", b="")))
    with pytest.raises(Invalid, match="at most 2 jobs in one workflow, not 3") as caught:
        await bench.create_workflow(WorkflowRequest(name="w", steps=steps(a="", b="", c="")))
    assert [error.field for error in caught.value.errors] == ["jobs"]


async def test_name_is_taken_once(bench: Bench) -> None:
    await bench.flow("w", a="")
    with pytest.raises(NameTaken, match="there is already a workflow named 'w'"):
        await bench.flow("w", b="")
    page = await bench.stores.workflow_reader.page(status=None, name=None, limit=10, after=None)
    assert [workflow.counts.total for workflow in page.workflows] == [1]


async def test_taken_key_of_a_step_refuses_the_workflow(bench: Bench) -> None:
    [taken] = await bench.submit([a_request(idempotency_key="k")])
    step = Step(request=a_request(key="b", idempotency_key="k"))
    with pytest.raises(Conflict, match=f"'k' of step 'b' is taken by job {taken.job.job_id}"):
        await bench.create_workflow(WorkflowRequest(name="w", steps=(*steps(a=""), step)))
    page = await bench.stores.job_reader.page(JobFilter(), limit=10, after=None)
    assert [job.job_id for job in page.jobs] == [taken.job.job_id]
    await bench.flow("w", a="")


async def test_workflow_exists_if_and_only_if_the_transaction_of_the_caller_commits(bench: Bench) -> None:
    request = WorkflowRequest(name="w", steps=steps(a=""))
    async with bench.stores.abandoned_unit() as unit:
        await bench.create_workflow(request, connection=unit)
    assert await nothing_stored(bench)
    async with bench.stores.units.begin() as unit:
        created = await bench.create_workflow(request, connection=unit)
    assert await bench.stores.workflow_reader.get(created.workflow.workflow_id) == created.workflow


async def test_store_that_fails_stores_nothing(bench: Bench) -> None:
    bench.faults.fail(BEFORE_COMMIT)
    with pytest.raises(StoreUnavailable):
        await bench.flow(a="", b="a")
    assert await nothing_stored(bench)
    assert bench.hints == []


async def test_cancel_ends_what_has_not_ended_and_tells_the_holders(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a", c="", d="c")
    await bench.run({"a": UP})
    worker = await bench.stores.worker()
    await bench.stores.claim(worker)
    bench.hints.clear()
    bench.clock.advance(HOUR)
    workflow = await bench.cancel_workflow(id_of(flow))
    assert (workflow.status, workflow.canceled_at, workflow.completed_at) == (
        W.CANCELED,
        bench.clock.now(),
        bench.clock.now(),
    )
    assert (workflow.counts.succeeded, workflow.counts.canceled) == (1, 3)
    assert await bench.states(flow) == {"a": S.SUCCESS} | dict.fromkeys("bcd", S.CANCELED)
    assert (await bench.stores.job(flow["d"].job_id)).history[-1].reason == CANCELED_BY_REQUEST
    assert [hint.owners for hint in bench.hints] == [{worker.incarnation}]
    assert await bench.stores.job_queue.held(worker.incarnation) == frozenset()


async def test_empty_workflow_can_be_canceled(bench: Bench) -> None:
    created = await bench.create_workflow(WorkflowRequest(name="w"))
    workflow = await bench.cancel_workflow(created.workflow.workflow_id)
    assert (workflow.status, workflow.completed_at) == (W.CANCELED, bench.clock.now())
    assert bench.hints == []


async def test_unknown_workflow_is_not_found(bench: Bench) -> None:
    for command in (bench.cancel_workflow, bench.retry_workflow):
        with pytest.raises(NotFound, match="there is no workflow"):
            await command(a_workflow_id())


async def test_workflow_that_is_not_read_back_is_not_found(bench: Bench) -> None:
    class Blind(MemoryWorkflowReader):
        async def get(self, workflow_id: WorkflowId) -> Workflow | None:
            return None

    flow = await bench.flow(a="")
    with pytest.raises(NotFound):
        await attrs.evolve(bench.cancel_workflow, reader=Blind(bench.store))(id_of(flow))


async def test_ended_workflow_is_not_canceled(bench: Bench) -> None:
    flow = await bench.flow(a="")
    await bench.run({"a": UP})
    with pytest.raises(Conflict, match="has already ended: it is SUCCESS"):
        await bench.cancel_workflow(id_of(flow))


async def test_retry_runs_again_what_failed_and_what_waited_for_it(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a", c="b", d="", e="d")
    await bench.run({"a": UP, "b": DOWN, "d": DOWN})
    bench.hints.clear()
    workflow = await bench.retry_workflow(id_of(flow))
    assert (workflow.status, workflow.completed_at) == (W.RUNNING, None)
    assert (workflow.counts.succeeded, workflow.counts.failed, workflow.counts.canceled) == (1, 0, 0)
    assert await bench.states(flow) == {"a": S.SUCCESS} | dict.fromkeys("bcde", S.PENDING)
    assert [hint.queues for hint in bench.hints] == [{"queue-b", "queue-d"}]
    await bench.run(dict.fromkeys("bcde", UP))
    assert (await bench.workflow_of(flow)).status is W.SUCCESS


@pytest.mark.parametrize(
    ("outcome", "status"), [(UP, W.SUCCESS), (None, W.PENDING)], ids=["succeeded", "not begun"]
)
async def test_only_a_failed_workflow_is_retried(bench: Bench, outcome: object, status: W) -> None:
    flow = await bench.flow(a="")
    if outcome is not None:
        await bench.run({"a": UP})
    with pytest.raises(Conflict, match=f"is {status}; only FAILED ones can be retried"):
        await bench.retry_workflow(id_of(flow))


async def test_workflow_that_still_runs_is_not_retried(bench: Bench) -> None:
    flow = await bench.flow(a="", b="")
    await bench.run({"a": DOWN})
    with pytest.raises(Conflict, match="is RUNNING"):
        await bench.retry_workflow(id_of(flow))
    await bench.cancel_workflow(id_of(flow))
    with pytest.raises(Conflict, match="is CANCELED"):
        await bench.retry_workflow(id_of(flow))

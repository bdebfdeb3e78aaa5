"""The completion of a workflow's job, what it releases and what it cancels: one transaction."""

from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import cast

import attrs
import pytest

from schedora.adapters.memory.faults import BEFORE_COMMIT
from schedora.application.errors import LeaseLost, StoreUnavailable
from schedora.application.pipeline.complete import complete, in_transactions
from schedora.application.ports.unit_of_work import UnitOfWork
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText, LeaseId, WorkflowId
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Outcome, Snoozed, Succeeded
from schedora.domain.workflow import WorkflowState
from tests.builders import HOUR, a_claimed_job, a_lease_id, a_workflow_id, settled
from tests.unit.application.bench import DOWN, UP, Bench, id_of

S = JobState


async def first(bench: Bench, outcome: Outcome) -> tuple[ClaimedJob, Completion]:
    """Of a job under way: its claim, and what the outcome makes of it."""
    [claim] = await bench.claim()
    bench.hints.clear()
    return claim, await bench.stores.settle(claim, outcome)


async def test_success_releases_dependants_and_tells_of_them(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a", c="a", d="bc")
    claim, completion = await first(bench, Succeeded(result=JsonText("1")))
    assert (await bench.complete([completion])).accepted == {claim.lease_id}
    assert [hint.queues for hint in bench.hints] == [{"queue-b", "queue-c"}]
    job = await bench.stores.job(flow["a"].job_id)
    assert (job.status, job.result) == (S.SUCCESS, "1")
    assert (await bench.workflow_of(flow)).counts.succeeded == 1
    assert {claim.key for claim in await bench.claim()} == {"b", "c"}


async def test_failure_cancels_dependants_and_ends_the_workflow(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a", c="b")
    _, completion = await first(bench, DOWN)
    completed = await bench.complete([completion])
    assert [job.job_id for job in completed.canceled] == [flow["b"].job_id, flow["c"].job_id]
    assert await bench.states(flow) == {"a": S.DEAD, "b": S.CANCELED, "c": S.CANCELED}
    assert (await bench.workflow_of(flow)).status is WorkflowState.FAILED
    assert bench.hints == []
    assert completed.canceled[0].history[-1].at == bench.clock.now()


async def test_job_that_waits_again_moves_nothing_else(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a")
    claim, completion = await first(bench, Snoozed(delay=HOUR))
    assert (await bench.complete([completion])).accepted == {claim.lease_id}
    assert await bench.states(flow) == {"a": S.PENDING, "b": S.PENDING}
    assert bench.hints == []


async def test_fenced_completion_releases_nobody(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a")
    claim, completion = await first(bench, UP)
    await bench.cancel(flow["a"].job_id)
    bench.hints.clear()
    assert (await bench.complete([completion])).accepted == set()
    assert await bench.states(flow) == {"a": S.CANCELED, "b": S.CANCELED}
    assert (await bench.workflow_of(flow)).counts.succeeded == 0
    assert bench.hints == []
    assert claim.lease_id == completion.lease_id


async def test_failing_store_keeps_all_of_it_or_nothing(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a")
    claim, completion = await first(bench, UP)
    bench.faults.fail(BEFORE_COMMIT)
    with pytest.raises(StoreUnavailable):
        await bench.complete([completion])
    assert await bench.states(flow) == {"a": S.RUNNING, "b": S.PENDING}
    assert bench.hints == []
    assert (await bench.complete([completion])).accepted == {claim.lease_id}


async def test_completions_of_two_workflows_and_of_none_may_come_together(bench: Bench) -> None:
    one, two = await bench.flow("one", a="", b="a"), await bench.flow("two", a="", b="a")
    alone = await bench.stores.submit_one()
    claims = await bench.claim()
    bench.hints.clear()
    completed = await bench.complete([await bench.stores.settle(claim, UP) for claim in claims])
    assert completed.accepted == {claim.lease_id for claim in claims}
    assert completed.queues == {"queue-b"}
    assert [hint.queues for hint in bench.hints] == [{"queue-b"}]
    assert (await bench.stores.job(alone.job_id)).status is S.SUCCESS
    for flow in (one, two):
        assert (await bench.states(flow))["a"] is S.SUCCESS
        assert (await bench.stores.job(flow["b"].job_id)).claimable


async def test_workflows_are_locked_before_their_jobs(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a")
    alone = await bench.stores.submit_one()
    both = [await bench.stores.settle(claim, UP) for claim in await bench.claim()]
    asked: list[object] = []
    async with bench.stores.units.begin() as unit:

        async def lock(workflow_ids: Collection[WorkflowId]) -> None:
            asked.append(workflow_ids)
            await unit.workflows.lock(workflow_ids)

        async def end(completions: Sequence[Completion]) -> Collection[LeaseId]:
            asked.append("jobs")
            return await unit.jobs.complete(completions)

        observed = SimpleNamespace(
            now=unit.now,
            workflows=SimpleNamespace(lock=lock, count=unit.workflows.count),
            jobs=SimpleNamespace(complete=end, release=unit.jobs.release),
        )
        await complete(cast("UnitOfWork", observed), both)
        assert asked == [{id_of(flow)}, "jobs"]
    assert (await bench.stores.job(alone.job_id)).status is S.SUCCESS


def test_those_that_cancel_nothing_go_by_themselves() -> None:
    claim = a_claimed_job(workflow_id=a_workflow_id())
    success, again, failure = [settled(claim, outcome) for outcome in (UP, Snoozed(delay=HOUR), DOWN)]
    alone = settled(a_claimed_job(), UP)
    assert in_transactions([failure, success, alone, again]) == [[success, again], [failure, alone]]
    assert in_transactions([failure]) == [[failure]]
    assert in_transactions([success]) == [[success]]
    assert in_transactions([]) == []


async def test_within_a_transaction_it_happens_if_and_only_if_that_commits(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a")
    _, completion = await first(bench, UP)
    async with bench.stores.abandoned_unit() as unit:
        assert await bench.complete.within(unit, completion) == {"queue-b"}
    assert await bench.states(flow) == {"a": S.RUNNING, "b": S.PENDING}
    assert bench.hints == [], "it was told with the commit, and there was none"
    async with bench.stores.units.begin() as unit:
        assert await bench.complete.within(unit, completion) == {"queue-b"}
        assert bench.hints == []
    assert (await bench.states(flow))["a"] is S.SUCCESS
    assert [hint.queues for hint in bench.hints] == [{"queue-b"}]


async def test_within_a_transaction_a_lost_lease_is_an_error(bench: Bench) -> None:
    await bench.flow(a="", b="a")
    _, completion = await first(bench, UP)
    stale = attrs.evolve(completion, lease_id=a_lease_id())
    async with bench.stores.abandoned_unit() as unit:
        with pytest.raises(LeaseLost, match=f"job {completion.job_id} is no longer held"):
            await bench.complete.within(unit, stale)

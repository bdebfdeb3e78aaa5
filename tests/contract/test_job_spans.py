"""Spans that are derived from what a store keeps, against those that who held the job knows."""

from datetime import timedelta

import pytest

from schedora.application.telemetry.job_spans import job_spans, run_spans
from schedora.application.telemetry.span import Span, process_span_id
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JobId
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut
from schedora.domain.retry import RetryKind, RetryPolicy
from tests.builders import a_request
from tests.contract.stores import Stores

AT_ONCE = RetryPolicy(kind=RetryKind.FIXED, max_retries=9, base=timedelta(0), max_delay=timedelta(0))
FAILED = Failed(kind="Oops", message="it failed", traceback="Traceback …")


async def derived(stores: Stores, job_id: JobId) -> list[Span]:
    job = await stores.job(job_id)
    lineage = await stores.lineage_reader.lineage([job_id], upstream_ids=job.request.depends_on)
    return job_spans(job, lineage)


async def run(stores: Stores, claimed: ClaimedJob, outcome: Outcome) -> list[Span]:
    """Ends the claim; what its holder knows then."""
    completion = await stores.settle(claimed, outcome)
    assert claimed.lease_id in (await stores.sync(completions=[completion])).accepted
    return run_spans(claimed, completion)


@pytest.mark.parametrize(
    "outcomes",
    [
        [Succeeded()],
        [FAILED, Succeeded()],
        [FAILED, TimedOut(timeout=timedelta(seconds=3)), Failed(kind="Oops", message="no", retryable=False)],
        [Snoozed(delay=timedelta(0), reason=None), Released(reason="drained"), FAILED, Succeeded()],
    ],
    ids=lambda outcomes: " ".join(type(outcome).__name__ for outcome in outcomes),
)
async def test_both_are_the_same(stores: Stores, outcomes: list[Outcome]) -> None:
    worker = await stores.worker()
    job = await stores.submit_one(a_request(retry=AT_ONCE, key="k", queue="mail"))
    known: list[Span] = []
    for outcome in outcomes:
        (claimed,) = await stores.claim(worker, limit=1)
        known += await run(stores, claimed, outcome)
    told = {span.span_id: span for span in await derived(stores, job.job_id)}
    assert [told[span.span_id] for span in known] == known


async def test_what_runs_is_told_as_it_runs(stores: Stores) -> None:
    worker = await stores.worker()
    job = await stores.submit_one()
    assert [span.end_ns is None for span in await derived(stores, job.job_id)] == [False, True]
    (claimed,) = await stores.claim(worker, limit=1)
    *_, process = await derived(stores, job.job_id)
    assert process.span_id == process_span_id(job.job_id, claimed.claimed_at)
    assert process.end_ns is None
    await run(stores, claimed, Succeeded())
    same = {span.span_id: span for span in await derived(stores, job.job_id)}[process.span_id]
    assert same.start_ns == process.start_ns


async def test_a_dependant_begins_where_what_it_waited_for_ended(stores: Stores) -> None:
    worker = await stores.worker()
    flow = await stores.workflow()
    first = await stores.submit_one(a_request(workflow_id=flow, key="a"))
    second = await stores.submit_one(
        a_request(workflow_id=flow, key="b", depends_on=(first.job_id,)), waits_for=1
    )
    (claimed,) = await stores.claim(worker, limit=1)
    completion = await stores.settle(claimed, Succeeded())
    async with stores.units.begin() as unit:
        await unit.workflows.lock([flow])
        await unit.jobs.complete([completion])
        await unit.jobs.release([first.job_id])
    _, waited, queued = await derived(stores, second.job_id)
    ended = (await derived(stores, first.job_id))[-1]
    assert waited.end_ns == queued.start_ns == ended.end_ns
    assert [link.span_id for link in waited.links] == [process_span_id(first.job_id, claimed.claimed_at)]
    assert ended.events[0].attributes["schedora.job_ids"] == (str(second.job_id),)


async def test_who_holds_a_dependant_knows_the_same_links(stores: Stores) -> None:
    worker = await stores.worker()
    flow = await stores.workflow()
    first = await stores.submit_one(a_request(workflow_id=flow, key="a"))
    second = await stores.submit_one(
        a_request(workflow_id=flow, key="b", depends_on=(first.job_id,)), waits_for=1
    )
    (claimed,) = await stores.claim(worker, limit=1)
    completion = await stores.settle(claimed, Succeeded())
    async with stores.units.begin() as unit:
        await unit.workflows.lock([flow])
        await unit.jobs.complete([completion])
        await unit.jobs.release([first.job_id])
    (held,) = await stores.claim(worker, limit=1)
    lineage = await stores.lineage_reader.lineage((), upstream_ids=held.depends_on)
    known = run_spans(held, await stores.settle(held, Succeeded()), lineage.relatives(held.depends_on))
    (process,) = [span for span in known if span.span_id == process_span_id(held.job_id, held.claimed_at)]
    (told,) = [span for span in await derived(stores, second.job_id) if span.span_id == process.span_id]
    assert process.links == told.links != ()

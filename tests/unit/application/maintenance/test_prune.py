"""Remove the records that were kept for long enough."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import attrs
import pytest
from attrs import define, field
from structlog.testing import capture_logs

from schedora.application.errors import StoreUnavailable
from schedora.application.maintenance.prune import BATCH_MAX, REST, ROUND_MAX
from schedora.application.ports.records import Pruned
from schedora.domain.ids import JobId
from schedora.domain.outcome import Outcome
from schedora.domain.retention import Retention
from tests.builders import HOUR, SECOND, a_request
from tests.unit.application.bench import DOWN, UP, Bench, id_of

NOTHING = Pruned()
FULL = Pruned(jobs=BATCH_MAX, more=True)


@define
class Scripted:
    """Answers what it is told to, after a time of work; then that nothing is left."""

    bench: Bench
    jobs: list[Pruned]
    workflows: list[Pruned]
    work: timedelta = SECOND / 10
    calls: list[tuple[str, timedelta]] = field(factory=list)

    async def prune_jobs(self, retention: Retention, *, limit: int) -> Pruned:
        return self._answer("jobs", self.jobs)

    async def prune_workflows(self, retention: Retention, *, limit: int) -> Pruned:
        return self._answer("workflows", self.workflows)

    def _answer(self, name: str, answers: list[Pruned]) -> Pruned:
        self.calls.append((name, self.bench.clock.monotonic()))
        self.bench.clock.advance(self.work)
        return answers.pop(0) if answers else NOTHING


async def round_with(bench: Bench, records: Scripted, stopped: asyncio.Event | None = None) -> Pruned:
    task = asyncio.create_task(attrs.evolve(bench.prune, records=records)(stopped or asyncio.Event()))
    while not task.done():
        for _ in range(10):
            await asyncio.sleep(0)
        if not task.done():
            bench.clock.advance_to_next_wait()
    return await task


def scripted(bench: Bench, jobs: Iterable[Pruned] = (), workflows: Iterable[Pruned] = ()) -> Scripted:
    return Scripted(bench, list(jobs), list(workflows))


async def test_round_ends_when_nothing_is_due_any_more(bench: Bench) -> None:
    records = scripted(bench, jobs=[FULL, Pruned(jobs=3)], workflows=[Pruned(jobs=10, workflows=2)])
    assert await round_with(bench, records) == Pruned(jobs=BATCH_MAX + 13, workflows=2, more=False)
    assert [name for name, _ in records.calls] == ["workflows", "jobs", "jobs"]


async def test_it_says_what_it_forgot_and_nothing_where_that_is_nothing(bench: Bench) -> None:
    with capture_logs() as logs:
        await round_with(bench, scripted(bench))
        await round_with(bench, scripted(bench, jobs=[Pruned(jobs=3)]))
        await round_with(bench, scripted(bench, workflows=[Pruned(jobs=2, workflows=1)]))
    said = {"event": "forgot what ended long ago", "log_level": "info"}
    assert logs == [{**said, "jobs": 3, "workflows": 0}, {**said, "jobs": 2, "workflows": 1}]


async def test_round_takes_turns_where_both_are_due(bench: Bench) -> None:
    records = scripted(bench, jobs=[FULL, FULL], workflows=[FULL, NOTHING])
    await round_with(bench, records)
    assert [name for name, _ in records.calls] == ["workflows", "jobs", "workflows", "jobs", "jobs"]


async def test_between_batches_is_a_pause_that_grows_with_their_work(bench: Bench) -> None:
    records = scripted(bench, jobs=[FULL, FULL])
    await round_with(bench, records)
    first, second, _ = (moment for name, moment in records.calls if name == "jobs")
    assert second - first == (1 + REST) * records.work


@pytest.mark.parametrize("tenths", [1, 4])
async def test_round_has_an_end_and_tells_that_there_is_more(bench: Bench, tenths: int) -> None:
    """With four tenths of a second a batch would begin at its very end."""
    records = scripted(bench, jobs=[FULL] * 1_000)
    records.work = tenths * SECOND / 10
    pruned = await round_with(bench, records)
    assert pruned.more
    assert pruned.jobs == BATCH_MAX * sum(name == "jobs" for name, _ in records.calls)
    assert records.calls[-1][1] < ROUND_MAX
    assert bench.clock.monotonic() <= ROUND_MAX + (1 + REST) * records.work


async def test_stop_ends_the_round_between_two_batches(bench: Bench) -> None:
    stopped = asyncio.Event()
    records = scripted(bench, jobs=[FULL] * 3)
    task = asyncio.create_task(attrs.evolve(bench.prune, records=records)(stopped))
    for _ in range(10):
        await asyncio.sleep(0)
    assert bench.clock.sleepers == 1
    stopped.set()
    assert await task == Pruned(jobs=BATCH_MAX, more=True)
    assert bench.clock.sleepers == 0


async def test_jobs_and_workflows_go_each_after_its_time(bench: Bench) -> None:
    good, bad = await bench.stores.submit(a_request(), a_request())
    flow = await bench.flow(a="", b="a")
    endings: dict[JobId, Outcome] = {good.job_id: UP, bad.job_id: DOWN, flow["a"].job_id: DOWN}
    for claim in await bench.claim():
        completion = await bench.stores.settle(claim, endings[claim.job_id])
        if claim.workflow_id:
            await bench.complete([completion])
        else:
            await bench.stores.sync(completions=[completion])

    async def gone(span: timedelta) -> Pruned:
        bench.clock.advance(span)
        return await bench.prune(asyncio.Event())

    assert await gone(HOUR) == Pruned()
    assert await gone(SECOND) == Pruned(jobs=1)  # the good one
    assert await gone(HOUR) == Pruned()  # job b was canceled, and waits for a, which is dead
    assert await gone(HOUR) == Pruned(jobs=1 + 2, workflows=1)
    assert await bench.stores.workflow_reader.get(id_of(flow)) is None


@pytest.mark.parametrize("point", ["records.prune_jobs", "records.prune_workflows"])
async def test_failing_store_leaves_the_rest_to_the_next_round(bench: Bench, point: str) -> None:
    job = await bench.stores.submit_one()
    await bench.stores.cancel(job.job_id)
    bench.clock.advance(3 * HOUR)
    bench.faults.fail(point)
    with pytest.raises(StoreUnavailable):
        await bench.prune(asyncio.Event())
    assert await bench.prune(asyncio.Event()) == Pruned(jobs=1)

"""Pause, resume and purge queues."""

import pytest

from schedora.application.commands import queues as module
from schedora.application.commands.queues import PURGED
from schedora.application.errors import StoreUnavailable
from schedora.domain.errors import InvalidField
from schedora.domain.job_state import JobState
from schedora.domain.retention import QueueRetention
from schedora.domain.workflow import WorkflowState
from tests.builders import HOUR, a_request
from tests.contract.situations import STATE_OF, Situation, bring_about
from tests.unit.application.bench import UP, Bench

S = JobState
WAITS = {
    Situation.READY,
    Situation.DELAYED,
    Situation.WAITING,
    Situation.RETRYING,
    Situation.RETRYING_LATER,
}


async def test_paused_queue_holds_its_jobs_until_it_is_resumed(bench: Bench) -> None:
    await bench.submit([a_request(queue="mail")])
    assert (await bench.pause_queue("mail")).paused_at == bench.clock.now()
    assert await bench.claim() == []
    bench.hints.clear()
    assert not (await bench.resume_queue("mail")).paused
    assert [hint.queues for hint in bench.hints] == [{"mail"}]
    assert len(await bench.claim()) == 1


@pytest.mark.parametrize("name", ["", "x" * 201, "a\x00b", "\ud800"])
async def test_name_that_no_queue_can_have_is_refused(bench: Bench, name: str) -> None:
    for command in (bench.pause_queue, bench.resume_queue):
        with pytest.raises(InvalidField, match="queue must be"):
            await command(name)
    with pytest.raises(InvalidField, match="queue must be"):
        await bench.retain_in_queue(name, QueueRetention())
    assert bench.hints == []


async def test_queue_keeps_what_ended_for_a_time_of_its_own_whatever_else_becomes_of_it(bench: Bench) -> None:
    retention = QueueRetention(success=HOUR, dead=2 * HOUR)
    assert (await bench.retain_in_queue("mail", retention)).retention == retention
    await bench.submit([a_request(queue="mail")])
    for command in (bench.pause_queue, bench.resume_queue):
        assert (await command("mail")).retention == retention
    assert (await bench.stores.queues.stats()).by_queue["mail"].retention == retention
    assert (await bench.retain_in_queue("mail", QueueRetention())).retention == QueueRetention()


@pytest.mark.parametrize("situation", Situation)
async def test_purge_cancels_what_waits_and_touches_nothing_else(bench: Bench, situation: Situation) -> None:
    case = await bring_about(bench.stores, situation)
    waits = situation in WAITS
    upstream = 1 if case.upstream else 0  # it waits as well
    assert await bench.purge_queue(None) == (1 if waits else 0) + upstream
    job = await bench.stores.job(case.job.job_id)
    assert job.status is (S.CANCELED if waits else STATE_OF[situation])
    if waits:
        assert job.history[-1].reason == PURGED
    assert await bench.purge_queue(None) == 0


async def test_one_queue_may_be_purged_alone(bench: Bench) -> None:
    mail, other = await bench.submit([a_request(queue="mail"), a_request(queue="other")])
    assert await bench.purge_queue("mail") == 1
    assert (await bench.stores.job(mail.job.job_id)).status is S.CANCELED
    assert (await bench.stores.job(other.job.job_id)).status is S.PENDING
    assert await bench.purge_queue("nowhere") == 0


async def test_purge_goes_on_to_the_last_page(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    await bench.stores.submit(*(a_request() for _ in range(7)))
    assert await bench.purge_queue(None) == 7
    assert await bench.claim() == []


async def test_what_waits_for_a_purged_job_is_canceled_too(bench: Bench) -> None:
    flow = await bench.flow(a="", b="a", c="b", x="")
    assert await bench.purge_queue("queue-b") == 1
    assert await bench.states(flow) == {"a": S.PENDING, "b": S.CANCELED, "c": S.CANCELED, "x": S.PENDING}
    await bench.run({"a": UP, "x": UP})
    workflow = await bench.workflow_of(flow)
    assert (workflow.status, workflow.counts.canceled) == (WorkflowState.CANCELED, 2)


async def test_purge_that_breaks_off_keeps_what_is_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    await bench.stores.submit(*(a_request() for _ in range(5)))
    bench.faults.fail("job_reader.page", nth=2)
    with pytest.raises(StoreUnavailable):
        await bench.purge_queue(None)
    assert await bench.purge_queue(None) == 3

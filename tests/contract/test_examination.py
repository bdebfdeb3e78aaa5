"""Looking into a store: what goes well is not found, what does not is."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest

from schedora.application.pipeline.complete import CompleteJobs
from schedora.application.ports.examination import Check
from schedora.application.ports.shared_counters import Series
from schedora.diagnosis.doctor.finding import Finding, Severity
from schedora.domain.ids import ProcessId
from schedora.domain.outcome import Failed, Released, Succeeded
from schedora.domain.process import ProcessIdentity, ProcessKind
from schedora.domain.worker import WorkerState
from tests.builders import a_request
from tests.contract.stores import EXPECTED, Stores

VERSION = EXPECTED.version
DEAD = Failed(kind="Oops", message="it failed", retryable=False)


async def findings(stores: Stores, check: str = "work") -> list[Finding]:
    """What one check finds, but for what is only worth knowing."""
    async with stores.examination.begun() as checks:
        observation = await named(checks, check).read()
    assert observation.unseen is None
    return [finding for finding in observation.findings() if finding.severity is not Severity.OK]


def named(checks: Sequence[Check], name: str) -> Check:
    [check] = [check for check in checks if check.name == name]
    return check


async def codes(stores: Stores) -> list[str]:
    return sorted(finding.code for finding in await findings(stores))


async def test_the_first_check_tells_whether_there_is_anything(stores: Stores) -> None:
    async with stores.examination.begun() as checks:
        assert checks[0].name == "database"
        assert {"database", "processes", "work"} <= {check.name for check in checks}
    assert await findings(stores, "database") == []


async def test_nothing_is_wrong_with_an_empty_store(stores: Stores) -> None:
    assert await codes(stores) == []


async def test_nothing_is_wrong_where_jobs_are_worked_off(stores: Stores) -> None:
    worker = await stores.worker(version=VERSION, types=("work",))
    await stores.submit(a_request(), a_request(), a_request())
    assert await codes(stores) == []
    for claimed in await stores.claim(worker):
        await stores.complete(claimed, Succeeded())
    assert await codes(stores) == []


async def test_nothing_is_wrong_with_jobs_for_later(stores: Stores) -> None:
    await stores.submit(a_request(scheduled_at=await stores.now() + timedelta(hours=1)))
    assert await codes(stores) == []


async def test_jobs_without_any_worker(stores: Stores) -> None:
    stopped = await stores.worker(types=("work",))
    await stores.workers.set_status([stopped.incarnation], WorkerState.STOPPED)
    await stores.submit(a_request())
    [finding] = await findings(stores)
    assert (finding.code, finding.severity) == ("workers_none", Severity.CRITICAL)


async def test_a_type_that_no_live_worker_knows(stores: Stores) -> None:
    await stores.worker(version=VERSION, types=("work",))
    await stores.submit(a_request(), a_request(type="other"), a_request(type="other", priority=9))
    [finding] = await findings(stores)
    assert (finding.code, finding.details["type"]) == ("type_unhandled", "other")


async def test_a_queue_that_no_worker_of_its_types_serves(stores: Stores) -> None:
    await stores.worker(version=VERSION, types=("work",), queues=("a",))
    await stores.worker(version=VERSION, types=("other",), queues=("b",))
    await stores.submit(a_request(queue="a"), a_request(queue="b"))
    [finding] = await findings(stores)
    assert (finding.code, finding.details["queue"]) == ("queue_unserved", "b")


async def test_a_type_that_only_a_draining_worker_knows(stores: Stores) -> None:
    await stores.worker(version=VERSION, types=("work",))
    drains = await stores.worker(version=VERSION, types=("work", "other"))
    await stores.workers.set_status([drains.incarnation], WorkerState.DRAINING)
    long_ago = await stores.now() - timedelta(hours=2)
    await stores.submit(a_request(), a_request(type="other", scheduled_at=long_ago))
    [finding] = await findings(stores)
    assert (finding.code, finding.details["type"]) == ("workers_draining", "other")


async def test_a_paused_queue_with_jobs_in_it(stores: Stores) -> None:
    await stores.worker(version=VERSION, types=("work",))
    await stores.submit(a_request(queue="a"))
    for queue in ("a", "empty"):
        await stores.queues.pause(queue)
    [finding] = await findings(stores)
    assert (finding.code, finding.details["queue"]) == ("queue_paused", "a")


@pytest.mark.parametrize(("due", "severity"), [(6, Severity.WARNING), (90, Severity.CRITICAL)])
async def test_a_job_that_has_been_due_for_long(stores: Stores, due: int, severity: Severity) -> None:
    await stores.worker(version=VERSION, types=("work",))
    long_ago = await stores.now() - timedelta(minutes=due)
    await stores.submit(a_request(scheduled_at=long_ago, priority=1), a_request(priority=9))
    assert await findings(stores) == [], "it came just now, for a time that had passed"
    await stores.age_jobs(timedelta(hours=2))
    [finding] = await findings(stores)
    assert (finding.code, finding.severity) == ("queue_late", severity)
    assert due * 60 <= float(str(finding.details["oldest_seconds"])) < due * 60 + 60


async def test_a_job_that_waited_for_others_or_ran_is_not_late_for_that(stores: Stores) -> None:
    worker = await stores.worker(version=VERSION)
    flow, long_ago = await stores.workflow(), await stores.now() - timedelta(hours=2)
    first = await stores.submit_one(a_request(workflow_id=flow, scheduled_at=long_ago))
    later = a_request(workflow_id=flow, depends_on=(first.job_id,), scheduled_at=long_ago, queue="later")
    await stores.submit_one(later, waits_for=1)
    [claim] = await stores.claim(worker)
    complete = CompleteJobs(units=stores.units, wakeup=stores.wakeup)
    await complete([await stores.settle(claim, Succeeded())])
    assert await codes(stores) == []
    [claim] = await stores.claim(worker)
    assert claim.queue == "later"
    await complete([await stores.settle(claim, Released(reason="drained"))])
    assert await codes(stores) == []
    await stores.submit_one(a_request(queue="late", scheduled_at=long_ago))
    await stores.age_jobs(timedelta(hours=2))
    assert await codes(stores) == ["queue_late"]


async def test_a_worker_that_was_declared_lost(stores: Stores) -> None:
    worker = await stores.worker(version=VERSION)
    await stores.workers.set_status([worker.incarnation], WorkerState.STALE)
    [finding] = await findings(stores)
    assert (finding.code, finding.details["worker"]) == ("worker_stale", worker.identity.worker_id)


async def test_a_worker_of_another_version(stores: Stores) -> None:
    await stores.worker(version="0.9")
    await stores.worker(version=VERSION)
    await stores.worker(version="")  # whoever it is does not say
    [finding] = await findings(stores)
    assert (finding.code, finding.details["version"]) == ("version_differs", "0.9")


async def test_a_dead_letter_queue_that_grows(stores: Stores) -> None:
    worker = await stores.worker(version=VERSION, types=("work",))
    for amount, found in ((9, []), (1, ["dlq_growing"])):
        await stores.submit(*(a_request(queue="bad") for _ in range(amount)))
        for claimed in await stores.claim(worker):
            await stores.complete(claimed, DEAD)
        assert await codes(stores) == found


def a_process(kind: ProcessKind, version: str = VERSION) -> ProcessIdentity:
    return ProcessIdentity(
        process_id=ProcessId(uuid4()), kind=kind, name="p", hostname="h", pid=7, version=version
    )


async def test_nothing_is_wrong_with_processes_that_have_just_begun(stores: Stores) -> None:
    for kind in ProcessKind:
        await stores.process_reports.put(a_process(kind), clock_at=await stores.now(), gauges={})
    assert await findings(stores, "processes") == []


async def test_what_processes_tell_of_themselves(stores: Stores) -> None:
    gauges = {
        Series("event_loop_lag_seconds", ()): 7.5,
        Series("redis_up", ()): 0.0,
        Series("stuck_threads", ()): 1.0,
    }
    await stores.process_reports.put(
        a_process(ProcessKind.API, "0.9"), clock_at=await stores.now(), gauges=gauges
    )
    found = await findings(stores, "processes")
    assert {finding.code for finding in found} == {
        "version_differs",
        "loop_blocked",
        "threads_stuck",
        "redis_lost",
    }

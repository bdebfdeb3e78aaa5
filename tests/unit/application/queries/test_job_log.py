"""The log of a job, read."""

from datetime import UTC, datetime

import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.errors import NotFound
from schedora.domain.ids import JsonText, LeaseToken, WorkerId
from schedora.domain.job_log import LogPlace
from schedora.domain.job_state import JobState
from schedora.domain.run_log import RunLog
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.settings import load_settings
from schedora.entrypoints.system import System
from tests.builders import a_job_id, a_request


@pytest.fixture
def system() -> System:
    clock = VirtualClock(datetime(2030, 1, 1, tzinfo=UTC))
    return build_system(
        load_settings(), database_url=None, clock=clock, randomness=SeededRandomness(1, clock)
    )


async def test_what_is_kept_is_told_with_the_jobs_status(system: System) -> None:
    [job] = await system.submit_jobs([a_request()])
    assert (await system.read_job_log(job.job_id)).last is None
    lines = (JsonText('{"a":1}'), JsonText('{"a":2}'))
    run_log = RunLog(
        job_id=job.job_id, lease_token=LeaseToken(1), attempt=1, worker_id=WorkerId("w1"), lines=lines
    )
    await system.run_logs.keep([run_log])
    log = await system.read_job_log(job.job_id)
    assert (log.job_id, log.status, log.last) == (job.job_id, JobState.PENDING, LogPlace(1, 2))
    assert [run.lines for run in log.runs] == [lines]
    assert [run.lines for run in (await system.read_job_log(job.job_id, tail=1)).runs] == [lines[1:]]
    assert (await system.read_job_log(job.job_id, attempt=2)).runs == ()
    assert (await system.read_job_log(job.job_id, after=log.last)).runs == ()


async def test_a_job_that_is_not_there(system: System) -> None:
    with pytest.raises(NotFound):
        await system.read_job_log(a_job_id())

"""What a torture leaves, as tests need it: one job that was accepted, stored, done, and told of in the ledger."""

from typing import Any
from uuid import UUID

import attrs

from schedora.domain.ids import JsonText, LeaseToken, WorkerId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora_torture.evidence import Evidence
from schedora_torture.invariants import SideEffect
from schedora_torture.load_generator import Accepted
from schedora_torture.workload import JobOrder
from tests.builders import NOON, SECOND, a_job, a_request

ORDER = JobOrder(key="r/1", type="torture.steady", payload={"seconds": 0.1})


def a_done_job(**fields: Any) -> Job:
    request = a_request(
        type=ORDER.type, payload=JsonText('{"seconds":0.1}'), idempotency_key=ORDER.key, queue="torture-r"
    )
    return a_job(JobState.SUCCESS, **{"request": request, "result": JsonText("1"), **fields})


def an_effect(job: Job, **fields: Any) -> SideEffect:
    given = {
        "job_id": job.job_id,
        "lease_token": LeaseToken(1),
        "attempt": 1,
        "at": NOON + 2 * SECOND,
        "worker_id": WorkerId("w1"),
        **fields,
    }
    return SideEffect(**given)


def accepted(*jobs: Job, **fields: Any) -> Accepted:
    made = Accepted(
        jobs={UUID(bytes=job.job_id.bytes): ORDER for job in jobs},
        workflows={},
        asked={ORDER.key: ORDER},
        asked_workflows={},
        complaints=(),
    )
    return attrs.evolve(made, **fields)


def evidence(*jobs: Job, **fields: Any) -> Evidence:
    states = [job.status for job in jobs]
    made = Evidence(
        jobs={job.job_id: job for job in jobs},
        workflows={},
        effects=[an_effect(job) for job in jobs],
        leases=0,
        ready=0,
        counts={state: states.count(state) for state in states},
        whys={},
    )
    return attrs.evolve(made, **fields)

"""What a job's handler logged, over HTTP."""

from typing import Any
from uuid import UUID

import pytest

from schedora.domain.ids import JobId, JsonText, LeaseToken, WorkerId
from schedora.domain.run_log import RunLog
from schedora.entrypoints.system import System
from tests.unit.entrypoints.api.conftest import Api, problem, submit

NOWHERE = "0198f000-0000-7000-8000-000000000000"


def lines(*numbers: int) -> list[dict[str, Any]]:
    return [
        {"timestamp": "2030-01-01T00:00:00.000000Z", "level": "info", "message": "step", "n": number}
        for number in numbers
    ]


async def keep(system: System, job_id: str, token: int, *numbers: int, dropped: int = 0) -> None:
    told = (
        f'{{"timestamp":"2030-01-01T00:00:00.000000Z","level":"info","message":"step","n":{number}}}'
        for number in numbers
    )
    run_log = RunLog(
        job_id=JobId(UUID(job_id)),
        lease_token=LeaseToken(token),
        attempt=token,
        worker_id=WorkerId("w1"),
        lines=tuple(JsonText(line) for line in told),
        lines_dropped=dropped,
    )
    await system.run_logs.keep([run_log])


async def test_a_job_that_logged_nothing(api: Api) -> None:
    job_id = (await submit(api))["job_id"]
    answer = await api.get(f"/jobs/{job_id}/logs")
    assert answer.status_code == 200
    assert answer.json() == {"data": {"job_id": job_id, "status": "PENDING", "runs": [], "last": None}}


async def test_lines_stand_as_they_were_kept_run_by_run(api: Api, system: System) -> None:
    job_id = (await submit(api))["job_id"]
    await keep(system, job_id, 1, 8, 9, dropped=7)
    await keep(system, job_id, 2, 1)
    data = (await api.get(f"/jobs/{job_id}/logs")).json()["data"]
    assert data["runs"] == [
        {"attempt": 1, "lease_token": 1, "worker_id": "w1", "dropped": 7, "lines": lines(8, 9)},
        {"attempt": 2, "lease_token": 2, "worker_id": "w1", "dropped": 0, "lines": lines(1)},
    ]
    assert data["last"] == "2-1"


@pytest.mark.parametrize(
    ("query", "told"),
    [("tail=1", [1]), ("tail=2", [9, 1]), ("attempt=1", [8, 9]), ("after=1-8", [9, 1]), ("after=2-1", []), ("after=1-8&tail=1", [1])],
)  # fmt: skip
async def test_a_part_of_it(api: Api, system: System, query: str, told: list[int]) -> None:
    job_id = (await submit(api))["job_id"]
    await keep(system, job_id, 1, 8, 9, dropped=7)
    await keep(system, job_id, 2, 1)
    data = (await api.get(f"/jobs/{job_id}/logs?{query}")).json()["data"]
    assert [line["n"] for run in data["runs"] for line in run["lines"]] == told


@pytest.mark.parametrize(
    ("query", "field"),
    [("tail=0", "tail"), ("tail=x", "tail"), ("tail=10001", "tail"), ("attempt=0", "attempt"), ("after=x", "after"), ("lines=1", "lines")],
)  # fmt: skip
async def test_what_is_no_part_of_it(api: Api, query: str, field: str) -> None:
    job_id = (await submit(api))["job_id"]
    problem(await api.get(f"/jobs/{job_id}/logs?{query}"), 422, field)


async def test_a_job_that_is_not_there(api: Api) -> None:
    problem(await api.get(f"/jobs/{NOWHERE}/logs"), 404)
    problem(await api.get("/jobs/7/logs"), 422, "job_id")

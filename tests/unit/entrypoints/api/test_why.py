from datetime import timedelta

import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.entrypoints.settings import load_settings
from schedora.entrypoints.system import System
from tests.unit.entrypoints.api.conftest import DEAD, RETRYING, Api, Bench, declare_stale, problem, submit

NOWHERE = "0198f000-0000-7000-8000-000000000000"


async def test_a_job_without_workers(api: Api) -> None:
    job = await submit(api)
    answer = await api.get(f"/jobs/{job['job_id']}/why")
    assert answer.status_code == 200
    assert answer.json() == {
        "data": {
            "job_id": job["job_id"],
            "status": "PENDING",
            "ready": False,
            "summary": "PENDING: no worker is live",
            "reasons": [{"code": "no_workers", "message": "no worker is live"}],
        }
    }


async def test_a_running_job_and_one_behind_it(api: Api, bench: Bench, clock: VirtualClock) -> None:
    first, second = await submit(api), await submit(api, idempotency_key="k2")
    await bench.claim()
    clock.advance(timedelta(seconds=41))
    running = (await api.get(f"/jobs/{first['job_id']}/why")).json()["data"]
    assert (running["status"], running["ready"]) == ("RUNNING", False)
    assert running["reasons"] == [
        {
            "code": "running",
            "message": "has run on w1 for 41 s, attempt 1, heartbeat 41 s ago",
            "since": "2030-01-01T00:00:00Z",
            "until": "2030-01-01T00:05:00Z",
            "attempt": 1,
            "worker_ids": ["w1"],
            "last_heartbeat": "2030-01-01T00:00:00Z",
        }
    ]
    waiting = (await api.get(f"/jobs/{second['job_id']}/why")).json()["data"]
    assert waiting["ready"]
    assert waiting["summary"] == "PENDING: ready for 41 s, and not claimed though w1 has 9 free slots"


async def test_figures_that_are_0_or_false_are_told(api: Api, bench: Bench) -> None:
    await submit(api)
    await bench.claim(limit=0)  # registers it
    job = await submit(api, idempotency_key="k2")
    reasons = (await api.get(f"/jobs/{job['job_id']}/why")).json()["data"]["reasons"]
    assert (reasons[0]["code"], reasons[0]["count"], reasons[0]["at_least"]) == ("jobs_ahead", 1, False)


async def test_a_silent_holder_and_then_a_lost_one(
    api: Api, bench: Bench, clock: VirtualClock, system: System
) -> None:
    job = await submit(api)
    await bench.claim()
    clock.advance(timedelta(seconds=64))
    told = (await api.get(f"/jobs/{job['job_id']}/why")).json()["data"]["summary"]
    assert told == "RUNNING: held by w1, which has been silent for 64 s: it is given up at 90 s"
    clock.advance(timedelta(seconds=30))
    await declare_stale(system)
    told = (await api.get(f"/jobs/{job['job_id']}/why")).json()["data"]["summary"]
    assert told == "RUNNING: held by w1, which is STALE: a reaper gives the job back"


@pytest.mark.parametrize("settings", [load_settings(worker_heartbeat_interval=60)])
async def test_a_holder_that_is_heard_seldom_is_not_silent(
    api: Api, bench: Bench, clock: VirtualClock
) -> None:
    job = await submit(api)
    await bench.claim()
    clock.advance(timedelta(seconds=64))
    told = (await api.get(f"/jobs/{job['job_id']}/why")).json()["data"]["summary"]
    assert told == "RUNNING: has run on w1 for 64 s, attempt 1, heartbeat 64 s ago"


async def test_a_retry_and_a_dead_job(api: Api, bench: Bench) -> None:
    job = await submit(api)
    await bench.run(RETRYING)
    told = (await api.get(f"/jobs/{job['job_id']}/why")).json()["data"]["summary"]
    assert told == "RETRYING: retries in 60 s: attempt 1 failed with Oops: it failed"
    job = await submit(api, idempotency_key="k2")
    await bench.run(DEAD)
    told = (await api.get(f"/jobs/{job['job_id']}/why")).json()["data"]["summary"]
    assert told == "DEAD: ended 0 s ago after 1 attempt, last error Oops: it failed"


async def test_a_failure_upstream(api: Api, bench: Bench) -> None:
    flow = {
        "name": "flow",
        "jobs": [
            {"key": "a", "type": "work"},
            {"key": "b", "type": "work", "depends_on": ["a"]},
            {"key": "c", "type": "work", "depends_on": ["b"]},
        ],
    }
    jobs = (await api.post("/workflows", json=flow)).json()["data"]["jobs"]
    waits = (await api.get(f"/jobs/{jobs[2]['job_id']}/why")).json()["data"]
    assert [cause["key"] for cause in waits["reasons"][0]["jobs"]] == ["b", "a"]
    await bench.run(DEAD)
    told = (await api.get(f"/jobs/{jobs[2]['job_id']}/why")).json()["data"]
    assert told["summary"] == (
        "CANCELED: ended 0 s ago, for it waited for b (CANCELED for 0 s);"
        " in the end for a (DEAD for 0 s: Oops: it failed)"
    )


async def test_a_job_that_is_not_there(api: Api) -> None:
    problem(await api.get(f"/jobs/{NOWHERE}/why"), 404)
    problem(await api.get("/jobs/7/why"), 422, "job_id")

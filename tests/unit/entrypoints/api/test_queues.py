from datetime import timedelta
from urllib.parse import quote

import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.domain.job_state import JobState
from tests.unit.entrypoints.api.conftest import DEAD, RETRYING, Api, Bench, problem, submit


async def test_the_figures_of_an_empty_system(api: Api) -> None:
    answer = await api.get("/queue/stats")

    assert answer.status_code == 200
    assert answer.json() == {
        "pending_jobs": 0,
        "running_jobs": 0,
        "dlq_jobs": 0,
        "by_status": dict.fromkeys(JobState, 0),
        "oldest_ready_seconds": None,
        "unhandled_types": [],
        "counted_seconds_ago": 0.0,
        "queues": {},
    }


async def test_jobs_are_counted_by_queue_and_by_status(api: Api, bench: Bench, clock: VirtualClock) -> None:
    await submit(api, idempotency_key="dead")
    await bench.run(DEAD)
    await submit(api, idempotency_key="retrying")
    await bench.run(RETRYING)
    await submit(api, idempotency_key="running", queue="mail")
    await bench.claim()
    await submit(api, idempotency_key="claimed", queue="mail")
    await bench.claim(start=False)
    await submit(api, idempotency_key="waits", queue="mail", type="fax")
    clock.advance(timedelta(seconds=12.5))

    stats = (await api.get("/queue/stats")).json()

    assert (stats["pending_jobs"], stats["running_jobs"], stats["dlq_jobs"]) == (3, 1, 1)
    assert stats["by_status"] == dict.fromkeys(JobState, 0) | {
        "PENDING": 1, "SCHEDULED": 1, "RUNNING": 1, "RETRYING": 1, "DEAD": 1,
    }  # fmt: skip
    assert (stats["oldest_ready_seconds"], stats["unhandled_types"]) == (12.5, ["fax"])
    mail = stats["queues"]["mail"]
    assert (mail["pending_jobs"], mail["running_jobs"], mail["dlq_jobs"]) == (2, 1, 0)
    assert (mail["oldest_ready_seconds"], mail["paused"]) == (12.5, False)
    assert stats["queues"]["default"]["by_status"]["DEAD"] == 1


async def test_a_purge_cancels_what_waits_and_nothing_else(api: Api, bench: Bench) -> None:
    running = await submit(api, idempotency_key="running")
    await bench.claim()
    waiting = await submit(api, idempotency_key="waits")
    other = await submit(api, idempotency_key="other", queue="mail")

    answer = await api.post("/queue/purge")

    assert answer.status_code == 200
    assert answer.json() == {"message": "Queue purged successfully", "purged": 2}
    statuses = [
        (await api.get(f"/jobs/{job['job_id']}")).json()["data"]["status"]
        for job in (running, waiting, other)
    ]
    assert statuses == ["RUNNING", "CANCELED", "CANCELED"]


async def test_a_purge_of_one_queue(api: Api) -> None:
    await submit(api, idempotency_key="a")
    await submit(api, idempotency_key="b", queue="mail")

    assert (await api.post("/queue/purge?queue=mail")).json()["purged"] == 1
    assert (await api.post("/queue/purge?queue=nowhere")).json()["purged"] == 0
    assert (await api.get("/queue/stats")).json()["pending_jobs"] == 1


@pytest.mark.parametrize(
    "query", ["queues=mail", "queue=", "queue=%00", "queue=a&queue=b", "queue=" + "x" * 300]
)
async def test_a_purge_that_may_be_meant_otherwise_cancels_nothing(api: Api, query: str) -> None:
    await submit(api)

    problem(await api.post(f"/queue/purge?{query}"), 422, query.partition("=")[0])
    assert (await api.get("/queue/stats")).json()["pending_jobs"] == 1


@pytest.mark.parametrize("name", ["default", "a/b", "a%2Fb", "%C3%A9"])
async def test_a_queue_is_paused_and_resumed(api: Api, bench: Bench, name: str) -> None:
    paused = await api.post(f"/queues/{name}/pause")
    again = await api.post(f"/queues/{name}/pause")
    resumed = await api.post(f"/queues/{name}/resume")

    assert paused.status_code == again.status_code == resumed.status_code == 200
    queue = paused.json()["data"]["queue"]
    assert paused.json() == {"data": {"queue": queue, "paused": True, "paused_at": "2030-01-01T00:00:00Z"}}
    assert resumed.json() == {"data": {"queue": queue, "paused": False, "paused_at": None}}


async def test_jobs_of_a_paused_queue_wait(api: Api, bench: Bench) -> None:
    await submit(api)
    await api.post("/queues/default/pause")
    assert await bench.claim() == []
    assert (await api.get("/queue/stats")).json()["queues"]["default"]["paused"] is True

    await api.post("/queues/default/resume")

    assert len(await bench.claim()) == 1


@pytest.mark.parametrize("name", ["a%00b", "x" * 201])
@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_a_name_that_no_queue_can_have(api: Api, name: str, verb: str) -> None:
    problem(await api.post(f"/queues/{name}/{verb}"), 422, "queue")


@pytest.mark.parametrize("name", ["mail", "a/b c"])
async def test_a_queue_keeps_what_ended_for_a_time_of_its_own(api: Api, name: str) -> None:
    settings = {"success_seconds": None, "canceled_seconds": None, "dead_seconds": None}
    await submit(api, queue=name)
    assert (await api.get("/queue/stats")).json()["queues"][name]["retention"] == settings

    answer = await api.put(f"/queues/{name}/retention", json={"success_seconds": 60, "dead_seconds": 90.5})

    assert answer.status_code == 200
    kept = settings | {"success_seconds": 60.0, "dead_seconds": 90.5}
    assert answer.json() == {"data": {"queue": name} | kept}
    assert (await api.get("/queue/stats")).json()["queues"][name]["retention"] == kept
    again = await api.put(f"/queues/{name}/retention", json={"canceled_seconds": 3_153_600_000})
    assert again.json() == {"data": {"queue": name} | settings | {"canceled_seconds": 3_153_600_000.0}}
    assert (await api.put(f"/queues/{name}/retention", json={})).json() == {
        "data": {"queue": name} | settings
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("success_seconds", 59.9), ("canceled_seconds", -1), ("dead_seconds", 3_153_600_001),
        ("dead_seconds", "60"), ("dead_seconds", True), ("succeeded", 60),
    ],
)  # fmt: skip
async def test_a_retention_that_can_not_be_is_refused(api: Api, field: str, value: object) -> None:
    answer = await api.put("/queues/mail/retention", json={field: value})

    problem(answer, 422, field)
    assert (await api.get("/queue/stats")).json()["queues"] == {}


@pytest.mark.parametrize("name", ["a/b", "a\nb", "\n", "..", "a b?c#d", "ü\u202ex"])
async def test_a_queue_of_any_name_has_an_address(api: Api, name: str) -> None:
    answer = await api.post(f"/queues/{quote(name, safe='').replace('.', '%2E')}/pause")
    assert (answer.status_code, answer.json()["data"]["queue"]) == (200, name)

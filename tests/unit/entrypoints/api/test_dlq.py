from datetime import timedelta
from typing import Any

import pytest

from schedora.domain.outcome import Failed, TimedOut
from tests.unit.entrypoints.api.conftest import DEAD, JSON, Api, Bench, problem, submit

NOWHERE = "0198c0de-0000-7000-8000-000000000000"


async def a_dead_job(api: Api, bench: Bench, key: str, outcome: Any = DEAD, **fields: Any) -> dict[str, Any]:
    job = await submit(api, idempotency_key=key, max_retries=0, **fields)
    await bench.run(outcome)
    return job


async def dead_keys(api: Api, query: str = "") -> list[str]:
    answer = await api.get(f"/dlq{query}")
    assert answer.status_code == 200, answer.text
    return [job["idempotency_key"] for job in answer.json()["data"]]


@pytest.fixture
async def dead(api: Api, bench: Bench) -> dict[str, dict[str, Any]]:
    """Three dead jobs, by key."""
    return {
        "a": await a_dead_job(api, bench, "a"),
        "b": await a_dead_job(api, bench, "b", queue="mail"),
        "c": await a_dead_job(api, bench, "c", TimedOut(timeout=timedelta(seconds=1))),
    }


async def test_the_list_has_dead_jobs_alone(api: Api, dead: object) -> None:
    await submit(api, idempotency_key="waits")

    assert await dead_keys(api) == ["c", "b", "a"]
    page = (await api.get("/dlq?limit=2")).json()
    assert await dead_keys(api, f"?limit=2&cursor={page['next_cursor']}") == ["a"]


async def test_each_filter(api: Api, dead: object) -> None:
    assert await dead_keys(api, "?queue=mail") == ["b"]
    assert await dead_keys(api, "?error_kind=timeout") == ["c"]
    assert await dead_keys(api, "?type=work&error_kind=Oops&queue=default") == ["a"]
    assert await dead_keys(api, "?type=other") == []


@pytest.mark.parametrize("query", ["limit=0", "cursor=x", "type=%00", "error_kind=", "status=DEAD"])
async def test_what_the_list_refuses(api: Api, query: str) -> None:
    problem(await api.get(f"/dlq?{query}"), 422, query.partition("=")[0])


async def test_one_is_requeued(api: Api, dead: dict[str, dict[str, Any]]) -> None:
    answer = await api.post(f"/dlq/{dead['a']['job_id']}/requeue")

    assert answer.status_code == 200
    assert answer.json()["data"]["status"] == "PENDING"
    assert len(answer.json()["data"]["errors"]) == 1
    assert await dead_keys(api) == ["c", "b"]


async def test_only_dead_ones_are_requeued(api: Api) -> None:
    job = await submit(api)
    await api.post(f"/jobs/{job['job_id']}/cancel")

    problem(await api.post(f"/dlq/{job['job_id']}/requeue"), 409)
    problem(await api.post(f"/dlq/{NOWHERE}/requeue"), 404)
    problem(await api.post("/dlq/x/requeue"), 422, "job_id")


@pytest.mark.parametrize(
    "how", [{}, {"json": {}}, {"json": {"queue": None}}, {"content": b" ", "headers": JSON}]
)
async def test_all_are_requeued(api: Api, dead: object, how: dict[str, Any]) -> None:
    answer = await api.post("/dlq/requeue", **how)

    assert (answer.status_code, answer.json()) == (200, {"data": {"requeued": 3}})
    assert await dead_keys(api) == []


@pytest.mark.parametrize(
    "how",
    [
        {"json": {"error_kind": "Oops", "queue": "default"}},
        {"params": {"error_kind": "Oops", "queue": "default"}},
        {"json": {"error_kind": "Oops"}, "params": {"queue": "default"}},
    ],
)
async def test_those_that_fit_are_requeued(api: Api, dead: object, how: dict[str, Any]) -> None:
    assert (await api.post("/dlq/requeue", **how)).json() == {"data": {"requeued": 1}}
    assert await dead_keys(api) == ["c", "b"]


@pytest.mark.parametrize(
    ("how", "field"),
    [
        ({"json": {"queues": "mail"}}, "queues"),
        ({"json": {"queue": 1}}, "queue"),
        ({"json": {"queue": "a\x00"}}, "queue"),
        ({"json": {"queue": ""}}, "queue"),
        ({"json": []}, "body"),
        ({"params": {"queues": "mail"}}, "queues"),
        ({"content": b"null", "headers": JSON}, "body"),
    ],
)
async def test_a_wrong_filter_requeues_nothing(
    api: Api, dead: object, how: dict[str, Any], field: str
) -> None:
    problem(await api.post("/dlq/requeue", **how), 422, field)
    assert len(await dead_keys(api)) == 3


async def test_one_is_deleted_for_good(api: Api, dead: dict[str, dict[str, Any]]) -> None:
    answer = await api.delete(f"/dlq/{dead['a']['job_id']}")

    assert (answer.status_code, answer.content) == (204, b"")
    problem(await api.get(f"/jobs/{dead['a']['job_id']}"), 404)
    problem(await api.delete(f"/dlq/{dead['a']['job_id']}"), 404)


async def test_what_lives_is_not_deleted(api: Api, bench: Bench) -> None:
    job = await submit(api)

    problem(await api.delete(f"/dlq/{job['job_id']}"), 409)
    problem(await api.delete("/dlq/x"), 422, "job_id")


async def test_a_job_of_a_workflow_is_not_deleted(api: Api, bench: Bench) -> None:
    flow = (await api.post("/workflows", json={"name": "flow"})).json()["data"]["workflow_id"]
    job = await submit(api, workflow_id=flow)
    await bench.run(Failed(kind="Oops", message="no", retryable=False))

    problem(await api.delete(f"/dlq/{job['job_id']}"), 409)

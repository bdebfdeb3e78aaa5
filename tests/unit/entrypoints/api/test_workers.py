from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.entrypoints.system import System
from tests.unit.entrypoints.api.conftest import JSON, Api, declare_stale, problem

REGISTRATION: dict[str, Any] = {
    "worker_id": "w1",
    "hostname": "node-7",
    "pid": 42,
    "version": "1.2.3",
    "max_concurrent_jobs": 4,
    "queues": ["mail"],
}


async def register(api: Api, **fields: Any) -> dict[str, Any]:
    answer = await api.post("/workers/register", json=REGISTRATION | fields)
    assert answer.status_code == 201, answer.text
    worker: dict[str, Any] = answer.json()["data"]
    return worker


async def listed(api: Api, query: str = "") -> list[tuple[str, str]]:
    answer = await api.get(f"/workers{query}")
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document.keys() == {"workers", "total"}
    assert document["total"] == len(document["workers"])
    return [(worker["worker_id"], worker["status"]) for worker in document["workers"]]


async def test_a_worker_registers(api: Api) -> None:
    worker = await register(api, types=["work"])

    assert REGISTRATION.items() <= worker.items()
    assert (worker["status"], worker["types"], worker["last_heartbeat"]) == (
        "ACTIVE", ["work"], "2030-01-01T00:00:00Z",
    )  # fmt: skip


async def test_a_name_is_enough(api: Api) -> None:
    answer = await api.post("/workers/register", json={"worker_id": "w1"})

    assert answer.status_code == 201
    assert answer.json()["data"]["queues"] == []


async def test_registering_again_renews(api: Api, clock: VirtualClock) -> None:
    first = await register(api)
    clock.advance(timedelta(seconds=5))

    again = await register(api, version="2")

    assert again["incarnation_id"] == first["incarnation_id"]
    assert (again["version"], again["last_heartbeat"]) == ("2", "2030-01-01T00:00:05Z")
    assert await listed(api) == [("w1", "ACTIVE")]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"worker_id": ""}, "worker_id"), ({"worker_id": "a\x00"}, "worker_id"), ({"worker_id": "x" * 256}, "worker_id"),
        ({"worker_id": 1}, "worker_id"), ({"hostname": None}, "hostname"), ({"hostname": "x" * 256}, "hostname"),
        ({"pid": -1}, "pid"), ({"pid": 2**31}, "pid"), ({"pid": "1"}, "pid"), ({"pid": 1.0}, "pid"), ({"pid": True}, "pid"),
        ({"version": "x" * 101}, "version"), ({"max_concurrent_jobs": 0}, "max_concurrent_jobs"),
        ({"max_concurrent_jobs": 10_001}, "max_concurrent_jobs"), ({"queues": "mail"}, "queues"),
        ({"queues": [""]}, "queues[0]"), ({"queues": [1]}, "queues[0]"), ({"queues": ["q"] * 1_001}, "queues"),
        ({"types": ["work", "a\x00"]}, "types[1]"), ({"surprise": 1}, "surprise"),
    ],
)  # fmt: skip
async def test_what_a_registration_refuses(api: Api, fields: dict[str, Any], field: str) -> None:
    problem(await api.post("/workers/register", json=REGISTRATION | fields), 422, field)


async def test_a_registration_needs_a_name(api: Api) -> None:
    problem(await api.post("/workers/register", json={}), 422, "worker_id")


@pytest.mark.parametrize("how", [{"json": {"cpu_percent": 12.5, "memory_percent": 3}}, {"json": {}}, {}])
async def test_a_heartbeat(api: Api, clock: VirtualClock, how: dict[str, Any]) -> None:
    await register(api)
    clock.advance(timedelta(seconds=30))

    answer = await api.post("/workers/w1/heartbeat", **how)

    assert (answer.status_code, answer.content) == (204, b"")
    worker = (await api.get("/workers")).json()["workers"][0]
    assert worker["last_heartbeat"] == "2030-01-01T00:00:30Z"
    if how.get("json"):
        assert (worker["cpu_percent"], worker["memory_percent"]) == (12.5, 3.0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"cpu_percent": -1}', "cpu_percent"),
        (b'{"cpu_percent": NaN}', "cpu_percent"),
        (b'{"cpu_percent": 1e400}', "cpu_percent"),
        (b'{"cpu_percent": "1"}', "cpu_percent"),
        (b'{"memory_percent": 100.1}', "memory_percent"),
        (b'{"memory_percent": true}', "memory_percent"),
        (b'{"surprise": 1}', "surprise"),
        (b"[]", "body"),
        (b"null", "body"),
        (b"{", "body"),
    ],
)
async def test_what_a_heartbeat_refuses(api: Api, body: bytes, field: str) -> None:
    await register(api)

    problem(await api.post("/workers/w1/heartbeat", content=body, headers=JSON), 422, field)


async def test_a_path_of_bytes_that_are_no_text_is_refused(api: Api) -> None:
    told = problem(await api.post("/workers/w%FF/drain"), 422, "path")

    assert "UTF-8" in told["detail"]


async def test_an_unknown_worker(api: Api) -> None:
    problem(await api.post("/workers/w1/heartbeat", json={}), 404)
    problem(await api.post("/workers/w1/drain"), 404)
    problem(await api.post("/workers/a%00b/heartbeat", json={}), 422, "worker_id")
    problem(await api.post(f"/workers/{'x' * 300}/drain"), 422, "worker_id")


async def test_a_lost_worker_must_register_again(api: Api, system: System, clock: VirtualClock) -> None:
    first = await register(api)
    clock.advance(timedelta(seconds=91))
    await declare_stale(system)

    told = problem(await api.post("/workers/w1/heartbeat", json={}), 409)
    problem(await api.post("/workers/w1/drain"), 409)
    again = await register(api)

    assert told["type"].endswith("worker-declared-lost")
    assert again["incarnation_id"] != first["incarnation_id"]
    assert (await api.post("/workers/w1/heartbeat", json={})).status_code == 204


async def test_the_list_by_status(api: Api, system: System, clock: VirtualClock) -> None:
    await register(api, worker_id="lost")
    clock.advance(timedelta(seconds=91))
    await declare_stale(system)
    await register(api, worker_id="drains")
    await api.post("/workers/drains/drain")
    clock.advance(timedelta(seconds=1))
    await register(api, worker_id="works")

    assert await listed(api) == [("works", "ACTIVE"), ("drains", "DRAINING"), ("lost", "STALE")]
    assert await listed(api, "?status_filter=active") == [("works", "ACTIVE")]
    assert await listed(api, "?status_filter=STALE") == [("lost", "STALE")]
    assert await listed(api, "?status_filter=Draining") == [("drains", "DRAINING")]
    assert await listed(api, "?status_filter=stopped") == []


@pytest.mark.parametrize("query", ["status_filter=nope", "status_filter=", "status=active"])
async def test_what_the_list_refuses(api: Api, query: str) -> None:
    problem(await api.get(f"/workers?{query}"), 422, query.partition("=")[0])


async def test_a_drained_worker(api: Api) -> None:
    await register(api)

    answer = await api.post("/workers/w1/drain")

    assert answer.status_code == 200
    assert answer.json()["data"]["status"] == "DRAINING"
    assert (await api.post("/workers/w1/heartbeat", json={})).status_code == 204


@pytest.mark.parametrize("worker_id", ["a/b", "a b", "é", "..", "a?b", "%"])
async def test_a_name_may_contain_anything(api: Api, worker_id: str) -> None:
    await register(api, worker_id=worker_id)
    name = quote(worker_id, safe="").replace(".", "%2E")

    assert (await api.post(f"/workers/{name}/heartbeat", json={})).status_code == 204
    assert (await api.post(f"/workers/{name}/drain")).status_code == 200

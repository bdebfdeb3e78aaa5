"""Workers that register over HTTP, and what is told of them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.api import Api, fresh, problem, refused, seconds_between
from tests.acceptance.server import running
from tests.databases import empty_database
from tests.programs import until


def registration(worker_id: str, /, **fields: Any) -> dict[str, Any]:
    return {
        "worker_id": worker_id, "hostname": "host-1", "pid": 4711, "version": "1.2.3",
        "max_concurrent_jobs": 10, "queues": ["default", "mail"], **fields,
    }  # fmt: skip


def register(api: Api, **fields: Any) -> str:
    worker_id = fresh("worker")
    answer = api.post("/workers/register", registration(worker_id, **fields))
    assert answer.status_code == 201, answer.text
    return worker_id


def worker(api: Api, worker_id: str) -> dict[str, Any]:
    [found] = [one for one in api.get("/workers").json()["workers"] if one["worker_id"] == worker_id]
    return dict(found)


def test_a_worker_registers(api: Api) -> None:
    worker_id = fresh("worker")
    answer = api.post("/workers/register", registration(worker_id))
    assert answer.status_code == 201
    made = answer.json()["data"]
    assert {name: made[name] for name in registration(worker_id)} == registration(worker_id)
    assert made["status"] == "ACTIVE"
    found = worker(api, worker_id)
    assert found["last_heartbeat"]
    assert {name: found[name] for name in registration(worker_id)} == registration(worker_id)


def test_registering_again_renews(api: Api) -> None:
    worker_id = register(api)
    first = worker(api, worker_id)
    answer = api.post("/workers/register", registration(worker_id, version="2.0.0", queues=["other"]))
    assert answer.status_code == 201
    second = worker(api, worker_id)
    assert (second["version"], second["queues"], second["status"]) == ("2.0.0", ["other"], "ACTIVE")
    assert seconds_between(first["last_heartbeat"], second["last_heartbeat"]) > 0


def test_a_heartbeat_is_kept(api: Api) -> None:
    worker_id = register(api)
    before = worker(api, worker_id)
    answer = api.post(f"/workers/{worker_id}/heartbeat", {"cpu_percent": 12.5, "memory_percent": 40})
    assert (answer.status_code, answer.content) == (204, b"")
    found = worker(api, worker_id)
    assert (found["cpu_percent"], found["memory_percent"]) == (12.5, 40)
    assert seconds_between(before["last_heartbeat"], found["last_heartbeat"]) > 0


def test_a_heartbeat_of_nobody_is_not_found(api: Api) -> None:
    nobody = fresh("worker")
    answer = api.post(f"/workers/{nobody}/heartbeat", {"cpu_percent": 1, "memory_percent": 1})
    assert nobody in problem(answer, 404)["detail"]


def test_a_worker_drains(api: Api) -> None:
    worker_id = register(api)
    answer = api.post(f"/workers/{worker_id}/drain")
    assert answer.status_code == 200
    assert (answer.json()["data"]["worker_id"], answer.json()["data"]["status"]) == (worker_id, "DRAINING")
    assert worker(api, worker_id)["status"] == "DRAINING"
    assert api.post(f"/workers/{worker_id}/drain").status_code == 200
    heartbeat = api.post(f"/workers/{worker_id}/heartbeat", {"cpu_percent": 1, "memory_percent": 1})
    assert heartbeat.status_code == 204
    assert worker(api, worker_id)["status"] == "DRAINING"
    problem(api.post(f"/workers/{fresh('worker')}/drain"), 404)


def test_workers_are_listed_by_status(api: Api) -> None:
    active, draining = register(api), register(api)
    api.post(f"/workers/{draining}/drain")

    def listed(**filters: str) -> set[str]:
        answer = api.get("/workers", **filters)
        assert answer.status_code == 200
        assert answer.json().keys() == {"workers", "total"}
        workers = answer.json()["workers"]
        assert answer.json()["total"] == len(workers)
        if filters:
            assert {one["status"] for one in workers} <= {filters["status_filter"].upper()}
        return {one["worker_id"] for one in workers}

    assert listed() >= {active, draining}
    for spelling in ("active", "ACTIVE"):
        assert active in listed(status_filter=spelling)
        assert draining not in listed(status_filter=spelling)
    assert draining in listed(status_filter="draining")
    for spelling in ("stale", "stopped"):  # those of other tests are silent by now, maybe
        assert not {active, draining} & listed(status_filter=spelling)
    error = refused(api.get("/workers", status_filter="asleep"), "status_filter")
    assert "active" in error["message"].lower()
    refused(api.get("/workers", status="active"), "status")


def test_the_worker_of_the_server_is_listed(api: Api) -> None:
    job = api.ended(api.submit(type="echo")["job_id"])
    found = worker(api, job["worker_id"])
    assert found["status"] == "ACTIVE"
    assert {"echo", "sleep", "fail", "adds"} <= set(found["types"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("worker_id", ""), ("worker_id", None), ("worker_id", 7), ("hostname", 7), ("pid", "4711"), ("pid", 1.5),
        ("pid", True), ("pid", 2**63), ("pid", -1), ("version", 1), ("max_concurrent_jobs", 0),
        ("max_concurrent_jobs", 2**31), ("max_concurrent_jobs", "10"), ("queues", "mail"), ("more", 1),
        ("worker_id", "a\x00b"), ("hostname", "a\x00b"), ("version", "a\x00b"),
    ],
)  # fmt: skip
def test_fields_of_a_registration(api: Api, field: str, value: Any) -> None:
    worker_id = fresh("worker")
    refused(api.post("/workers/register", registration(worker_id, **{field: value})), field)
    assert worker_id not in {one["worker_id"] for one in api.get("/workers").json()["workers"]}


@pytest.mark.parametrize("queue", [1, None, "", "a\x00b"])
def test_queues_of_a_registration(api: Api, queue: Any) -> None:
    refused(api.post("/workers/register", registration(fresh("worker"), queues=["mail", queue])), "queues[1]")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cpu_percent", "12"), ("cpu_percent", -1), ("cpu_percent", True), ("memory_percent", 101),
        ("memory_percent", -0.5), ("more", 1),
    ],
)  # fmt: skip
def test_fields_of_a_heartbeat(api: Api, field: str, value: Any) -> None:
    worker_id = register(api)
    before = worker(api, worker_id)
    body = {"cpu_percent": 1, "memory_percent": 1, field: value}
    refused(api.post(f"/workers/{worker_id}/heartbeat", body), field)
    assert worker(api, worker_id) == before


@pytest.fixture
def impatient(postgres_server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API of a server that soon takes a silent worker for lost."""
    with (
        empty_database(postgres_server_url) as url,
        running(
            tmp_path_factory.mktemp("impatient"), "up", DATABASE_URL=url,
            WORKER_HEARTBEAT_INTERVAL="0.2", WORKER_HEARTBEAT_TIMEOUT="5",
        ) as server,
    ):  # fmt: skip
        api = Api(server.url)
        yield api
        api.close()


def test_a_silent_worker_is_stale_until_it_registers_again(impatient: Api) -> None:
    worker_id = register(impatient)
    until(lambda: worker(impatient, worker_id)["status"] == "STALE", "the worker to be stale")
    heartbeat = {"cpu_percent": 1, "memory_percent": 1}
    assert "register" in problem(impatient.post(f"/workers/{worker_id}/heartbeat", heartbeat), 409)["detail"]
    problem(impatient.post(f"/workers/{worker_id}/drain"), 409)
    assert impatient.get("/health").json()["data"]["workers"] == {"total": 2, "active": 1, "stale": 1}
    metrics = impatient.metrics()
    assert (metrics["workers_active"], metrics["workers_stale"]) == (1, 1)
    stale = impatient.get("/workers", status_filter="stale").json()
    assert [one["worker_id"] for one in stale["workers"]] == [worker_id]

    assert impatient.post("/workers/register", registration(worker_id)).status_code == 201
    assert impatient.post(f"/workers/{worker_id}/heartbeat", heartbeat).status_code == 204

from collections.abc import AsyncIterator

import attrs
import httpx
import pytest

from schedora.adapters.memory.faults import Faults
from schedora.application.errors import StoreUnavailable
from schedora.entrypoints.api.app import create_app
from schedora.entrypoints.system import System
from tests.unit.entrypoints.api.conftest import Api, Bench, problem, submit

ROOT = "http://schedora.test"


@pytest.mark.parametrize("address", ["/health", f"{ROOT}/health"])
async def test_all_is_well(api: Api, bench: Bench, address: str) -> None:
    await bench.claim()

    answer = await api.get(address)

    assert answer.status_code == 200
    assert answer.json() == {
        "data": {
            "status": "healthy",
            "database": "up",
            "redis": "disabled",
            "workers": {"total": 1, "active": 1, "stale": 0},
        }
    }


@pytest.mark.parametrize("address", ["/health", f"{ROOT}/health"])
async def test_without_database_it_answers_503(api: Api, faults: Faults, address: str) -> None:
    faults.away = True

    answer = await api.get(address)

    told = problem(answer, 503)
    assert answer.headers["retry-after"] == "1"
    assert told["data"] == {
        "status": "unhealthy",
        "database": "down",
        "redis": "disabled",
        "workers": {"total": 0, "active": 0, "stale": 0},
    }


class NoRedis:
    async def check(self) -> None:
        raise StoreUnavailable("redis://user:secret@host is away")


@pytest.fixture
async def degraded(system: System) -> AsyncIterator[Api]:
    check_health = attrs.evolve(system.check_health, redis=NoRedis())
    app = create_app(attrs.evolve(system, check_health=check_health))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"{ROOT}/api/v1") as client:
        yield client


async def test_without_redis_it_is_degraded(degraded: Api) -> None:
    answer = await degraded.get("/health")

    assert answer.status_code == 200
    assert answer.json()["data"]["status"] == "degraded"
    assert answer.json()["data"]["redis"] == "down"
    assert "secret" not in answer.text
    assert (await degraded.get("/health/ready")).status_code == 200


@pytest.mark.parametrize("prefix", ["", ROOT])
async def test_probes(api: Api, faults: Faults, prefix: str) -> None:
    assert (await api.get(f"{prefix}/health/live")).json() == {"data": {"status": "alive"}}
    assert (await api.get(f"{prefix}/health/ready")).json() == {"data": {"status": "ready"}}

    faults.away = True

    assert (await api.get(f"{prefix}/health/live")).status_code == 200
    problem(await api.get(f"{prefix}/health/ready"), 503)


async def test_what_is_wrong_is_told_with_what_follows_and_what_helps(api: Api, bench: Bench) -> None:
    well = await api.get("/health/deep")
    assert well.status_code == 200
    assert well.json()["data"]["status"] == "ok"
    assert {finding["severity"] for finding in well.json()["data"]["findings"]} == {"ok"}

    await bench.system.pause_queue("default")
    await submit(api)

    told = (await api.get("/health/deep")).json()["data"]
    [finding] = [one for one in told["findings"] if one["severity"] != "ok"]
    assert told["status"] == finding["severity"] == "warning"
    assert told["findings"][0] == finding, "the worst comes first"
    assert (finding["code"], finding["check"]) == ("queue_paused", "work")
    assert finding["fix"] == "schedora queues resume default"
    assert finding["details"]["queue"] == "default"
    assert {"name": "work", "status": "warning", "not_done": None} in told["checks"]


async def test_without_database_the_doctor_says_what_could_not_be_done(api: Api, faults: Faults) -> None:
    faults.away = True

    answer = await api.get("/health/deep")

    assert answer.status_code == 200
    for check in answer.json()["data"]["checks"]:
        assert (check["status"] == "not_done") == (check["name"] != "redis")

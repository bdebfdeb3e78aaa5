"""The API over the memory adapters, under a clock that moves when it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import httpx
import pytest
from attrs import frozen
from fastapi import FastAPI

from schedora.adapters.memory.faults import Faults
from schedora.adapters.memory.shared_counters import MemorySharedCounters
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.ports.job_queue import ClaimRequest, SyncBatch
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import settle
from schedora.domain.ids import IncarnationId, WorkerId
from schedora.domain.outcome import Failed, Outcome, Succeeded
from schedora.entrypoints.api.app import create_app
from schedora.entrypoints.api.event_streams import EventStreams
from schedora.entrypoints.api.service import ApiService, listen
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.settings import Settings
from schedora.entrypoints.system import System
from tests.builders import an_identity, an_incarnation
from tests.unit.entrypoints.api.following import Follow, Followed

Api = httpx.AsyncClient
SILENCE = timedelta(seconds=90)
JSON = {"content-type": "application/json"}
DEAD = Failed(kind="Oops", message="it failed", retryable=False)
RETRYING = Failed(kind="Oops", message="it failed")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def settings() -> Settings:
    return Settings(_env_file=None, max_payload_bytes=2_000)  # type: ignore[call-arg] # how pydantic takes it


@pytest.fixture
async def system(clock: VirtualClock, settings: Settings) -> AsyncIterator[System]:
    system = build_system(settings, database_url=None, clock=clock, randomness=SeededRandomness(1, clock))
    await system.open()
    yield system
    await system.end_queries()
    await system.close()


@pytest.fixture
def app(system: System) -> FastAPI:
    return create_app(system)


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[Api]:
    """Speaks to ``/api/v1``."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://schedora.test/api/v1") as client:
        yield client


@pytest.fixture
def faults(system: System) -> Faults:
    assert isinstance(system.shared_counters, MemorySharedCounters)
    return system.shared_counters.faults


@pytest.fixture
async def service(system: System) -> AsyncIterator[ApiService]:
    listening = listen("127.0.0.1", 0)
    ready = asyncio.Event()
    service = ApiService(system, listening, on_ready=lambda _: ready.set())
    running = asyncio.create_task(service.run())
    await ready.wait()
    yield service
    service.stop()
    await running


@pytest.fixture
def port(service: ApiService) -> int:
    number: int = service._listening.getsockname()[1]
    return number


@pytest.fixture
def streams(service: ApiService) -> EventStreams:
    return service._streams


@pytest.fixture
async def follow(port: int) -> AsyncIterator[Follow]:
    """Asks for an event stream, on a connection of its own."""
    async with AsyncExitStack() as opened:

        async def open_stream(path: str, *, method: str = "GET", **headers: str) -> Followed:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            followed = Followed(reader, writer)
            opened.push_async_callback(followed.leave)
            await followed.ask(path, method=method, **headers)
            return followed

        yield open_stream


@frozen
class Bench:
    """A worker that does what a test tells it to."""

    system: System

    async def claim(self, *, start: bool = True, worker_id: str = "w1", limit: int = 1) -> list[ClaimedJob]:
        owner = await self._owner(worker_id)
        claim = ClaimRequest(
            owner=owner, worker_id=WorkerId(worker_id), queues=(), types=("work",),
            limit=limit, start_count=limit if start else 0,
        )  # fmt: skip
        async with self.system.queue_of_its_own() as queue:
            return list((await queue.sync(SyncBatch(claim=claim))).claimed)

    async def finish(self, claimed: ClaimedJob, outcome: Outcome = Succeeded()) -> None:  # noqa: B008 - a value
        now = self.system.clock.now()
        completion = settle(
            claimed, outcome, started_at=claimed.started_at, ended_at=now, unit_random=0, worker_deaths_max=3
        )
        assert (await self.system.complete_jobs([completion])).accepted == {claimed.lease_id}

    async def run(self, outcome: Outcome = Succeeded()) -> ClaimedJob:  # noqa: B008 - a value
        """Claims the next job and ends it so."""
        [claimed] = await self.claim()
        await self.finish(claimed, outcome)
        return claimed

    async def _owner(self, worker_id: str) -> IncarnationId:
        known = await self.system.workers.named(WorkerId(worker_id))
        if known:
            return known[0].incarnation
        identity = an_identity(worker_id=WorkerId(worker_id))
        return (await self.system.workers.register(identity, an_incarnation())).incarnation


@pytest.fixture
def bench(system: System) -> Bench:
    return Bench(system)


def a_submission(**fields: Any) -> dict[str, Any]:
    return {"type": "work", "idempotency_key": "k1"} | fields


async def submit(api: Api, **fields: Any) -> dict[str, Any]:
    """The job made."""
    answer = await api.post("/jobs", json=a_submission(**fields))
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()["data"]
    return job


def problem(answer: httpx.Response, status: int, *fields: str) -> dict[str, Any]:
    """The problem that ``answer`` is, with errors for exactly these fields."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "errors", "trace_id"} <= told.keys()
    assert told["status"] == status
    assert [error["field"] for error in told["errors"]] == list(fields), answer.text
    return told


async def declare_stale(system: System) -> None:
    """Gives up whoever has been silent for 90 seconds, as a reaper does."""
    silent = [one.incarnation for one in await system.workers.silent(SILENCE)]
    assert silent
    await system.workers.declare_stale(silent, SILENCE)

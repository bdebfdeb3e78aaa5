"""Requests of a store that takes questions and does not answer, and more of them than there is room for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import attrs
import httpx
import pytest
from structlog.testing import capture_logs

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.application.errors import StoreUnavailable
from schedora.entrypoints.api import admission
from schedora.entrypoints.api.app import create_app
from schedora.entrypoints.settings import Settings
from schedora.entrypoints.system import System
from tests.unit.entrypoints.api.conftest import Api, problem, submit

PATIENT = 30
NOBODY = "0198c0de-0000-7000-8000-000000000000"
JOB = {"type": "echo", "idempotency_key": "k"}


class Silence:
    """Takes each question, and never answers."""

    batch_max = 10_000

    def __init__(self) -> None:
        self.asked = 0

    def __getattr__(self, _name: str) -> Any:
        return self

    async def __call__(self, *_asked: Any, **_how: Any) -> None:
        self.asked += 1
        await asyncio.Event().wait()


@pytest.fixture
def silence() -> Silence:
    return Silence()


Serve = Callable[..., AbstractAsyncContextManager[Api]]


@pytest.fixture
def serve(system: System, settings: Settings, silence: Silence) -> Serve:
    """The API over a store that is silent, but for whether it is there, with these settings."""

    @asynccontextmanager
    async def served(**update: Any) -> AsyncIterator[Api]:
        deaf: dict[str, Any] = {
            field.name: silence
            for field in attrs.fields(System)
            if field.name.startswith(
                (
                    "submit_",
                    "cancel_",
                    "requeue_",
                    "delete_",
                    "create_",
                    "retry_",
                    "drain_",
                    "beat_",
                    "register_",
                )
            )
            or field.name in {"jobs", "workflows", "workers", "queue_stats", "purge_queue", "pause_queue"}
        }
        app = create_app(attrs.evolve(system, settings=settings.model_copy(update=update), **deaf))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://schedora.test/api/v1") as client:
            yield client
        await app.state.outage.close()

    return served


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/jobs", None), ("GET", "/dlq", None), ("GET", "/workflows", None), ("GET", "/workers", None),
        ("GET", "/queue/stats", None), ("GET", f"/jobs/{NOBODY}?wait=60", None), ("POST", "/jobs", JOB),
        ("POST", "/jobs/batch", {"jobs": [JOB]}), ("POST", "/workflows", {"name": "w", "jobs": []}),
        ("POST", f"/jobs/{NOBODY}/cancel", None), ("POST", f"/jobs/{NOBODY}/retry", None),
        ("POST", "/queue/purge", None), ("POST", "/queues/q/pause", None), ("POST", "/workers/w/drain", None),
        ("POST", "/dlq/requeue", None), ("DELETE", f"/dlq/{NOBODY}", None),
        ("GET", f"/jobs/{NOBODY}/events/stream", None),
    ],
)  # fmt: skip
async def test_are_given_up_with_a_word_on_when_to_come_again(
    serve: Serve, silence: Silence, method: str, path: str, body: Any
) -> None:
    async with serve(api_timeout_seconds=0.01) as client:
        answer = await asyncio.wait_for(client.request(method, path, json=body), PATIENT)
    problem(answer, 503)
    assert answer.headers["retry-after"] == "1"
    assert silence.asked == 1


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/jobs"), ("POST", f"/jobs/{NOBODY}/cancel"), ("DELETE", f"/dlq/{NOBODY}")]
)
@pytest.mark.parametrize("whole", [True, False])
async def test_a_body_that_nobody_asked_for_buys_no_time(
    serve: Serve, silence: Silence, method: str, path: str, *, whole: bool
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        if not whole:
            await asyncio.Event().wait()

    async with serve(api_timeout_seconds=0.01) as client:
        answer = await asyncio.wait_for(client.request(method, path, content=body()), PATIENT)
    problem(answer, 503)
    assert silence.asked == 1


async def test_a_body_that_nobody_asked_for_buys_no_place(serve: Serve, silence: Silence) -> None:
    async with serve(api_requests_max=1) as client:
        first = asyncio.create_task(client.request("GET", "/jobs", content=b"{}"))
        while silence.asked < 1:
            await asyncio.sleep(0)
        problem(await asyncio.wait_for(client.request("GET", "/jobs", content=b"{}"), PATIENT), 503)
        first.cancel()
        await asyncio.wait([first])
    assert silence.asked == 1


async def test_bodies_that_come_while_others_take_the_room_are_refused(
    serve: Serve, silence: Silence
) -> None:
    arrives = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'{"type": "echo", '
        await arrives.wait()
        yield b'"idempotency_key": "k"}'

    async with serve(api_requests_max=1) as client:
        slow = asyncio.create_task(client.post("/jobs", content=body()))
        await asyncio.sleep(0)
        other = asyncio.create_task(client.get("/jobs"))
        while silence.asked < 1:
            await asyncio.sleep(0)
        arrives.set()
        told = problem(await asyncio.wait_for(slow, PATIENT), 503)
        assert "Too many requests" in told["detail"]
        assert silence.asked == 1
        other.cancel()
        await asyncio.wait([other])
        again = asyncio.create_task(client.get("/jobs"))
        while silence.asked < 2:
            await asyncio.sleep(0)
        again.cancel()
        await asyncio.wait([again])


@pytest.mark.parametrize("body", [None, b"{}"])
async def test_who_asks_to_wait_has_that_time_as_well(
    system: System, settings: Settings, clock: VirtualClock, body: bytes | None
) -> None:
    app = create_app(
        attrs.evolve(
            system, settings=settings.model_copy(update={"api_timeout_seconds": 0.5, "api_requests_max": 1})
        )
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://schedora.test/api/v1") as client:
        job = await submit(client)
        waiting = asyncio.create_task(client.request("GET", f"/jobs/{job['job_id']}?wait=60", content=body))
        while clock.sleepers < 2 and not waiting.done():
            await asyncio.sleep(0)
        await asyncio.sleep(0.6)
        assert (await client.get("/jobs")).status_code == 200, "and is in nobody's way"
        while not waiting.done():
            clock.advance(timedelta(seconds=1))
            await asyncio.sleep(0)
        answer = await waiting
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "PENDING")


async def test_more_than_there_is_room_for_are_refused_at_once(serve: Serve, silence: Silence) -> None:
    async with serve(api_requests_max=3) as client:
        waiting = [asyncio.create_task(client.get("/jobs")) for _ in range(3)]
        while silence.asked < 3:
            await asyncio.sleep(0)
        told = problem(await asyncio.wait_for(client.post("/jobs", json=JOB), PATIENT), 503)
        assert "Too many requests" in told["detail"]
        assert silence.asked == 3
        for path in ("/health", "/health/live", "/health/ready", "/metrics"):
            assert (await client.get(path)).status_code in {200, 503}, "is told all the same"
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        again = asyncio.create_task(client.get("/jobs"))
        while silence.asked < 4:
            await asyncio.sleep(0)
        for one in (*waiting, again):
            one.cancel()
        await asyncio.wait((*waiting, again))


async def test_a_body_that_is_slow_to_arrive_takes_nothing_of_its_time(
    system: System, settings: Settings
) -> None:
    app = create_app(attrs.evolve(system, settings=settings.model_copy(update={"api_timeout_seconds": 0.5})))

    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"type": "echo", '
        await asyncio.sleep(0.6)
        yield b'"idempotency_key": "k"}'

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://schedora.test/api/v1") as client:
        assert (await client.post("/jobs", content=slowly())).status_code == 201


async def test_during_an_outage_nobody_waits_for_long(
    serve: Serve, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "OUTAGE_SECONDS_MAX", 0.01)

    async def check() -> None:
        raise StoreUnavailable("no route")

    monkeypatch.setattr(type(system.check_health.database), "check", lambda _: check())
    async with serve(api_timeout_seconds=3_600) as client:
        with capture_logs() as lines:
            assert (await client.get("/health/ready")).status_code == 503
            async with asyncio.timeout(PATIENT):
                while "the store is away" not in [line["event"] for line in lines]:
                    await asyncio.sleep(0)  # a task of its own looks; it may not have begun yet
        problem(await asyncio.wait_for(client.get("/jobs"), PATIENT), 503)

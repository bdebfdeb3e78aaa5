"""An API of which a test says how it stands; it notes what it is asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import httpx
from attrs import Factory, define

from schedora.domain.job_state import JobState
from schedora.entrypoints.api.examples import TRACE
from schedora.entrypoints.cli.documents import document
from schedora.entrypoints.sdk.api_views import QueueFigures, WorkerView
from schedora.entrypoints.sdk.client import AsyncSchedoraClient
from tests.unit.entrypoints.cli.top import seen

PLACE = "http://api.example"
PREFIX = "/api/v1"


def job(number: int, **more: Any) -> dict[str, Any]:
    """As the API tells it."""
    return {
        "job_id": str(UUID(int=number)), "type": "mail", "payload": {}, "idempotency_key": None, "priority": 5,
        "queue": "default", "scheduled_at": "2030-01-31T08:00:00Z", "max_retries": 3, "retry_policy": "fixed",
        "retry_base_seconds": 1.0, "retry_max_seconds": 1.0, "timeout_seconds": 1.0, "workflow_id": None, "key": None,
        "depends_on": [], "status": "DEAD", "worker_id": "w1", "attempt": 1, "retry_count": 0, "lease_token": 1,
        "worker_deaths": 0, "created_at": "2030-01-31T08:00:00Z", "claimed_at": None, "started_at": None,
        "completed_at": None, "error_message": "no such mailbox", "progress": None, "result": None, "trace_id": "ab",
        "errors": [{
            "attempt": 1, "at": moved_at(number), "worker_id": "w1", "kind": "OSError", "message": "no such mailbox",
            "traceback": "Traceback\n  line 1\nOSError: no such mailbox",
        }],
    } | more  # fmt: skip


def moved_at(number: int) -> str:
    return f"2030-01-31T08:00:{number % 60:02}Z"


def failed(number: int, **more: Any) -> bytes:
    """A move, as the stream tells it."""
    told = {
        "at": moved_at(number), "from": "FAILED", "to": "DEAD", "attempt": 1, "worker_id": "w1", "reason": "OSError",
        "job_id": str(UUID(int=number)), "type": "mail", "queue": "default", "workflow_id": None,
    } | more  # fmt: skip
    return f"event: job\ndata: {json.dumps(told)}\nid: {number}\n\n".encode()


@define(kw_only=True)
class FakeApi(httpx.AsyncBaseTransport):
    """``done`` and ``failed`` are by job type; what is put into ``moves`` goes to whoever listens."""

    done: dict[str, float] = Factory(dict)
    failed: dict[str, float] = Factory(dict)
    queues: dict[str, QueueFigures] = Factory(dict)
    workers: list[WorkerView] = Factory(list)
    unhandled_types: tuple[str, ...] = ()
    jobs: dict[str, dict[str, Any]] = Factory(dict)
    answers: dict[str, tuple[int, Any]] = Factory(dict)
    """Instead of what it would say, by path."""
    held: dict[str, asyncio.Event] = Factory(dict)
    """What it waits for before it answers, by path."""
    away: bool = False
    asked: list[str] = Factory(list)
    moves: asyncio.Queue[bytes] = Factory(asyncio.Queue)
    listeners: int = 0
    streams: int = 0

    def add(self, *jobs: dict[str, Any]) -> None:
        self.jobs |= {one["job_id"]: one for one in jobs}

    @contextmanager
    def holding(self, path: str) -> Iterator[None]:
        """Within, it does not answer there."""
        self.held[path] = asyncio.Event()
        try:
            yield
        finally:
            self.held.pop(path).set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(PREFIX)
        self.asked.append(f"{request.method} {path}")
        if self.away:
            raise httpx.ConnectError("connection refused", request=request)
        if path in self.held:
            await self.held[path].wait()
        if path in self.answers:
            status, body = self.answers[path]
            return httpx.Response(status, json=body)
        if path == "/events":
            return httpx.Response(200, stream=Listening(self))
        if path == "/metrics":
            return httpx.Response(200, text=self._metrics())
        return httpx.Response(
            200, content=json.dumps(self._answer(path, request.url.params), default=document)
        )

    def _answer(self, path: str, query: Mapping[str, str]) -> Any:
        match path.strip("/").split("/"):
            case ["health"]:
                return {"data": seen.health()}
            case ["queue", "stats"]:
                return seen.stats(self.queues, self.unhandled_types)
            case ["workers"]:
                return {"workers": self.workers, "total": len(self.workers)}
            case ["workers", name, "drain"]:
                return {"data": seen.worker(name)}
            case ["queues", name, deed]:
                return {"data": {"queue": name, "paused": deed == "pause", "paused_at": None}}
            case ["jobs"]:
                named = [one for one in self.jobs.values() if query.get("queue") in (None, one["queue"])]
                return {"data": named, "next_cursor": None}
            case ["jobs", job_id, "why"]:
                why = {
                    "job_id": job_id,
                    "status": "DEAD",
                    "ready": False,
                    "summary": "DEAD: it failed",
                    "reasons": [],
                }
                return {"data": why}
            case ["jobs", job_id, "logs"]:
                line = {"timestamp": moved_at(1), "level": "warning", "message": "mailbox is full", "size": 7}
                run = {"attempt": 1, "lease_token": 1, "worker_id": "w1", "dropped": 3, "lines": [line]}
                return {"data": {"job_id": job_id, "status": "DEAD", "runs": [run], "last": "1"}}
            case ["jobs", _, "trace"]:
                return {"data": TRACE}
            case ["jobs", _, "events"]:
                return {"data": [{"at": moved_at(1), "from": None, "to": "PENDING", "attempt": 0, "worker_id": None,
                                  "reason": None}]}  # fmt: skip
            case ["jobs", job_id, "cancel"]:
                return {"data": {"job_id": job_id, "status": JobState.CANCELED, "message": "canceled"}}
            case ["jobs", job_id, *_]:
                return {"data": self.jobs[job_id]}
        raise AssertionError(path)

    def _metrics(self) -> str:
        lines = [f'jobs_succeeded_total{{job_type="{name}"}} {count}' for name, count in self.done.items()]
        lines += [f'jobs_failed_total{{job_type="{name}"}} {count}' for name, count in self.failed.items()]
        lines += [
            f'worker_slots_used{{process="{one.worker_id}"}} {one.running_jobs}' for one in self.workers
        ]
        return "\n".join(lines)


class Listening(httpx.AsyncByteStream):
    """An event stream, until it is left or the test ends it with an empty move."""

    def __init__(self, api: FakeApi) -> None:
        self._api = api

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._api.listeners += 1
        self._api.streams += 1
        try:
            yield b'event: ready\ndata: {"at":"2030-01-31T08:00:00Z"}\nid: 0\n\n'
            while move := await self._api.moves.get():
                yield move
        finally:
            self._api.listeners -= 1


@asynccontextmanager
async def a_fake_api() -> AsyncIterator[tuple[FakeApi, AsyncSchedoraClient]]:
    api = FakeApi()
    async with AsyncSchedoraClient(PLACE, transport=api) as client:
        yield api, client

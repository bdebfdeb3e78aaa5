"""Submissions past the router: nothing tells them from what goes through it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI

from schedora.adapters.memory.faults import Faults
from schedora.entrypoints.api.routes import submit
from schedora.entrypoints.system import System
from tests.unit.entrypoints.api.conftest import JSON, Api

BODIES: list[tuple[str, bytes]] = [
    ("/jobs", b'{"type": "echo", "idempotency_key": "k"}'),
    ("/jobs", b'{"type": "echo"}'),
    ("/jobs", b"{"),
    ("/jobs", b'{"type": "echo", "idempotency_key": "k", "payload": {"a": "' + b"x" * 3_000 + b'"}}'),
    (
        "/jobs",
        b'{"type": "echo", "idempotency_key": "k", "priority": 7, "scheduled_at": "2031-05-01T14:30:00Z"}',
    ),
    ("/jobs", b'{"type": "", "idempotency_key": "k", "priority": 11}'),
    ("/jobs", b'{"type": "echo", "type": "echo", "idempotency_key": "k"}'),
    ("/jobs", b'{"type": "\xff", "idempotency_key": "k"}'),
    ("/jobs/batch", b'{"jobs": [{"type": "echo", "idempotency_key": "k"}]}'),
    ("/jobs/batch", b'{"jobs": [{}]}'),
]


@pytest.fixture
def routed(app: FastAPI) -> Api:
    """Reaches the same application below another address, where the shortcut does not hold."""
    transport = httpx.ASGITransport(app, root_path="/below", raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://schedora.test/below/api/v1")


def told(response: httpx.Response) -> dict[str, Any]:
    document = response.json()
    document.pop("trace_id", None)
    if isinstance(data := document.get("data"), dict):
        for name in ("job_id", "trace_id", "idempotency_key"):
            data.pop(name, None)
    return {"status": response.status_code, "type": response.headers["content-type"], "document": document}


@pytest.mark.parametrize(("address", "body"), BODIES)
async def test_answers_are_those_of_the_router(api: Api, routed: Api, address: str, body: bytes) -> None:
    one = await api.post(address, content=body, headers=JSON)
    other = await routed.post(address, content=body.replace(b'"k"', b'"l"'), headers=JSON)
    if address == "/jobs":
        assert told(one) == told(other)
    else:
        assert (one.status_code, one.headers["content-type"]) == (
            other.status_code,
            other.headers["content-type"],
        )


async def test_other_methods_are_left_to_the_router(api: Api) -> None:
    refused = await api.put("/jobs", content=b"{}", headers=JSON)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")
    assert (await api.get("/jobs")).status_code == 200


async def test_its_requests_are_counted_and_told_by_their_route(api: Api) -> None:
    with structlog.testing.capture_logs() as lines:
        await api.post("/jobs/batch", content=b'{"jobs": []}', headers=JSON)
    assert [line["route"] for line in lines] == ["/api/v1/jobs/batch"]
    metrics = (await api.get("http://schedora.test/metrics")).text
    assert 'http_requests_total{method="POST",route="/api/v1/jobs/batch",status="201"} 1.0' in metrics


async def test_a_store_that_is_away_is_told_to_the_log_and_the_caller(api: Api, faults: Faults) -> None:
    faults.away = True
    with structlog.testing.capture_logs() as lines:
        answer = await api.post("/jobs", json={"type": "echo", "idempotency_key": "k"})
        while len(lines) < 2:
            await asyncio.sleep(0)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert sorted(line["event"] for line in lines) == ["request", "the store is away"]


async def test_a_failure_of_its_own_is_the_edges_to_answer(
    api: Api, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Callable[..., Awaitable[None]]:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(submit, "job_address", fails)
    answer = await api.post("/jobs", json={"type": "echo", "idempotency_key": "k"})
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:problem-type:schedora:internal")

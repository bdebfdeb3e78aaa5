"""Reads of a store that takes questions and does not answer."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import attrs
import httpx
import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.entrypoints.api import reads
from schedora.entrypoints.api.app import create_app
from schedora.entrypoints.system import System
from tests.unit.entrypoints.api.conftest import Api, problem, submit

PATIENT = 30


class SilentReader:
    """Hears each question and never answers."""

    def __getattr__(self, _name: str) -> Any:
        async def silence(*_asked: Any, **_how: Any) -> None:
            await asyncio.Event().wait()

        return silence


@pytest.fixture
async def silent(system: System, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setattr(reads, "READ_SECONDS", 0.01)
    silence: Any = SilentReader()
    app = create_app(
        attrs.evolve(system, jobs=silence, workflows=silence, workers=silence, queue_stats=silence.stats)
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://schedora.test/api/v1") as client:
        yield client


@pytest.mark.parametrize("path", ["/jobs", "/dlq", "/workflows", "/workers", "/queue/stats"])
async def test_are_given_up_with_a_word_on_when_to_come_again(silent: Api, path: str) -> None:
    answer = await asyncio.wait_for(silent.get(path), PATIENT)

    problem(answer, 503)
    assert answer.headers["retry-after"] == "1"


async def test_who_asks_to_wait_is_not_cut_off(
    api: Api, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "READ_SECONDS", 0)
    job = await submit(api)
    waiting = asyncio.create_task(api.get(f"/jobs/{job['job_id']}?wait=60"))
    while clock.sleepers < 2 and not waiting.done():
        await asyncio.sleep(0)
    while not waiting.done():
        clock.advance(timedelta(seconds=1))
        await asyncio.sleep(0)

    answer = await waiting
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "PENDING")

"""The API and its description agree, whatever is asked: schemathesis makes the requests, by the description alone.

They go to a real server over the memory adapters, for what is refused below the application counts, too. ``make hostile`` does
the same for longer, at random, on PostgreSQL.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, Protocol

import httpx
import pytest
from benchmarks.hostile.fuzzing import PHASES, Findings, fuzz

from schedora.entrypoints.api.service import ApiService, listen, url_of
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.settings import Settings

EXAMPLES = {"examples": 1, "coverage": 1, "fuzzing": 5, "stateful": 15}
SEED = 1
REQUESTS_MIN = {"examples": 7, "coverage": 1_500, "fuzzing": 150, "stateful": 100}
"""Fewer mean that nothing was looked for: the description could not be read, or the hooks refuse everything."""


class Server(threading.Thread):
    """An API in memory, on a loop of its own."""

    def __init__(self) -> None:
        super().__init__(name="conformance")
        self._listening = listen("127.0.0.1", 0)
        self.url = url_of(self._listening)
        self._ready = threading.Event()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        settings = Settings(_env_file=None, max_payload_bytes=100_000)  # type: ignore[call-arg] # how pydantic takes it
        system = build_system(settings, database_url=None)
        await system.open()
        self._service = ApiService(system, self._listening, on_ready=lambda _: self._ready.set())
        self._loop = asyncio.get_running_loop()
        await self._service.run()
        await system.end_queries()
        await system.close()

    def wait_until_ready(self) -> None:
        assert self._ready.wait(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._service.stop)
        self.join()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    server.wait_until_ready()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def description(server: Server) -> dict[str, Any]:
    told: dict[str, Any] = httpx.get(f"{server.url}/openapi.json").json()
    return told


class Fuzz(Protocol):
    def __call__(
        self, description: dict[str, Any], url: str, *, examples: int, phases: list[str]
    ) -> Findings: ...


@pytest.fixture(scope="module")
def ask() -> Iterator[Fuzz]:
    """In a process of its own: hypothesis takes values from all modules that are loaded, and here those are others each time."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:

        def asked(description: dict[str, Any], url: str, **how: Any) -> Findings:
            return process.submit(partial(fuzz, seed=SEED, **how), description, url).result()

        yield asked


@pytest.mark.parametrize("phase", PHASES)
def test_what_is_answered_is_what_is_described(
    server: Server, description: dict[str, Any], ask: Fuzz, phase: str
) -> None:
    found = ask(description, server.url, examples=EXAMPLES[phase], phases=[phase])

    assert found.failures == {}
    assert found.cases >= REQUESTS_MIN[phase]
    assert not [status for status in found.statuses if status < 200 or status >= 500]


def test_a_description_that_is_wrong_is_found_out(
    server: Server, description: dict[str, Any], ask: Fuzz
) -> None:
    health = {"/api/v1/health/live": description["paths"]["/api/v1/health/live"]}
    del health["/api/v1/health/live"]["get"]["responses"]["200"]
    found = ask({**description, "paths": health}, server.url, examples=1, phases=["coverage"])
    assert any("status_code_conformance" in what for what in found.failures)

"""How the API is asked, and how often."""

import asyncio
from collections.abc import AsyncIterator, Callable
from uuid import UUID

import pytest

from schedora.domain.job_state import JobState
from schedora.entrypoints.cli.top import watcher as watching
from schedora.entrypoints.cli.top.board import Board
from schedora.entrypoints.cli.top.watcher import (
    BUSY,
    CALM_PER_SECOND,
    HEALTH_LOOKS,
    SAMPLED,
    TOLD_MAX,
    Watcher,
)
from schedora.entrypoints.sdk.client import AsyncSchedoraClient
from tests.unit.entrypoints.cli.top.fake_api import FakeApi, a_fake_api, failed, job

INTERVAL_SECONDS = 0.02
PATIENCE_SECONDS = 30


class Watched:
    """A watcher at work; a test waits for what is to come of its rounds."""

    def __init__(self, api: FakeApi, client: AsyncSchedoraClient) -> None:
        self.api = api
        self.board = Board(INTERVAL_SECONDS)
        self.rounds = 0
        self._round = asyncio.Event()
        self.watcher = Watcher(client, self.board, INTERVAL_SECONDS, self._changed)

    def _changed(self) -> None:
        self.rounds += 1
        self._round.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Looks again after each round."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                self._round.clear()
                await self._round.wait()

    async def after_rounds(self, number: int) -> None:
        wanted = self.rounds + number
        await self.until(lambda: self.rounds >= wanted)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    async with a_fake_api() as (api, client):
        watched = Watched(api, client)
        running = asyncio.create_task(watched.watcher.run())
        yield watched
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert api.listeners == 0


async def test_a_look_is_three_requests_and_sometimes_four(watched: Watched) -> None:
    await watched.after_rounds(HEALTH_LOOKS + 1)
    looks = watched.api.asked.count("GET /metrics")
    for path in ("/queue/stats", "/workers"):
        assert abs(watched.api.asked.count(f"GET {path}") - looks) <= 1
    assert watched.api.asked.count("GET /health") == 2
    assert watched.api.streams == 1
    assert watched.api.asked.count("GET /jobs") == 2, (
        "at the beginning, and for what failed before the stream was ready"
    )


async def test_failures_are_those_that_are_kept_and_those_that_are_told(watched: Watched) -> None:
    watched.api.add(job(1))
    await watched.after_rounds(1)
    watched.api.add(job(2, status="RETRYING", errors=[]), job(3))
    watched.api.moves.put_nowait(failed(3))
    await watched.until(lambda: [f.job_id.int for f in watched.board.failures() if f.message] == [3, 1])
    newest = watched.board.failures()[0]
    assert (newest.job_id.int, newest.kind, newest.message) == (3, "OSError", "no such mailbox")


async def test_a_failure_of_a_job_that_was_deleted_has_no_message(watched: Watched) -> None:
    watched.api.answers[f"/jobs/{UUID(int=5)}"] = (404, {"title": "Not Found"})
    watched.api.moves.put_nowait(failed(5))
    await watched.until(lambda: any(failure.message is not None for failure in watched.board.failures()))
    assert watched.board.failures()[0].message == ""


async def test_of_a_storm_some_are_told(watched: Watched) -> None:
    """The stream is left for the rest of the look, whatever stands in it."""
    for number in range(10 * TOLD_MAX):
        watched.api.add(job(number))
        watched.api.moves.put_nowait(failed(number))
    await watched.until(lambda: watched.board.failures_note == SAMPLED)
    await watched.until(lambda: watched.api.streams >= 3)
    assert watched.board.trouble is None


async def test_a_busy_system_is_not_made_to_tell(watched: Watched) -> None:
    await watched.until(lambda: watched.api.listeners == 1)
    watched.api.add(job(9))

    def busy() -> bool:
        watched.api.done["mail"] = watched.api.done.get("mail", 0) + CALM_PER_SECOND
        return watched.api.listeners == 0 and watched.board.failures_note == BUSY

    await watched.until(busy)
    await watched.until(lambda: busy() and len(watched.board.failures()) == 1)
    assert watched.board.failures()[0].came_to is JobState.DEAD


async def test_a_server_that_is_away_is_asked_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PAUSE_SECONDS", INTERVAL_SECONDS)
    monkeypatch.setattr("schedora.entrypoints.sdk.conversation.PAUSES_SECONDS", (0.0, 0.0))
    await watched.after_rounds(1)
    watched.api.away = True
    watched.api.moves.put_nowait(b"")
    await watched.until(lambda: watched.board.trouble is not None)
    assert "connection refused" in str(watched.board.trouble)
    watched.api.away = False
    await watched.until(lambda: watched.board.trouble is None and watched.api.listeners == 1)


async def test_what_the_server_refuses_is_shown(watched: Watched) -> None:
    watched.api.answers["/metrics"] = (401, {"title": "Unauthorized", "detail": "who are you?"})
    await watched.until(lambda: watched.board.trouble is not None)
    assert watched.board.trouble == "who are you?"


async def test_a_defect_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: Watcher) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Watcher, "_follow_some", broken)
    async with a_fake_api() as (api, client):
        with pytest.raises(ZeroDivisionError):
            await Watched(api, client).watcher.run()

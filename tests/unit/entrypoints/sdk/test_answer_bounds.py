"""Clients against servers that are broken, or not ours."""

import gzip
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from schedora import AsyncSchedoraClient, SchedoraClient
from schedora.entrypoints.sdk import answer_bounds, event_parser
from schedora.entrypoints.sdk.errors import SchedoraError, ServerError, Unavailable
from tests.unit.entrypoints.sdk.odd_server import an_odd_server

LIMIT = 100_000


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_bounds, "ANSWER_BYTES_MAX", LIMIT)
    monkeypatch.setattr(event_parser, "EVENT_LENGTH_MAX", LIMIT)


class Endless(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that goes on for as long as anybody reads it."""

    def __init__(self, piece: bytes) -> None:
        self.pieces = 0
        self._piece = piece

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.pieces += 1
            assert self.pieces < 1_000, "it is read without end"
            yield self._piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in iter(self):
            yield piece


def clients(stream: Any, **headers: str) -> list[Any]:
    """Both, on a server that answers this."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=stream))
    url = "http://schedora.test"
    return [SchedoraClient(url, transport=transport), AsyncSchedoraClient(url, transport=transport)]


async def done(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


async def test_an_answer_without_end_is_given_up() -> None:
    for client in clients(Endless(b" " * 10_000)):
        with pytest.raises(Unavailable, match="more than 100000 bytes"):
            await done(client.list_jobs())
        await done(client.close())


async def test_an_answer_is_as_large_as_it_is_unpacked() -> None:
    bomb = gzip.compress(b" " * 10 * LIMIT)
    assert len(bomb) < LIMIT // 10
    for client in clients(httpx.ByteStream(bomb), **{"Content-Encoding": "gzip"}):
        with pytest.raises(SchedoraError):
            await done(client.list_jobs())
        await done(client.close())


async def test_an_answer_that_is_packed_wrongly_is_one_of_our_errors() -> None:
    transport = httpx.MockTransport(
        lambda _: httpx.Response(
            200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip")
        )
    )
    with SchedoraClient("http://schedora.test", transport=transport) as client, pytest.raises(SchedoraError):
        client.list_jobs()


async def test_an_event_without_end_is_given_up() -> None:
    waiting, awaiting = clients(Endless(b"data: " + b"x" * 10_000), **{"Content-Type": "text/event-stream"})
    with pytest.raises(ServerError, match="more than 100000 characters"):
        next(waiting.stream_events())
    waiting.close()
    async with aclosing(awaiting.stream_events()) as events:
        with pytest.raises(ServerError, match="more than 100000 characters"):
            await anext(events)
    await awaiting.close()


@pytest.mark.parametrize("errors", [5, "x", {"a": 1}, [5], None, True])
def test_errors_of_any_kind_are_read(errors: Any) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(422, json={"errors": errors, "title": "odd"}))
    with SchedoraClient("http://schedora.test", transport=transport) as client, pytest.raises(SchedoraError):
        client.list_jobs()


def test_a_key_is_not_taken_elsewhere() -> None:
    with an_odd_server() as elsewhere, an_odd_server() as server:
        elsewhere.says(200, {"data": [], "next_cursor": None})
        server.says(307, b"", Location=f"{elsewhere.url}/api/v1/jobs")
        with (
            SchedoraClient(server.url, headers={"Authorization": "Bearer secret"}) as client,
            pytest.raises(SchedoraError),
        ):
            client.list_jobs()
        assert elsewhere.paths == []


def test_nobody_is_made_to_wait_for_years(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    answers = iter([httpx.Response(503, headers={"Retry-After": "999999999"})] * 2)
    transport = httpx.MockTransport(lambda _: next(answers, httpx.Response(404)))
    with SchedoraClient("http://schedora.test", transport=transport) as client, pytest.raises(SchedoraError):
        next(client.stream_events())
    assert pauses
    assert max(pauses) <= answer_bounds.RETRY_AFTER_MAX.total_seconds()

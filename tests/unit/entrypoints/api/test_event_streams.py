"""What holds for every event stream, on real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from schedora.adapters.memory.faults import Faults
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.application.ports.metrics import Counter
from schedora.application.queries import event_feed
from schedora.entrypoints.api import event_streams as module
from schedora.entrypoints.api.event_streams import KEEP_ALIVE, RETRY_MS, RETRY_SPREAD_MS, EventStreams, Stream
from schedora.entrypoints.api.service import ApiService
from schedora.entrypoints.settings import Settings
from schedora.entrypoints.system import System
from tests.programs import PATIENCE_SECONDS
from tests.unit.entrypoints.api.conftest import Api, submit
from tests.unit.entrypoints.api.following import Follow, a_notice, settle, tick, until

LIMIT = 3
EVENTS = "/events"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"event_streams_max": LIMIT})


def tell(system: System, count: int = 1, **fields: Any) -> None:
    system.events.publish([a_notice(**fields) for _ in range(count)])


async def test_a_stream_says_what_it_is_and_when_to_come_back(follow: Follow) -> None:
    stream = await follow(EVENTS)
    assert stream.status == 200
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["cache-control"] == "no-store"
    assert stream.headers["x-accel-buffering"] == "no"
    assert "content-length" not in stream.headers
    await stream.next_of("ready")
    assert stream.retry_seconds is not None
    assert RETRY_MS <= stream.retry_seconds * 1000 <= RETRY_MS + RETRY_SPREAD_MS


async def test_silence_is_filled_and_the_place_moves_on(
    follow: Follow, system: System, clock: VirtualClock
) -> None:
    stream = await follow(EVENTS + "?queue=nobodys")
    ready = await stream.next_of("ready")
    tell(system)
    clock.advance(KEEP_ALIVE)
    await stream.until_raw(b": keep-alive\nid: ")
    assert ready.event_id.encode() + b"\n\n" not in stream.raw.rpartition(b": keep-alive")[2]


async def test_a_client_that_leaves_leaves_nothing_behind(
    follow: Follow, system: System, streams: EventStreams, clock: VirtualClock
) -> None:
    followed = [await follow(EVENTS) for _ in range(2)]
    assert len(streams) == 2
    for stream in followed:
        await stream.leave()
    await until(lambda: len(streams) == 0, "the streams to end")
    await until(lambda: system.event_feed.newest is None, "the reader to end")
    await until(lambda: clock.sleepers == 0, "all that waited for time to pass to end")


async def test_head_is_answered_at_once_and_opens_no_stream(
    follow: Follow, system: System, streams: EventStreams
) -> None:
    stream = await follow(EVENTS, method="HEAD")
    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (len(streams), system.event_feed.newest) == (0, None)
    await stream.ask("/health/live")
    assert await stream.body() == b'{"data":{"status":"alive"}}'


async def test_there_are_so_many_and_no_more(follow: Follow, streams: EventStreams) -> None:
    followed = [await follow(EVENTS) for _ in range(LIMIT)]
    refused = await follow(EVENTS)
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.headers["content-type"] == "application/problem+json"
    assert b"There are 3 event streams already" in await refused.body()
    await followed[0].leave()
    await until(lambda: len(streams) < LIMIT, "one to leave")
    await refused.ask(EVENTS)
    assert refused.status == 200


async def test_a_service_that_stops_sends_its_clients_away_and_does_not_wait_for_them(
    follow: Follow, service: ApiService
) -> None:
    followed = [await follow(EVENTS) for _ in range(LIMIT)]
    for stream in followed:
        await stream.next_of("ready")
    service.stop()
    for stream in followed:
        dropped = await stream.next_of("dropped")
        assert dropped.data == {"reason": "stopping"}
        assert await stream.next() is None, "a well-formed end"


async def test_a_service_that_stops_takes_no_stream_any_more(api: Api, app: Any, system: System) -> None:
    app.state.event_streams.stop()
    answer = await api.get("/events")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["detail"].startswith("The server is stopping")


@asynccontextmanager
async def one_that_does_not_read(
    port: int, streams: EventStreams
) -> AsyncIterator[tuple[socket.socket, Stream]]:
    """A client that asks, and looks at nothing that is sent; and its stream."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: len(streams) == 1, "the stream to open")
        [stream] = streams._streams
        yield client, stream


async def read_to_the_end(client: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    pieces = []
    while piece := await loop.sock_recv(client, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


async def flood(system: System, stream: Stream) -> None:
    """Tells until it is dropped."""
    await until(lambda: system.event_feed.ready, "the stream to be ready")
    for _ in range(1_000):
        if not stream.open:
            return
        tell(system, 500, type="x" * 200)
        await settle()  # so that the server sends all that there is room for
    raise AssertionError("it is never dropped")


def dropped_count(system: System) -> int:
    local_counters: Any = system.metrics
    counts: dict[tuple[Counter, str], int] = local_counters._counts
    return counts.get((Counter.EVENT_STREAMS_DROPPED, ""), 0)


async def test_a_client_that_does_not_read_is_cut_off(
    port: int, system: System, streams: EventStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.2)
    async with one_that_does_not_read(port, streams) as (client, stream):
        with structlog.testing.capture_logs() as lines:
            await flood(system, stream)
            await until(lambda: len(streams) == 0, "the stream to end")
        assert len([line for line in lines if line["event"].startswith("event stream dropped")]) == 1
        assert dropped_count(system) == 1
        assert system.event_feed.newest is None
        read = await read_to_the_end(client)
    assert b"event: dropped" not in read
    assert not read.endswith(b"0\r\n\r\n"), "cut off, and seen to be"


async def test_a_client_that_reads_again_in_time_is_told_why(
    port: int, system: System, streams: EventStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", PATIENCE_SECONDS)
    async with one_that_does_not_read(port, streams) as (client, stream):
        await flood(system, stream)
        read = b""
        loop = asyncio.get_running_loop()
        while not read.endswith(b"0\r\n\r\n"):
            piece = await loop.sock_recv(client, 1 << 20)
            assert piece
            read = read[-1_000:] + piece
    assert b'event: dropped\ndata: {"reason":"slow"}\n\n' in read


async def test_the_others_hear_all_while_one_does_not_read(
    port: int, follow: Follow, system: System, streams: EventStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.05)
    async with one_that_does_not_read(port, streams) as (_, slow):
        quick = await follow(EVENTS)
        await quick.next_of("ready")
        number = 0
        while slow.open:
            number += 1
            assert number < 2_000
            tell(system, 50, type="x" * 200, queue=f"q{number}")
            for _ in range(50):
                assert (await quick.next_of("job")).data["queue"] == f"q{number}"
        await until(lambda: len(streams) == 1, "the slow one to end")
        tell(system)
        await quick.next_of("job")


async def test_who_takes_too_long_over_what_was_sent_is_dropped_however_little_there_is_to_tell(
    port: int, system: System, streams: EventStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(module, "SENT_WITHIN_SECONDS", 0.05)
    monkeypatch.setattr(event_feed, "QUEUE_MAX", 1_000_000)
    async with one_that_does_not_read(port, streams) as (_, stream):
        await flood(system, stream)
        await until(lambda: len(streams) == 0, "the stream to end")
    assert dropped_count(system) == 1


async def test_a_connection_serves_the_next_request_when_its_stream_has_ended(
    follow: Follow, api: Api
) -> None:
    job = await submit(api)
    await api.post(f"/jobs/{job['job_id']}/cancel")
    stream = await follow(f"/jobs/{job['job_id']}/events/stream")
    assert [told.event for told in await stream.all()] == ["job", "job", "end"]
    await stream.ask("/health/live")
    assert await stream.body() == b'{"data":{"status":"alive"}}'


async def test_without_the_store_no_stream_begins(
    follow: Follow, faults: Faults, streams: EventStreams
) -> None:
    faults.away = True
    refused = await follow(EVENTS)
    assert (refused.status, refused.headers["content-type"]) == (503, "application/problem+json")
    assert len(streams) == 0


async def test_a_stream_stays_while_the_store_is_away(
    follow: Follow, system: System, faults: Faults, clock: VirtualClock
) -> None:
    stream = await follow(EVENTS)
    await stream.next_of("ready")
    faults.away = True
    tell(system)
    clock.advance(KEEP_ALIVE)
    await stream.until_raw(b": keep-alive")
    faults.away = False
    reading = asyncio.create_task(stream.next_of("job"))
    await tick(clock, reading.done, "the move to be told")
    await reading


async def test_a_stream_that_is_taken_up_while_the_store_is_away_is_not_silent(
    follow: Follow, system: System, faults: Faults, clock: VirtualClock
) -> None:
    before = await follow(EVENTS)
    ready = await before.next_of("ready")
    tell(system)
    faults.away = True
    stream = await follow(EVENTS, last_event_id=ready.event_id)
    alive = asyncio.create_task(stream.until_raw(b": keep-alive"))
    await tick(clock, alive.done, "a sign of life")
    await alive
    faults.away = False
    reading = asyncio.create_task(stream.next_of("job"))
    await tick(clock, reading.done, "the move to be told")
    await reading

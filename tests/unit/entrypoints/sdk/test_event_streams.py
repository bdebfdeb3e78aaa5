"""Both clients follow the event streams of a real API, and of one that goes away in the middle."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from typing import Any
from uuid import uuid4

import pytest

from schedora import (
    AsyncSchedoraClient,
    JobMove,
    JobState,
    NotFoundError,
    SchedoraClient,
    StreamReady,
    Unavailable,
    WorkflowState,
    WorkflowStatus,
)
from schedora.domain.errors import InvalidField
from schedora.entrypoints.sdk import conversation, following
from tests.unit.entrypoints.sdk.odd_server import OddServer, an_odd_server
from tests.unit.entrypoints.sdk.serving import served

S = JobState
RUN = [S.PENDING, S.SCHEDULED, S.RUNNING, S.SUCCESS]
NOBODY = "0198f000-0000-7000-8000-000000000000"

Follow = Callable[..., AsyncIterator[Any]]
"""The stream of a method of a client of either kind, to be awaited."""


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with served() as url:
        yield url


@pytest.fixture
def odd_server() -> Iterator[OddServer]:
    with an_odd_server() as server:
        yield server


@pytest.fixture
def client(server_url: str) -> Iterator[SchedoraClient]:
    """For all but the streams."""
    with SchedoraClient(server_url) as client:
        yield client


@pytest.fixture(params=["waits", "awaits"])
def follow(request: pytest.FixtureRequest, server_url: str) -> Follow:
    async def waiting(method: str, *args: Any, url: str = server_url, **options: Any) -> AsyncIterator[Any]:
        with SchedoraClient(url) as client, closing(getattr(client, method)(*args, **options)) as stream:
            # In a thread, as a program without an event loop.
            while (event := await asyncio.to_thread(next, stream, None)) is not None:
                yield event

    async def awaiting(method: str, *args: Any, url: str = server_url, **options: Any) -> AsyncIterator[Any]:
        async with (
            AsyncSchedoraClient(url) as client,
            aclosing(getattr(client, method)(*args, **options)) as stream,
        ):
            async for event in stream:
                yield event

    return waiting if request.param == "waits" else awaiting


async def all_of(stream: AsyncIterator[Any]) -> list[Any]:
    return [event async for event in stream]


async def test_a_job_is_followed_to_its_end(client: SchedoraClient, follow: Follow) -> None:
    job = client.submit("sleep", {"seconds": 0.2})
    moves = await all_of(follow("stream_job_events", job))
    assert [move.to_state for move in moves] == RUN
    assert {(move.job_id, move.type, move.queue) for move in moves} == {(job.job_id, "sleep", "default")}
    rest = await all_of(follow("stream_job_events", job.job_id, after=moves[1].event_id))
    assert rest == moves[2:]
    assert await all_of(follow("stream_job_events", job, after=f"{moves[-1].event_id}-end")) == []


async def test_a_workflow_is_followed_to_its_end(client: SchedoraClient, follow: Follow) -> None:
    jobs: Any = [
        {"key": "a", "type": "echo", "queue": "other"},
        {"key": "b", "type": "echo", "depends_on": ["a"]},
    ]
    client.pause_queue("other")
    workflow = client.create_workflow(f"w-{uuid4()}", jobs=jobs)
    events = []
    async for event in follow("stream_workflow_events", workflow):
        events.append(event)
        if isinstance(event, StreamReady):
            await asyncio.to_thread(client.resume_queue, "other")
    statuses = [event for event in events if isinstance(event, WorkflowStatus)]
    assert (statuses[0].total_jobs, statuses[-1].status) == (2, WorkflowState.SUCCESS)
    assert statuses[-1] == client.workflow_status(workflow)
    ready = next(number for number, event in enumerate(events) if isinstance(event, StreamReady))
    heard = [event for event in events[ready:] if isinstance(event, JobMove)]
    for key in ("a", "b"):
        assert [move.to_state for move in heard if move.job_id == workflow.job_id(key)] == RUN[1:]


async def test_what_happens_is_heard_as_far_as_it_is_wanted(client: SchedoraClient, follow: Follow) -> None:
    queue = f"q-{uuid4()}"
    wanted = client.submit("nobody runs this", queue=queue)
    unwanted = client.submit("nobody runs this", queue=queue)
    stream = follow(
        "stream_events", queue=["x", queue], status=[S.CANCELED, "DEAD"], type="nobody runs this", job=wanted
    )
    async with aclosing(stream):  # type: ignore[type-var] # both are generators
        assert isinstance(await anext(stream), StreamReady)
        for job in (unwanted, wanted):
            await asyncio.to_thread(client.cancel_job, job)
        move = await anext(stream)
    assert (move.job_id, move.from_state, move.to_state) == (wanted.job_id, S.PENDING, S.CANCELED)


async def test_an_unknown_job_is_no_stream(follow: Follow) -> None:
    with pytest.raises(NotFoundError):
        await all_of(follow("stream_job_events", NOBODY))
    with pytest.raises(NotFoundError):
        await all_of(follow("stream_workflow_events", NOBODY))


async def test_a_stream_that_breaks_off_is_taken_up_again(
    odd_server: OddServer, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "FIRST_PAUSE", following.FIRST_PAUSE / 1_000)
    move = (
        b'event: job\ndata: {"at":"2030-01-31T08:00:00Z","from":null,"to":"PENDING","attempt":0,'
        b'"worker_id":null,"reason":null,"job_id":"' + NOBODY.encode() + b'","type":"work","queue":"mail",'
        b'"workflow_id":null}\nid: %d\n\n'
    )
    odd_server.says(200, move % 1)
    odd_server.says(503, {"title": "Service Unavailable"})
    odd_server.says(200, move % 2, **{"Content-Length": "10000"})  # the connection ends before that
    odd_server.says(200, move % 3 + b"event: end\ndata: {}\n\n")
    moves = await all_of(follow("stream_events", url=odd_server.url))
    assert [one.event_id for one in moves] == ["1", "2", "3"]


async def test_nobody_there_is_told_soon(follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "PAUSES_SECONDS", ())
    with pytest.raises(Unavailable):
        await all_of(follow("stream_events", url="http://127.0.0.1:1"))


async def test_a_patience_that_makes_no_sense_is_refused(follow: Follow) -> None:
    with pytest.raises(InvalidField):
        await all_of(follow("stream_events", patience=float("nan")))

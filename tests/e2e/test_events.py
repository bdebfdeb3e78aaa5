"""Events from one process to the readers of another."""

import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx
import pytest

from schedora import JobMove, SchedoraClient, StreamGap, StreamReady
from tests.e2e.conftest import Cluster, running_cluster, with_redis_and_at_night_without
from tests.programs import PATIENCE_SECONDS, until
from tests.redis.servers import Port, RedisServer

RUN = ["PENDING", "SCHEDULED", "RUNNING", "SUCCESS"]


@contextmanager
def followed(url: str, **filters: Any) -> Iterator["Queue[Any]"]:
    """What a client hears, from when it is ready; it goes on by itself where the server is away."""
    heard: Queue[Any] = Queue()
    over = threading.Event()

    def listen() -> None:
        with SchedoraClient(url) as client, closing(client.stream_events(**filters)) as stream:
            for event in stream:
                heard.put(event)
                if over.is_set():
                    return

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        assert isinstance(heard.get(timeout=PATIENCE_SECONDS), StreamReady)
        yield heard
    finally:
        over.set()
        with SchedoraClient(url) as client:  # something to hear, and to leave for
            client.submit("nobody", queue=filters.get("queue") or "default")
        listener.join(PATIENCE_SECONDS)
        assert not listener.is_alive()


def next_move(heard: "Queue[Any]") -> JobMove:
    event = heard.get(timeout=PATIENCE_SECONDS)
    assert isinstance(event, JobMove), event
    return event


@with_redis_and_at_night_without
def test_what_one_api_takes_is_heard_at_another(cluster: Cluster) -> None:
    here, there = (cluster.start("api", "--port", "0") for _ in range(2))
    cluster.worker("w1")
    other = cluster.api(there)
    with followed(here.url()) as heard:
        job_id = other.submit("echo", {})
        moves = [next_move(heard) for _ in RUN]
        assert [str(move.job_id) for move in moves] == [job_id] * 4
        # Told by two processes: the submission may come behind what the worker was quick to do.
        assert sorted(move.to_state for move in moves) == sorted(RUN)
        told = other.http.get(f"/jobs/{job_id}/events").json()["data"]
        by_state = {move.to_state: move for move in moves}
        for event in told:
            move = by_state[event["to"]]
            assert (move.from_state, move.attempt, move.worker_id) == (
                event["from"], event["attempt"], event["worker_id"]
            )  # fmt: skip


@pytest.fixture
def port() -> Iterator[str]:
    """Which nobody else is given while its server is away."""
    kept = Port()
    yield str(kept.number)
    kept.release()


@with_redis_and_at_night_without
def test_a_client_misses_nothing_while_its_api_is_restarted(cluster: Cluster, port: str) -> None:
    first = cluster.start("api", "--port", port)
    other = cluster.api(cluster.start("api", "--port", "0"))
    with followed(first.url(), queue="nobody serves it") as heard:
        before = other.submit("waits", {}, queue="nobody serves it")
        assert str(next_move(heard).job_id) == before
        first.send(signal.SIGTERM)
        assert first.ended() == 0
        meanwhile = [other.submit("waits", {}, queue="nobody serves it") for _ in range(3)]
        cluster.start("api", "--port", port).url()
        after = other.submit("waits", {}, queue="nobody serves it")
        told: list[str] = []
        while len(told) < 4:
            event = heard.get(timeout=PATIENCE_SECONDS)
            assert not isinstance(event, StreamGap), event
            told += [str(event.job_id)] if isinstance(event, JobMove) else []
        assert told == [*meanwhile, after]


def test_a_stream_outlives_redis_and_says_what_it_may_have_missed(migrated_url: str, tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path / "redis") as redis,
        running_cluster(tmp_path, DATABASE_URL=migrated_url, REDIS_URL=redis.url) as cluster,
    ):
        here, there = (cluster.start("api", "--port", "0") for _ in range(2))
        other = cluster.api(there)
        with followed(here.url()) as heard:
            first = other.submit("waits", {})
            assert str(next_move(heard).job_id) == first
            for disturb in (redis.kill, redis.start, redis.empty, redis.replace):
                disturb()
                submitted: list[str] = []
                told: list[str] = []
                gaps = 0
                # What is told while nobody knows yet that Redis has gone may be lost, but not in silence.
                while not told or told[-1] != submitted[-1]:
                    submitted.append(other.submit("waits", {}))
                    with suppress(Empty):
                        while True:
                            event = heard.get(timeout=1)
                            told += [str(event.job_id)] if isinstance(event, JobMove) else []
                            gaps += isinstance(event, StreamGap)
                            if told and told[-1] == submitted[-1]:
                                break
                assert len(set(told)) == len(told)
                assert gaps or told == submitted, disturb


def test_an_api_that_stops_does_not_wait_for_those_who_listen(cluster: Cluster) -> None:
    program = cluster.start("api", "--port", "0")
    api = cluster.api(program)
    job_id = api.submit("waits", {})
    flow = api.http.post("/workflows", json={"name": "w", "jobs": [{"key": "a", "type": "waits"}]}).json()
    workflow_id = flow["data"]["workflow_id"]
    paths = ["/events", f"/jobs/{job_id}/events/stream", f"/workflows/{workflow_id}/events/stream"] * 5
    bodies: dict[int, bytes] = {}

    def read(number: int, path: str) -> None:
        with httpx.stream("GET", f"{api.http.base_url}{path[1:]}", timeout=PATIENCE_SECONDS) as answer:
            for piece in answer.iter_bytes():
                bodies[number] = bodies.get(number, b"") + piece

    readers = [threading.Thread(target=read, args=one) for one in enumerate(paths)]
    for reader in readers:
        reader.start()
    until(lambda: len(bodies) == len(paths), "all streams to begin")
    program.send(signal.SIGTERM)
    assert program.ended() == 0
    for reader in readers:
        reader.join(PATIENCE_SECONDS)
    assert all(body.endswith(b'event: dropped\ndata: {"reason":"stopping"}\n\n') for body in bodies.values())
    assert "graceful shutdown exceeded" not in program.err.read_text()


@with_redis_and_at_night_without
def test_the_command_tells_what_happens(cluster: Cluster, tmp_path: Path) -> None:
    api = cluster.api(cluster.start("api", "--port", "0"))
    url = str(api.http.base_url).removesuffix("/api/v1/")
    events = cluster.start("events", "--json", "--count", "2", "--queue", "q", SCHEDORA_URL=url)
    until(lambda: '"ready"' in events.out.read_text(), "the command to be ready")
    job_id = api.submit("waits", {}, queue="q")
    api.http.post(f"/jobs/{job_id}/cancel")
    assert events.ended() == 0
    lines = events.out.read_text().splitlines()
    assert [line.count(f'"job_id":"{job_id}"') for line in lines] == [0, 1, 1]

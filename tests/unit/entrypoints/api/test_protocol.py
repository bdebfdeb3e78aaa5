"""Clients that are up to no good, on real sockets. Time passes when a test says so."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from attrs import define, evolve

from schedora.adapters.telemetry.http_metrics import HttpMetrics
from schedora.application.ports.shared_counters import Series
from schedora.entrypoints.api.connections import LINGER_SECONDS
from schedora.entrypoints.api.protocol import PIPELINED_MAX, UNWANTED_BYTES_MAX
from schedora.entrypoints.api.service import ApiService
from schedora.entrypoints.settings import Settings
from schedora.entrypoints.system import System
from tests.programs import PATIENCE_SECONDS
from tests.unit.entrypoints.api.conftest import Api, submit
from tests.unit.entrypoints.api.following import settle, until

CONNECTIONS, HEAD_BYTES, TIMEOUT_SECONDS = 20, 2_000, 20
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
JOB = b'{"type":"work","idempotency_key":"k"}'


@pytest.fixture
def settings() -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg] # how pydantic takes it
        api_connections_max=CONNECTIONS, api_client_timeout=TIMEOUT_SECONDS, api_head_bytes_max=HEAD_BYTES,
        max_payload_bytes=1_000_000, api_waits_max=2,
    )  # fmt: skip


@define
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@define
class Client:
    """One connection, and what comes over it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        await settle()

    async def answer(self) -> Answer:
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(first.split(" ")[1]), headers, body)

    async def ended(self) -> bool:
        """Whether nothing more came before the server closed."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with suppress(ConnectionError):
                return await self.reader.read() == b""
            return True


@define
class House:
    service: ApiService
    seconds: float = 0.0

    @property
    def connections(self) -> Any:
        return self.service._connections

    def answered(self, method: str, route: str, status: int) -> float:
        """How many requests were, going by what is told of them."""
        labels = (("method", method), ("route", route), ("status", str(status)))
        told: HttpMetrics = self.service._server.config.app.state.http_metrics  # type: ignore[union-attr]
        return told.read().get(Series("http_requests_total", labels), 0)

    async def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            await settle()
            self.seconds += 1
            self.connections.look()
        await settle()


@pytest.fixture
def house(service: ApiService) -> House:
    house = House(service)
    house.connections._monotonic = lambda: house.seconds
    house.connections._looked_at = None
    house.connections.look()
    return house


Connect = Callable[[], Any]


@pytest.fixture
async def connect(port: int) -> AsyncIterator[Connect]:
    opened: list[Client] = []

    async def connect() -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        opened.append(client)
        return client

    yield connect
    for client in opened:
        client.writer.transport.abort()


def is_problem(answer: Answer, status: int) -> dict[str, Any]:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.headers["connection"] == "close"
    told: dict[str, Any] = answer.json()
    assert (told["status"], set(told)) == (
        status, {"type", "title", "status", "detail", "errors", "trace_id"}
    )  # fmt: skip
    return told


async def test_headers_that_come_byte_by_byte_are_refused_in_time(house: House, connect: Connect) -> None:
    client = await connect()
    await client.send(b"GET / HTTP/1.1\r\nX: ")
    for _ in range(TIMEOUT_SECONDS + 1):
        await client.send(b"x")
        await house.pass_seconds(1)
    is_problem(await client.answer(), 408)
    assert await client.ended()
    await house.pass_seconds(int(LINGER_SECONDS) + 1)
    await until(lambda: len(house.connections) == 0, "the connection to be forgotten")


async def test_a_connection_that_says_nothing_is_closed(house: House, connect: Connect) -> None:
    client = await connect()
    await house.pass_seconds(TIMEOUT_SECONDS + 1)
    assert await client.ended()


async def test_a_second_request_that_does_not_end_is_refused_in_time(house: House, connect: Connect) -> None:
    client = await connect()
    await client.send(LIVE + b"\r\n")
    assert (await client.answer()).status == 200
    await client.send(b"GET /")
    await house.pass_seconds(TIMEOUT_SECONDS + 1)
    is_problem(await client.answer(), 408)


@pytest.mark.parametrize(
    "length", [b"Content-Length: 100000\r\n", b"Transfer-Encoding: chunked\r\n"], ids=["told", "chunked"]
)
async def test_a_body_that_comes_byte_by_byte_is_refused_in_time(
    house: House, connect: Connect, api: Api, length: bytes
) -> None:
    client = await connect()
    await client.send(POST + length + b"\r\n")
    for _ in range(TIMEOUT_SECONDS + 1):
        await client.send(b"1\r\n{\r\n" if b"chunked" in length else b"{")
        await house.pass_seconds(1)
    is_problem(await client.answer(), 408)
    assert await client.ended()
    await until(lambda: house.answered("POST", "/api/v1/jobs", 408), "the request to be counted")
    assert (await api.get("/jobs")).json()["data"] == []


async def test_a_body_that_nobody_wants_is_read_for_a_while(house: House, connect: Connect) -> None:
    client = await connect()
    await client.send(POST + b"Content-Length: 1000000000\r\n\r\n")
    assert (await client.answer()).status == 413
    for _ in range(TIMEOUT_SECONDS + 1):
        await client.send(b"x" * 10_000)
        await house.pass_seconds(1)
    assert await client.ended()


async def test_of_a_body_that_nobody_wants_only_so_much_is_read(house: House, connect: Connect) -> None:
    client = await connect()
    await client.send(POST + b"Content-Length: 1000000000\r\n\r\n")
    assert (await client.answer()).status == 413
    sent_bytes = 0
    with suppress(ConnectionError):
        while sent_bytes < 10 * UNWANTED_BYTES_MAX:
            client.writer.write(b"x" * 100_000)
            await client.writer.drain()
            sent_bytes += 100_000
    assert await client.ended()
    assert UNWANTED_BYTES_MAX < sent_bytes < 10 * UNWANTED_BYTES_MAX


async def test_a_body_behind_its_answer_does_not_hide_the_next_head(house: House, connect: Connect) -> None:
    """uvicorn does not notice the end of such a body."""
    client = await connect()
    await client.send(POST.replace(b"/jobs", b"/nothing") + b"Content-Length: 10\r\n\r\n")
    assert (await client.answer()).status == 404
    await client.send(b"x" * 10 + b"GET /")
    for _ in range(5):
        await client.send(b"X" * (HEAD_BYTES // 4))
    is_problem(await client.answer(), 414)


@pytest.mark.parametrize("pieces", [1, 100], ids=["at once", "piece by piece"])
@pytest.mark.parametrize(
    ("head", "status"),
    [(LIVE + b"X: " + b"x" * HEAD_BYTES * 2 + b"\r\n\r\n", 431),
     (LIVE + b"".join(b"X-%d: x\r\n" % number for number in range(1_000)) + b"\r\n", 431),
     (b"GET /" + b"x" * HEAD_BYTES * 2 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
     (b"GET /?" + b"x" * HEAD_BYTES * 2 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414)],
    ids=["a long header", "many headers", "a long path", "a long query"],
)  # fmt: skip
async def test_a_head_that_is_too_large_is_refused(
    connect: Connect, head: bytes, status: int, pieces: int
) -> None:
    client = await connect()
    size = len(head) // pieces + 1
    with suppress(ConnectionError):
        for start in range(0, len(head), size):
            await client.send(head[start : start + size])
    is_problem(await client.answer(), status)


async def test_a_head_that_does_not_end_is_refused_before_it_fills_the_memory(connect: Connect) -> None:
    client = await connect()
    with suppress(ConnectionError):
        for number in range(10_000):
            await client.send(LIVE if number == 0 else b"X-%d: x\r\n" % number)
            if client.reader._buffer:
                break
    is_problem(await client.answer(), 431)


async def test_pipelined_requests_are_answered_in_turn(connect: Connect) -> None:
    client = await connect()
    await client.send((LIVE + b"\r\n") * 50)
    assert [(await client.answer()).status for _ in range(50)] == [200] * 50
    await client.send(LIVE + b"\r\n")
    assert (await client.answer()).status == 200


async def test_of_too_many_pipelined_requests_the_first_are_answered(connect: Connect) -> None:
    client = await connect()
    await client.send((LIVE + b"\r\n") * (PIPELINED_MAX * 10))
    answered = 0
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while (await client.answer()).status == 200:
            answered += 1
    assert answered == PIPELINED_MAX + 1


async def test_what_follows_a_request_and_is_none_does_not_take_its_answer(
    connect: Connect, api: Api
) -> None:
    """A 400 in its place would say of a job that is stored that it is not."""
    client = await connect()
    await client.send(POST + b"Content-Length: %d\r\n\r\n" % len(JOB) + JOB + b"\x00garbage\r\n\r\n")
    assert (await client.answer()).status == 201
    assert await client.ended()
    assert len((await api.get("/jobs")).json()["data"]) == 1


async def test_a_body_that_is_no_body_is_refused(connect: Connect, api: Api) -> None:
    client = await connect()
    await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
    await client.send(b"what?\r\n")
    is_problem(await client.answer(), 400)
    assert (await api.get("/jobs")).json()["data"] == []


@pytest.mark.parametrize(
    "lines",
    [b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
     b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: +5\r\n", b"Content-Length: 5, 5\r\n",
     b"Content-Length: 99999999999999999999999\r\n", b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding : chunked\r\n",
     b"Transfer-Encoding: chunked, identity\r\n", b"Content-Length: -1\r\n", b"X: a\r\n b\rc\r\n", b"X\x00: a\r\n", b": a\r\n"],
)  # fmt: skip
async def test_a_length_that_can_be_read_in_two_ways_is_refused(
    connect: Connect, api: Api, lines: bytes
) -> None:
    client = await connect()
    await client.send(POST + lines + b"\r\n0\r\n\r\n" + JOB)
    is_problem(await client.answer(), 400)
    assert await client.ended()
    assert (await api.get("/jobs")).json()["data"] == []


@pytest.mark.parametrize(
    "request_",
    [b"GET /health/live HTTP/1.0\r\n\r\n", LIVE + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
     LIVE + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"],
    ids=["HTTP/1.0", "websocket", "h2c"],
)  # fmt: skip
async def test_who_asks_for_another_protocol_gets_an_answer_in_this_one(
    connect: Connect, caplog: pytest.LogCaptureFixture, request_: bytes
) -> None:
    client = await connect()
    await client.send(request_)
    assert (await client.answer()).status == 200
    assert "pip install" not in caplog.text


H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"


@pytest.mark.parametrize("wish", [H2C, b"Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n"])
@pytest.mark.parametrize("chunked", [True, False])
async def test_a_wish_for_another_protocol_takes_nothing_from_the_body(
    connect: Connect, wish: bytes, *, chunked: bool
) -> None:
    """The client that comes with Java wishes for HTTP/2 with each request, unless it is told not to."""
    client = await connect()
    if chunked:
        request = POST + wish + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(JOB), JOB)
    else:
        request = POST + wish + b"Content-Length: %d\r\n\r\n" % len(JOB) + JOB
    for piece in (request[:50], request[50:-5], request[-5:]):
        await client.send(piece)
    assert (await client.answer()).status == 201
    await client.send(request + LIVE + b"\r\n")
    assert [(await client.answer()).status for _ in range(2)] == [409, 200]


async def test_nothing_is_a_tunnel(connect: Connect) -> None:
    for wish in (b"", H2C):
        client = await connect()
        await client.send(b"CONNECT example.org:80 HTTP/1.1\r\nHost: x\r\n" + wish + b"\r\n")
        is_problem(await client.answer(), 400)


@pytest.mark.parametrize(
    "framing",
    [b"0\r\n" + b"X-One: %b\r\n" % (b"x" * 100) * 30, b"0\r\nX-One: " + b"x" * 3_000, b"2;" + b"x" * 3_000],
    ids=["many trailers", "one trailer", "an extension"],
)
async def test_what_stands_around_a_body_is_bounded(house: House, connect: Connect, framing: bytes) -> None:
    client = await connect()
    await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    for start in range(0, len(framing), 500):
        await client.send(framing[start : start + 500])
    is_problem(await client.answer(), 431)
    assert await client.ended()
    assert house.answered("POST", "/api/v1/jobs", 431) == 1


async def test_trailers_are_no_headers(connect: Connect) -> None:
    client = await connect()
    await client.send(
        POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(JOB), JOB)
        + b"Content-Encoding: gzip\r\nContent-Type: text/plain\r\n\r\n"
    )  # fmt: skip
    assert (await client.answer()).status == 201


async def test_a_body_in_small_pieces_is_a_body(connect: Connect) -> None:
    client = await connect()
    body = JOB + b" " * HEAD_BYTES
    await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    for start in range(0, len(body), 50):
        piece = body[start : start + 50]
        await client.send(b"".join(b"1;why=not\r\n%c\r\n" % one for one in piece))
    await client.send(b"0\r\n\r\n")
    assert (await client.answer()).status == 201


@pytest.mark.parametrize("path", ["/jobs/%s?wait=60", "/jobs/%s/events/stream"])
async def test_who_leaves_leaves_all_that_was_asked(
    house: House,
    connect: Connect,
    api: Api,
    system: System,
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    job = await submit(api)
    client = await connect()
    ask = b"GET /api/v1%b HTTP/1.1\r\nHost: x\r\n\r\n" % (path % job["job_id"]).encode()
    await client.send(ask + LIVE + b"\r\n")
    tasks = house.service._server.server_state.tasks
    streams = house.service._streams
    await until(lambda: system.endings.waiting or len(streams), "the request to wait")
    client.writer.transport.abort()
    await until(lambda: not tasks, "nobody to be waited for")
    assert (system.endings.waiting, len(streams)) == (0, 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_who_closes_one_half_is_let_go(house: House, connect: Connect) -> None:
    client = await connect()
    await client.send(LIVE)
    client.writer.write_eof()
    assert await client.ended()
    await until(lambda: len(house.connections) == 0, "the connection to be forgotten")


async def test_there_is_room_for_who_asks_however_many_say_nothing(
    house: House, connect: Connect, system: System
) -> None:
    silent = [await connect() for _ in range(CONNECTIONS)]
    await house.pass_seconds(2)
    for _ in range(CONNECTIONS // 2):
        client = await connect()
        await client.send(LIVE + b"\r\n")
        assert (await client.answer()).status == 200
    assert await silent[0].ended()
    assert len(house.connections) == CONNECTIONS


async def test_where_all_wait_one_more_is_told_to_come_back(house: House, connect: Connect, api: Api) -> None:
    job = await submit(api)
    for _ in range(2):
        await (await connect()).send(
            b"GET /api/v1/jobs/%b?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n" % job["job_id"].encode()
        )
    await until(lambda: house.service._server.server_state.tasks, "requests to be under way")
    house.connections.limits = evolve(house.connections.limits, connections=2)
    await house.pass_seconds(2)
    client = await connect()
    answer = await client.answer()
    is_problem(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert house.answered("OTHER", "none", 503) == 1


async def test_one_more_wait_is_told_to_come_back(
    house: House, connect: Connect, api: Api, system: System
) -> None:
    job = await submit(api)
    ask = b"GET /api/v1/jobs/%b?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n" % job["job_id"].encode()
    for waiting in (1, 2):
        await (await connect()).send(ask)
        await until(lambda waiting=waiting: system.endings.waiting == waiting, "the request to wait")
    client = await connect()
    await client.send(ask)
    answer = await client.answer()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    await client.send(ask.replace(b"?wait=60", b""))
    assert (await client.answer()).status == 200


async def test_who_does_not_read_is_cut_off(house: House, port: int, api: Api) -> None:
    payload = {"text": "x" * 900_000}
    for number in range(10):
        await submit(api, payload=payload, idempotency_key=f"k{number}")
    with socket.create_connection(("127.0.0.1", port)) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        # More than the system takes on the way.
        lazy.sendall(b"GET /api/v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        await until(
            lambda: any(one.unsent_bytes() for one in house.connections._watched), "an answer that waits"
        )
        await house.pass_seconds(TIMEOUT_SECONDS + 2)
        await until(lambda: len(house.connections) == 0, "the connection to be forgotten")


async def test_large_bodies_share_a_room(house: House, connect: Connect, system: System) -> None:
    house.service._server.config.app.state.room.limit_bytes = 1_000_000  # type: ignore[union-attr]
    half = b"Content-Length: 900000\r\n\r\n" + b" " * 600_000
    first, second = await connect(), await connect()
    await first.send(POST + half)
    await second.send(POST + half)
    answer = await second.answer()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    small = await connect()
    await small.send(POST + b"Content-Length: %d\r\n\r\n" % len(JOB) + JOB)
    assert (await small.answer()).status == 201
    first.writer.transport.abort()
    third = await connect()
    await settle()
    await third.send(POST + half + b" " * 299_998 + b"{}")
    assert (await third.answer()).status == 422
